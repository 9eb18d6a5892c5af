/** The embedded server under force: killed, orphaned, started twice, on a long path. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { databasePid, isAlive } from "../../test/support/platform.ts";
import { systemClock } from "../clock.ts";
import { Problem } from "../problems.ts";
import { StartRefusal } from "../start-refusal.ts";
import { openDatabase, withClient } from "./database.ts";
import { choosePlaces } from "./places.ts";
import { type EmbeddedServer, startServer } from "./server.ts";

const asRoot = process.getuid?.() === 0;

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "vitalward-server-"));
  chmodSync(dir, 0o711);
  t.after(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }));
  return dir;
}

async function started(t: TestContext, dataDir: string): Promise<EmbeddedServer> {
  const server = await startServer({ dataDir, lockWaitMs: 0 });
  t.after(() => server.stop());
  return server;
}

/** A process that starts a server on the folder and then only lives. */
async function otherProcess(t: TestContext, dataDir: string): Promise<ChildProcess> {
  const code = `
    const { startServer } = await import(${JSON.stringify(new URL("./server.ts", import.meta.url).href)});
    await startServer({ dataDir: ${JSON.stringify(dataDir)} });
    console.log("ready");
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(async () => {
    child.kill("SIGTERM");
    const pid = databasePid(dataDir);
    if (pid !== undefined) process.kill(pid, "SIGQUIT");
    while (pid !== undefined && isAlive(pid)) await sleep(20);
  });
  await once(child.stdout as NodeJS.ReadableStream, "data");
  return child;
}

test("it listens on a short Unix socket only, with checksums, fsync and a fixed collation", async (t) => {
  const deep = join(folder(t), "a folder with spaces ".repeat(7));
  assert.ok(deep.length > 150);
  mkdirSync(deep, { recursive: true });
  const server = await started(t, deep);
  const found = await withClient(server.url("postgres"), (client) =>
    client.query(`SELECT name, setting FROM pg_settings WHERE name IN
      ('listen_addresses', 'fsync', 'full_page_writes', 'data_checksums', 'synchronous_commit',
       'unix_socket_directories', 'unix_socket_permissions') ORDER BY name`),
  );
  const settings = Object.fromEntries(found.rows.map((row) => [row.name, row.setting]));
  const socket = `${settings.unix_socket_directories}/.s.PGSQL.5432`;
  assert.ok(Buffer.byteLength(socket) < 100, socket);
  assert.deepEqual(
    { ...settings, unix_socket_directories: "" },
    {
      data_checksums: "on",
      fsync: "on",
      full_page_writes: "on",
      listen_addresses: "",
      synchronous_commit: "on",
      unix_socket_directories: "",
      unix_socket_permissions: "0700",
    },
  );
  const locale = await withClient(server.url("postgres"), (client) =>
    client.query("SELECT datlocprovider, datlocale FROM pg_database WHERE datname = 'template1'"),
  );
  assert.deepEqual(locale.rows[0], { datlocprovider: "b", datlocale: "C.UTF-8" });
});

test("it stops with stop, and neither process nor socket is left", async (t) => {
  const dir = folder(t);
  const server = await started(t, dir);
  const pid = server.pid as number;
  const { socketDir } = choosePlaces(dir, false);
  await server.stop();
  assert.equal(isAlive(pid), false);
  assert.equal(existsSync(join(socketDir, ".s.PGSQL.5432")), false);
});

test("a second starter on the folder is refused while the first one lives", async (t) => {
  const dir = folder(t);
  await otherProcess(t, dir);
  await assert.rejects(
    startServer({ dataDir: dir, lockWaitMs: 100 }),
    (error) => error instanceof StartRefusal && error.message.includes("VITALWARD_DATA"),
  );
  const first = databasePid(dir) as number;
  assert.equal(isAlive(first), true);
});

test("a command beside a running platform attaches to its server", async (t) => {
  const dir = folder(t);
  const first = await openDatabase({ dataDir: dir, clock: systemClock });
  t.after(() => first.close());
  const second = await openDatabase({ dataDir: dir, clock: systemClock, attach: true });
  assert.equal(second.tenantId, first.tenantId);
  await second.close();
  assert.equal((await first.pool.query("SELECT 1 AS one")).rows[0].one, 1);
});

test("after SIGKILL of its owner the next start stops the orphan and keeps what was committed", async (t) => {
  const dir = folder(t);
  const owner = await otherProcess(t, dir);
  const orphan = databasePid(dir) as number;
  const url = `postgresql://vitalward@/postgres?host=${encodeURIComponent(choosePlaces(dir, false).socketDir)}`;
  await withClient(url, (client) => client.query("CREATE TABLE kept AS SELECT 7 AS n"));
  owner.kill("SIGKILL");
  await once(owner, "exit");
  assert.equal(isAlive(orphan), true, "the fault was injected: the orphan lives");
  const server = await started(t, dir);
  assert.equal(isAlive(orphan), false);
  const found = await withClient(server.url("postgres"), (c) => c.query("SELECT n FROM kept"));
  assert.equal(found.rows[0].n, 7);
});

