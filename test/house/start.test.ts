/** `npm start` and `vitalward serve` as different people type them, in clones of their own. */
import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { unsupported } from "../../scripts/platform.mjs";
import { isAlive, startTestPlatform } from "../support/platform.ts";
import {
  asRoot,
  clusterOf,
  gone,
  makeClone,
  ORDINARY_UID,
  opened,
  removeClone,
  shell,
  type Typed,
  type,
} from "./clone.ts";

interface Home {
  readonly dir: string;
  readonly clone: string;
  readonly typed: Typed[];
}

/** A home folder with a clone in it. */
function home(t: TestContext, o: { mode: number; name?: string; uid?: number }): Home {
  const dir = mkdtempSync(join(tmpdir(), "vitalward-home-"));
  const clone = join(dir, o.name ?? "vitalward");
  const typed: Typed[] = [];
  t.after(() => removeClone(dir, typed));
  mkdirSync(clone, { recursive: true });
  makeClone(clone, o.uid === undefined ? {} : { uid: o.uid });
  chmodSync(dir, o.mode);
  if (o.uid !== undefined) chownSync(dir, o.uid, o.uid);
  return { dir, clone, typed };
}

function passphraseIn(dir: string, uid?: number): Record<string, string> {
  const file = join(dir, "passphrase");
  writeFileSync(file, "a passphrase for tests only\n", { mode: 0o600 });
  if (uid !== undefined) chownSync(file, uid, uid);
  return { VITALWARD_PASSPHRASE_FILE: file };
}

async function isLive(port: number): Promise<boolean> {
  return (await fetch(`http://127.0.0.1:${port}/health/live`)).ok;
}

test("root types npm start in a home that only root may enter, and SIGTERM leaves no process", {
  skip: !asRoot && "needs root",
}, async (t) => {
  const { dir, clone, typed } = home(t, { mode: 0o700 });
  const start = type(clone, ["npm", "start"], { env: shell(dir) });
  typed.push(start);
  const data = join(clone, "data");
  const ports = await opened(start, data);
  assert.equal(await isLive(ports.http), true);
  assert.match(start.output(), new RegExp(`http://127\\.0\\.0\\.1:${ports.http}/`));
  const cluster = clusterOf(data);
  assert.match(cluster, /^\/var\/lib\/vitalward\//);
  const pid = Number.parseInt(readFileSync(join(cluster, "postmaster.pid"), "utf8"), 10);
  assert.match(readFileSync(`/proc/${pid}/status`, "utf8"), /^Uid:\t65534\t/m);
  start.child.kill("SIGTERM");
  await start.ended;
  assert.deepEqual(await gone([clone, cluster]), []);
  assert.equal(existsSync(join(data, "ports.json")), false);
});

test("root who chooses a data folder out of nobody's reach is told which folder and setting", {
  skip: !asRoot && "needs root",
}, async (t) => {
  const { dir, clone, typed } = home(t, { mode: 0o700 });
  const env = shell(dir, { ...passphraseIn(dir), VITALWARD_DATA: join(dir, "records") });
  const serve = type(clone, ["node", "bin/vitalward.mjs", "serve"], { env });
  typed.push(serve);
  assert.equal(await serve.ended, 78, serve.output());
  assert.equal(serve.output().trim().split("\n").length, 1, serve.output());
  assert.match(serve.output(), /VITALWARD_DATA/);
  assert.ok(serve.output().includes(dir));
});

test("an ordinary user, on a path with spaces and more than 150 characters, starts and stops it", async (t) => {
  const name = `${"a rather long name with spaces ".repeat(5)}vitalward`;
  const uid = asRoot ? ORDINARY_UID : undefined;
  const { dir, clone, typed } = home(t, {
    mode: 0o700,
    name,
    ...(uid === undefined ? {} : { uid }),
  });
  assert.ok(clone.length > 150 && clone.includes(" "));
  const user = uid === undefined ? {} : { uid };
  const env = shell(dir, passphraseIn(dir, uid));
  // In a plain shell the system's own Node starts the command.
  for (const round of [1, 2]) {
    const serve = type(clone, ["node", "bin/vitalward.mjs", "serve"], { env, ...user });
    typed.push(serve);
    const ports = await opened(serve, join(clone, "data"));
    assert.equal(await isLive(ports.http), true, `start ${round}`);
    serve.child.kill(round === 1 ? "SIGINT" : "SIGTERM");
    assert.equal(await serve.ended, 0, serve.output());
    assert.deepEqual(await gone([clone]), []);
  }
});

test("a second start on the same folder is refused in one sentence, and the first goes on", async (t) => {
  const first = await startTestPlatform(t);
  const second = startTestPlatform(t, { dataDir: first.dataDir });
  await assert.rejects(second, /already running on the data folder.*VITALWARD_DATA/);
  assert.equal(await isLive(first.ports.http), true);
});

test("a port in use is refused in one sentence that names the port and its setting", async (t) => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  t.after(() => taken.close());
  const { port } = taken.address() as { port: number };
  for (const setting of ["VITALWARD_HTTP_PORT", "VITALWARD_MQTT_PORT", "VITALWARD_DEVICE_PORT"]) {
    await assert.rejects(
      startTestPlatform(t, { env: { [setting]: String(port) } }),
      (error: unknown) => {
        const lines = (error as Error).message.trim().split("\n").slice(1);
        assert.equal(lines.length, 1, lines.join("\n"));
        assert.ok(lines[0]?.includes(String(port)) && lines[0].includes(setting), String(lines[0]));
        return true;
      },
    );
  }
});

