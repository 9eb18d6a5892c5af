/** `vitalward conformance` as a process: its options, its refusals, and what a kill -9 leaves. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { connectAsync } from "mqtt";
import { testAuthority } from "../support/device-certificates.ts";
import { connectPacket, packet, publishPacket, RawClient, u16 } from "../support/mqtt-wire.ts";

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

interface Listener {
  readonly child: ChildProcess;
  readonly port: number;
}

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "conformance-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function vitalward(...args: string[]): ChildProcess {
  return spawn(process.execPath, [join(ROOT, "bin", "vitalward.mjs"), "conformance", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
}

async function ended(
  child: ChildProcess,
): Promise<{ code: number | null; out: string; err: string }> {
  let out = "";
  let err = "";
  child.stdout?.on("data", (part: Buffer) => {
    out += part.toString();
  });
  child.stderr?.on("data", (part: Buffer) => {
    err += part.toString();
  });
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, out, err };
}

async function start(t: TestContext, data: string, ...args: string[]): Promise<Listener> {
  const pidFile = join(dirname(data), "listener.pid");
  const child = vitalward("--data", data, "--port", "0", "--pid-file", pidFile, ...args);
  t.after(() => child.kill("SIGKILL"));
  const line = await new Promise<string>((resolve, reject) => {
    child.stdout?.once("data", (part: Buffer) => resolve(part.toString()));
    child.once("exit", (code) => reject(new Error(`it ended with ${code}`)));
  });
  const port = Number(/127\.0\.0\.1:(\d+)/.exec(line)?.[1]);
  return { child, port };
}

async function exported(
  data: string,
): Promise<{ topic: string; payload: string; text: string | null }[]> {
  const { code, out, err } = await ended(vitalward("export", "--data", data));
  assert.equal(code, 0, err);
  return out
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

test("what was acknowledged at QoS 1 and 2 is exported, after an orderly stop", async (t) => {
  const dir = folder(t);
  const data = join(dir, "data");
  const { child, port } = await start(t, data);
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5 });
  for (const qos of [0, 1, 2] as const) await client.publishAsync("t", `qos ${qos}`, { qos });
  await client.publishAsync("t/bytes", Buffer.from([0xff, 0, 1]), { qos: 1 });
  await client.endAsync();
  const pid = Number(readFileSync(join(dir, "listener.pid"), "utf8"));
  process.kill(pid, "SIGTERM");
  assert.equal((await ended(child)).code, 0);
  assert.equal(existsSync(join(dir, "listener.pid")), false);
  assert.deepEqual(await exported(data), [
    { topic: "t", payload: Buffer.from("qos 1").toString("base64"), text: "qos 1", qos: 1 },
    { topic: "t", payload: Buffer.from("qos 2").toString("base64"), text: "qos 2", qos: 2 },
    { topic: "t/bytes", payload: "/wAB", text: null, qos: 1 },
  ]);
});

test("after kill -9 at full rate every acknowledged message is there", async (t) => {
  const dir = folder(t);
  const data = join(dir, "data");
  const { port } = await start(t, data, "--receive-maximum", "500");
  const client = await RawClient.open(port);
  t.after(() => client.socket.destroy());
  await client.greet({ clientId: "burst" });
  let sent = 0;
  let acknowledged = 0;
  const pid = Number(readFileSync(join(dir, "listener.pid"), "utf8"));
  const send = () => {
    sent++;
    const id = ((sent - 1) % 60_000) + 1;
    client.send(publishPacket("burst", `${sent}`, { qos: sent % 2 === 0 ? 2 : 1, id }));
  };
  for (let i = 0; i < 200; i++) send();
  while (!client.closed) {
    const raw = await client.next(1_000).catch(() => undefined);
    if (!raw) break;
    if (raw.type === 5) client.send(packet(0x62, u16(raw.body.readUInt16BE(0))));
    if (raw.type !== 4 && raw.type !== 5) continue;
    acknowledged++;
    if (acknowledged < 3_000) send();
    if (acknowledged === 2_500) process.kill(pid, "SIGKILL");
  }
  assert.ok(acknowledged >= 2_500);
  const kept = new Set((await exported(data)).map((one) => one.text));
  // Acknowledgements come in order, so the first so many are the acknowledged ones.
  for (let i = 1; i <= acknowledged; i++) assert.ok(kept.has(`${i}`), `message ${i}`);
});

test("its options are what CONNACK announces, and they bind", async (t) => {
  const data = join(folder(t), "data");
  const options = ["--server-keep-alive", "60", "--receive-maximum", "7"];
  const more = ["--topic-alias-maximum", "9", "--connect-timeout", "1"];
  const { port } = await start(t, data, ...options, ...more);
  const client = await RawClient.open(port);
  t.after(() => client.socket.destroy());
  const { body } = await client.greet({ keepAlive: 120 });
  const said = body.toString("hex");
  for (const announced of ["13003c", "210007", "220009"]) assert.ok(said.includes(announced), said);
  const silent = await RawClient.open(port);
  await silent.untilClosed(3_000);
});

test("with --tls it speaks TLS 1.3, and with --ca it takes certificates of that authority only", async (t) => {
  const dir = folder(t);
  const authority = await testAuthority();
  const device = await authority.device("any");
  const files = {
    "cert.pem": authority.server.cert,
    "key.pem": authority.server.key,
    "ca.pem": authority.ca,
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(dir, name), content);
  const tls = ["--tls", "--cert", join(dir, "cert.pem"), "--key", join(dir, "key.pem")];
  const open = await start(t, join(dir, "open"), ...tls);
  const anyone = await RawClient.open(open.port, { ca: authority.ca });
  await anyone.greet();
  anyone.socket.destroy();
  const closed = await start(t, join(dir, "closed"), ...tls, "--ca", join(dir, "ca.pem"));
  const known = await RawClient.open(closed.port, {
    ca: authority.ca,
    cert: device.cert,
    key: device.key,
  });
  await known.greet();
  known.socket.destroy();
  const unknown = await RawClient.open(closed.port, { ca: authority.ca });
  unknown.send(connectPacket());
  assert.equal((await unknown.nextOf(2)).body[1], 0x87);
});

test("it does not start beside patient data, nor on wrong options", async (t) => {
  const dir = folder(t);
  for (const name of ["keystore", "postgres"]) {
    const data = join(dir, `beside-${name}`);
    mkdirSync(join(data, name), { recursive: true });
    const { code, err } = await ended(vitalward("--data", data, "--port", "0"));
    assert.equal(code, 1, err);
    assert.match(err, /does not start beside patient data/);
    assert.equal(existsSync(join(data, "conformance.sqlite")), false);
  }
  const data = ["--data", join(dir, "x")];
  const noPem = join(dir, "no.pem");
  writeFileSync(noPem, "nothing");
  const wrong: [string[], number, RegExp][] = [
    [[...data, "--tls"], 2, /^--tls needs --cert FILE and --key FILE$/m],
    [[...data, "--port", "70000"], 2, /--port.*whole number from 0 to 65535/],
    [[...data, "--receive-maximum", "0"], 2, /--receive-maximum.*whole number/],
    [[...data, "--tls", "--cert", noPem, "--key", noPem], 78, /^--cert .*is not PEM/m],
    [["--data", join(noPem, "x")], 78, /^--data .*lies below something that is no folder$/m],
    [["export", "--data", join(dir, "nothing")], 1, /nothing was kept yet$/m],
  ];
  for (const [args, expected, sentence] of wrong) {
    const { code, err } = await ended(vitalward(...args));
    assert.equal(code, expected, `${args.join(" ")}: ${err}`);
    assert.match(err, sentence);
    assert.doesNotMatch(err, /^ {4}at /m);
  }
});