test("when PostgreSQL is killed it comes back, and the pool works again without a restart", async (t) => {
  const dir = folder(t);
  const database = await openDatabase({ dataDir: dir, clock: systemClock });
  t.after(() => database.close());
  await database.pool.query("CREATE TABLE mark (n int)");
  for (let round = 1; round <= 3; round++) {
    await database.transaction((client) => client.query("INSERT INTO mark VALUES (1)"));
    const killed = database.serverPid as number;
    const open = database.transaction(async (client) => {
      await client.query("INSERT INTO mark VALUES (100)");
      process.kill(killed, "SIGKILL");
      await client.query("SELECT pg_sleep(5)");
    });
    await assert.rejects(open, (e) => e instanceof Problem && e.code === "storage-unavailable");
    await recovered(() => database.pool.query("SELECT 1"));
    assert.notEqual(database.serverPid, killed);
    const found = await database.pool.query("SELECT sum(n)::int AS sum FROM mark");
    assert.equal(found.rows[0].sum, round, "committed rows are there, uncommitted ones are not");
  }
});

test("the same code works on a server by DATABASE_URL, and closing it leaves that server alone", async (t) => {
  const server = await started(t, folder(t));
  await withClient(server.url("postgres"), (client) => client.query("CREATE DATABASE hospital"));
  const dataDir = folder(t);
  const database = await openDatabase({
    url: server.url("hospital"),
    dataDir,
    clock: systemClock,
  });
  const found = await database.pool.query("SELECT tenant_id FROM organisation");
  assert.deepEqual(found.rows, [{ tenant_id: database.tenantId }]);
  await database.close();
  assert.deepEqual(readdirSync(dataDir), [], "no embedded server was made");
  const again = await openDatabase({ url: server.url("hospital"), dataDir, clock: systemClock });
  assert.equal(again.tenantId, database.tenantId);
  await again.close();
});

test("a DATABASE_URL that leads nowhere is refused in one sentence without its password", async (t) => {
  await assert.rejects(
    openDatabase({
      url: "postgresql://somebody:secret-word@127.0.0.1:1/nothing",
      dataDir: folder(t),
      clock: systemClock,
    }),
    (error) => error instanceof StartRefusal && !error.message.includes("secret-word"),
  );
});

test("a folder of somebody else's where the socket belongs is refused", async (t) => {
  const dir = folder(t);
  const { socketDir } = choosePlaces(dir, false);
  mkdirSync(socketDir, { mode: 0o755 });
  chmodSync(socketDir, 0o755);
  t.after(() => rmSync(socketDir, { recursive: true, force: true }));
  await assert.rejects(
    startServer({ dataDir: dir }),
    (error) => error instanceof StartRefusal && error.message.includes(socketDir),
  );
});

test("a data folder of another PostgreSQL version is refused by name", async (t) => {
  const dir = folder(t);
  const server = await startServer({ dataDir: dir });
  await server.stop();
  const { clusterDir } = choosePlaces(dir, false);
  writeFileSync(join(clusterDir, "PG_VERSION"), "15\n");
  await assert.rejects(
    startServer({ dataDir: dir }),
    (error) => error instanceof StartRefusal && /PostgreSQL 15/.test(error.message),
  );
});

test("an interrupted first start leaves nothing that stops the next", async (t) => {
  const dir = folder(t);
  const { clusterDir } = choosePlaces(dir, false);
  mkdirSync(join(`${clusterDir}.unfinished`, "base"), { recursive: true });
  const server = await started(t, dir);
  assert.ok(server.pid);
});

test("as root, a chosen folder out of nobody's reach is refused by name", {
  skip: !asRoot && "needs root",
}, async (t) => {
  const home = folder(t);
  chmodSync(home, 0o700);
  await assert.rejects(
    startServer({ dataDir: join(home, "data") }),
    (error) =>
      error instanceof StartRefusal &&
      error.message.includes(home) &&
      error.message.includes("VITALWARD_DATA"),
  );
});

test("as root, PostgreSQL runs as nobody", { skip: !asRoot && "needs root" }, async (t) => {
  const server = await started(t, folder(t));
  const status = readFileSync(`/proc/${server.pid}/status`, "utf8");
  assert.match(status, /^Uid:\t65534\t65534\t65534\t65534$/m);
  assert.match(status, /^Gid:\t65534\t65534\t65534\t65534$/m);
});

async function recovered(work: () => Promise<unknown>): Promise<void> {
  const endMs = performance.now() + 30_000;
  for (;;) {
    try {
      await work();
      return;
    } catch (error) {
      if (performance.now() > endMs) throw error;
      await sleep(50);
    }
  }
}