test("after SIGKILL the next start finds the orphaned PostgreSQL, stops it, and works", async (t) => {
  const first = await startTestPlatform(t);
  const orphan = first.databasePid() as number;
  await first.kill();
  assert.equal(isAlive(orphan), true, "the fault was injected: PostgreSQL lives on");
  const second = await first.restart();
  assert.equal(isAlive(orphan), false);
  assert.equal(await isLive(second.ports.http), true);
  const pid = second.databasePid() as number;
  assert.equal(await second.stop(), 0);
  assert.equal(isAlive(pid), false);
});

test("when the process that typed the command is killed, the platform ends too", async (t) => {
  const { dir, clone, typed } = home(t, { mode: 0o711 });
  const env = shell(dir, passphraseIn(dir));
  const serve = type(clone, ["node", "bin/vitalward.mjs", "serve"], { env });
  typed.push(serve);
  const data = join(clone, "data");
  await opened(serve, data);
  serve.child.kill("SIGKILL");
  await serve.ended;
  assert.deepEqual(await gone([clone]), []);
});

test("when PostgreSQL is killed the platform is ready again by itself", async (t) => {
  const platform = await startTestPlatform(t);
  const killed = platform.databasePid() as number;
  process.kill(killed, "SIGKILL");
  const endMs = performance.now() + 30_000;
  let isReady = false;
  while (!isReady && performance.now() < endMs) {
    const answer = await fetch(`${platform.url}/health/ready`);
    isReady = answer.ok && platform.databasePid() !== killed;
  }
  assert.equal(isReady, true);
});

test("the pid file names the running platform and goes with it", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "vitalward-pid-"));
  const file = join(dir, "vitalward.pid");
  const platform = await startTestPlatform(t, { args: ["--pid-file", file] });
  assert.equal(Number(readFileSync(file, "utf8")), platform.pid);
  await platform.stop();
  assert.equal(existsSync(file), false);
});

const MACHINES: [string, string, boolean, RegExp | undefined][] = [
  ["linux", "x64", false, undefined],
  ["linux", "arm64", false, undefined],
  ["darwin", "arm64", false, undefined],
  ["win32", "x64", false, /WSL/],
  ["linux", "x64", true, /musl/],
  ["darwin", "x64", false, /not on darwin x64/],
  ["freebsd", "x64", false, /not on freebsd x64/],
];
for (const [platform, arch, isMusl, words] of MACHINES) {
  const where = `${platform} ${arch}${isMusl ? " with musl" : ""}`;
  test(`${where} is ${words ? "refused in one clear sentence" : "supported"}`, () => {
    const sentence = unsupported(platform, arch, isMusl);
    if (words === undefined) assert.equal(sentence, undefined);
    else assert.match(sentence ?? "", words);
  });
}
