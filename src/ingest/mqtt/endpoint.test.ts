/**
 * The MQTT door over real sockets and TLS. Past 400 lines because every test needs the same world of
 * authority, endpoint and clients, and reads best beside it.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { connectAsync, type IClientOptions } from "mqtt";
import {
  type ClientIdentity,
  type TestAuthority,
  testAuthority,
} from "../../../test/support/device-certificates.ts";
import {
  connectPacket,
  packet,
  properties,
  publishPacket,
  RawClient,
  sized,
  subscribePacket,
  u16,
} from "../../../test/support/mqtt-wire.ts";
import { without } from "../../../test/support/tools.ts";
import { systemClock } from "../../clock.ts";
import { limits } from "../../limits.ts";
import type { ProblemCode } from "../../problems.ts";
import type { Arrival, Verdict } from "../verdict.ts";
import { createMqttEndpoint, downTopic, upTopic } from "./endpoint.ts";
import type { Settings } from "./role.ts";

const run = promisify(execFile);
const admitted: Verdict = { outcome: "admitted", downlink: [] };
let shared: TestAuthority | undefined;

interface Door {
  admit?: (arrival: Arrival) => Promise<Verdict>;
  settings?: Partial<Settings>;
  barred?: Map<string, ProblemCode>;
}

/** A door on a free port with two devices that it knows. */
async function openDoor(t: TestContext, o: Door = {}) {
  shared ??= await testAuthority();
  const authority = shared;
  const one = await authority.device("0190aaaa-0000-7000-8000-000000000001");
  const two = await authority.device("0190aaaa-0000-7000-8000-000000000002");
  const known = new Map([one, two].map((device) => [device.hash, device]));
  const arrivals: Arrival[] = [];
  const refusals: ProblemCode[] = [];
  const door = createMqttEndpoint({
    tls: { ...authority.server, ca: authority.ca },
    clock: systemClock,
    authenticate(peer) {
      const certificateHash = peer.fingerprint256.replaceAll(":", "").toLowerCase();
      const device = known.get(certificateHash);
      if (!device) return "certificate-unknown";
      return o.barred?.get(device.deviceId) ?? { deviceId: device.deviceId, certificateHash };
    },
    admit: async (arrival) => {
      arrivals.push({ ...arrival, bytes: Buffer.from(arrival.bytes) });
      return o.admit ? o.admit(arrival) : admitted;
    },
    onRefusal: (problem) => refusals.push(problem),
    settings: o.settings ?? {},
  });
  const port = await door.listen(0, "127.0.0.1");
  const opened: RawClient[] = [];
  t.after(async () => {
    for (const client of opened) client.socket.destroy();
    await door.close();
  });
  const tlsOf = (device: ClientIdentity) => ({
    ca: authority.ca,
    cert: device.cert,
    key: device.key,
  });
  return {
    ...{ door, port, one, two, authority, arrivals, refusals, tlsOf },
    async raw(device?: ClientIdentity): Promise<RawClient> {
      const tls = device ? tlsOf(device) : { ca: authority.ca };
      const client = await RawClient.open(port, tls);
      opened.push(client);
      return client;
    },
    client(device: ClientIdentity, options: IClientOptions = {}) {
      return connectAsync(`mqtts://127.0.0.1:${port}`, {
        ...tlsOf(device),
        servername: "localhost",
        reconnectPeriod: 0,
        ...options,
      });
    },
  };
}

for (const protocolVersion of [4, 5] as const) {
  test(`the mqtt library sends and hears as a device, version ${protocolVersion}`, async (t) => {
    const bed = await openDoor(t);
    const client = await bed.client(bed.one, { protocolVersion, clientId: "any id at all" });
    t.after(() => client.endAsync(true));
    const heard = new Promise<Buffer>((resolve) =>
      client.on("message", (_t, bytes) => resolve(bytes)),
    );
    await client.subscribeAsync(downTopic(bed.one.deviceId), { qos: 1 });
    for (const qos of [0, 1, 2] as const) {
      await client.publishAsync(upTopic(bed.one.deviceId), Buffer.from([qos]), { qos });
    }
    assert.equal(bed.door.send(bed.one.deviceId, Buffer.from("receipt")), true);
    assert.equal((await heard).toString(), "receipt");
    assert.deepEqual(
      bed.arrivals.map((one) => one.bytes[0]),
      [0, 1, 2],
    );
    assert.equal(bed.arrivals[0]?.deviceId, bed.one.deviceId);
    assert.equal(bed.arrivals[0]?.certificateHash, bed.one.hash);
    assert.equal(bed.door.send(bed.two.deviceId, Buffer.from("x")), false, "not connected");
  });
}

test("PUBACK and PUBREC wait for the commit, and leave in order", async (t) => {
  const commits: (() => void)[] = [];
  const bed = await openDoor(t, {
    admit: () => new Promise((resolve) => commits.push(() => resolve(admitted))),
  });
  const client = await bed.raw(bed.one);
  await client.greet();
  const up = upTopic(bed.one.deviceId);
  client.send(
    publishPacket(up, "a", { qos: 1, id: 1 }),
    publishPacket(up, "b", { qos: 2, id: 2 }),
    publishPacket(up, "c", { qos: 1, id: 3 }),
  );
  await client.silence();
  assert.equal(commits.length, 3);
  commits[2]?.();
  commits[1]?.();
  await client.silence();
  commits[0]?.();
  const seen = [await client.next(), await client.next(), await client.next()];
  assert.deepEqual(
    seen.map((one) => [one.type, one.body[1]]),
    [
      [4, 1],
      [5, 2],
      [4, 3],
    ],
  );
});

test("what an arrival is answered with goes down to the device that sent it, and to no other", async (t) => {
  const bed = await openDoor(t, {
    admit: async (arrival) => ({ outcome: "duplicate", downlink: [Buffer.from(arrival.bytes)] }),
  });
  const one = await bed.raw(bed.one);
  const two = await bed.raw(bed.two);
  for (const [client, device] of [
    [one, bed.one],
    [two, bed.two],
  ] as const) {
    await client.greet();
    client.send(subscribePacket([[downTopic(device.deviceId), 1]]));
    await client.nextOf(9);
  }
  one.send(publishPacket(upTopic(bed.one.deviceId), "mine", { qos: 0 }));
  assert.equal((await one.nextPublish()).payload, "mine");
  await two.silence();
});

test("a device may use no topic but its own two", async (t) => {
  const bed = await openDoor(t);
  const client = await bed.raw(bed.one);
  await client.greet();
  const foreign = upTopic(bed.two.deviceId);
  client.send(
    publishPacket(foreign, "x", { qos: 1, id: 1 }),
    publishPacket(foreign, "x", { qos: 2, id: 2 }),
  );
  assert.equal((await client.nextOf(4)).body.toString("hex"), "000187");
  assert.equal((await client.nextOf(5)).body.toString("hex"), "000287");
  const filters = ["#", "v1/+/down", downTopic(bed.two.deviceId), upTopic(bed.one.deviceId)];
  client.send(subscribePacket([...filters, "$share/x/y", downTopic(bed.one.deviceId)]));
  const suback = await client.nextOf(9);
  assert.equal(suback.body.subarray(3).toString("hex"), "878787879e02");
  client.send(publishPacket(foreign, "x"));
  assert.equal((await client.nextOf(14)).body[0], 0x87);
  const old = await bed.raw(bed.one);
  await old.greet({ version: 4 });
  old.send(publishPacket(foreign, "x", { qos: 1, id: 1, version: 4 }));
  await old.untilClosed();
  assert.equal(bed.arrivals.length, 0);
  assert.ok(bed.refusals.includes("mqtt-topic-refused"));
  assert.ok(bed.refusals.includes("mqtt-shared-subscription-refused"));
});

test("who has no certificate, a foreign, an expired or an unknown one is told so, and nothing is read", async (t) => {
  const bed = await openDoor(t);
  const foreign = await (await testAuthority()).device("0190aaaa-0000-7000-8000-000000000009");
  const unknown = await bed.authority.device("0190aaaa-0000-7000-8000-000000000008");
  const cases: [device: ClientIdentity | undefined, problem: ProblemCode][] = [
    [undefined, "client-certificate-required"],
    [foreign, "client-certificate-untrusted"],
    [unknown, "certificate-unknown"],
  ];
  for (const [device, problem] of cases) {
    for (const [version, code] of [
      [5, 0x87],
      [4, 5],
    ] as const) {
      const client = await bed.raw(device);
      client.send(connectPacket({ version }), publishPacket(upTopic("x"), "x", { version }));
      assert.equal((await client.nextOf(2)).body[1], code, problem);
      await client.untilClosed();
      assert.equal(bed.refusals.at(-1), problem);
    }
  }
  assert.equal(bed.arrivals.length, 0);
});

test("an expired certificate is told apart", async (t) => {
  const yearsAgo = { ...systemClock, nowMs: () => Date.now() - 15 * 365 * 86_400_000 };
  const authority = await testAuthority({ clock: yearsAgo });
  const device = await authority.device("0190aaaa-0000-7000-8000-000000000007");
  const server = shared ?? (await testAuthority());
  const refusals: ProblemCode[] = [];
  const door = createMqttEndpoint({
    tls: { ...server.server, ca: [server.ca, authority.ca] },
    clock: systemClock,
    authenticate: () => assert.fail("an expired certificate must not come this far"),
    admit: async () => admitted,
    onRefusal: (problem) => refusals.push(problem),
  });
  const port = await door.listen(0, "127.0.0.1");
  t.after(() => door.close());
  const client = await RawClient.open(port, { ca: server.ca, cert: device.cert, key: device.key });
  client.send(connectPacket());
  assert.equal((await client.nextOf(2)).body[1], 0x87);
  await client.untilClosed();
  assert.deepEqual(refusals, ["certificate-expired"]);
});

test("a second connection of a device takes over, whatever the client ids", async (t) => {
  const bed = await openDoor(t);
  const first = await bed.raw(bed.one);
  await first.greet({ clientId: "first" });
  const second = await bed.raw(bed.one);
  await second.greet({ clientId: "second" });
  assert.equal((await first.nextOf(14)).body[0], 0x8e);
  await first.untilClosed();
  assert.equal(bed.door.connected, 1);
});

test("a revoked device is cut off at once and does not come back", async (t) => {
  const barred = new Map<string, ProblemCode>();
  const bed = await openDoor(t, { barred });
  const client = await bed.raw(bed.one);
  const other = await bed.raw(bed.two);
  await client.greet();
  await other.greet();
  barred.set(bed.one.deviceId, "device-revoked");
  const beganMs = performance.now();
  bed.door.disconnect(bed.one.deviceId, "device-revoked");
  assert.equal((await client.nextOf(14)).body[0], 0x87);
  await client.untilClosed();
  assert.ok(performance.now() - beganMs < 1_000);
  const again = await bed.raw(bed.one);
  again.send(connectPacket());
  assert.equal((await again.nextOf(2)).body[1], 0x87);
  other.send(Buffer.from([0xc0, 0]));
  await other.nextOf(13);
});

test("a permanent refusal is acknowledged, a passing one is not", async (t) => {
  let problem: ProblemCode = "envelope-refused";
  const bed = await openDoor(t, {
    admit: async () => ({ outcome: "refused", problem, downlink: [] }),
  });
  const up = upTopic(bed.one.deviceId);
  const client = await bed.raw(bed.one);
  await client.greet();
  client.send(publishPacket(up, "x", { qos: 1, id: 1 }));
  assert.equal((await client.nextOf(4)).body.toString("hex"), "0001");
  problem = "storage-unavailable";
  client.send(publishPacket(up, "x", { qos: 1, id: 2 }), publishPacket(up, "x", { qos: 2, id: 3 }));
  assert.equal((await client.nextOf(4)).body.toString("hex"), "000297");
  assert.equal((await client.nextOf(5)).body.toString("hex"), "000397");
  const old = await bed.raw(bed.one);
  await old.greet({ version: 4 });
  old.send(publishPacket(up, "x", { qos: 1, id: 1, version: 4 }));
  await old.untilClosed();
  assert.ok(bed.refusals.includes("storage-unavailable"));
});

test("a fault while admitting ends that connection alone, unacknowledged", async (t) => {
  const bed = await openDoor(t, {
    admit: async (arrival) => {
      if (arrival.deviceId.endsWith("1")) throw new Error("as meant");
      return admitted;
    },
  });
  const broken = await bed.raw(bed.one);
  const fine = await bed.raw(bed.two);
  await broken.greet();
  await fine.greet();
  broken.send(publishPacket(upTopic(bed.one.deviceId), "x", { qos: 1, id: 1 }));
  assert.equal((await broken.nextOf(14)).body[0], 0x80);
  fine.send(publishPacket(upTopic(bed.two.deviceId), "x", { qos: 1, id: 1 }));
  await fine.nextOf(4);
});

test("wills, retained messages, sessions and authentication exchanges are declined in words", async (t) => {
  const bed = await openDoor(t);
  const will = { topic: upTopic(bed.one.deviceId), payload: "x" };
  const cases: [fields: Parameters<typeof connectPacket>[0], code: number, problem: ProblemCode][] =
    [
      [{ will }, 0x87, "mqtt-will-refused"],
      [{ will: { ...will, retain: true } }, 0x9a, "mqtt-retain-refused"],
      [
        { properties: properties(Buffer.from([21]), sized("x")) },
        0x8c,
        "mqtt-authentication-method-refused",
      ],
    ];
  for (const [fields, code, problem] of cases) {
    const client = await bed.raw(bed.one);
    client.send(connectPacket(fields));
    assert.equal((await client.nextOf(2)).body[1], code);
    assert.equal(bed.refusals.at(-1), problem);
  }
  const client = await bed.raw(bed.one);
  const expiry = properties(Buffer.from([17, 0, 0, 0, 60]));
  const { body } = await client.greet({ clean: false, properties: expiry, keepAlive: 0 });
  const said = body.subarray(3).toString("hex");
  for (const announced of ["1100000000", "2500", "2800", "2a00", "13012c"]) {
    assert.ok(said.includes(announced), `${announced} in ${said}`);
  }
  client.send(publishPacket(upTopic(bed.one.deviceId), "x", { retain: true }));
  assert.equal((await client.nextOf(14)).body[0], 0x9a);
});

test("each broken packet has its refusal at this door", async (t) => {
  const bed = await openDoor(t, {
    settings: { receiveMaximum: 2 },
    admit: () => new Promise(() => {}),
  });
  const up = upTopic(bed.one.deviceId);
  const over = [1, 2, 3].map((id) => publishPacket(up, "x", { qos: 1, id }));
  const cases: [bytes: Buffer, reason: number, problem: ProblemCode][] = [
    [packet(0x36, sized(up), u16(1)), 0x81, "mqtt-packet-malformed"],
    [connectPacket(), 0x82, "mqtt-protocol-error"],
    [Buffer.from("30ffffff7f", "hex"), 0x95, "mqtt-packet-too-large"],
    [publishPacket("#", "x"), 0x90, "mqtt-topic-invalid"],
    [
      publishPacket("", "x", { properties: properties(Buffer.from([35, 0, 9])) }),
      0x94,
      "mqtt-topic-alias-invalid",
    ],
    [Buffer.concat(over), 0x93, "mqtt-receive-maximum-exceeded"],
  ];
  for (const [bytes, reason, problem] of cases) {
    const client = await bed.raw(bed.one);
    await client.greet();
    client.send(bytes);
    assert.equal((await client.nextOf(14)).body[0], reason, problem);
    await client.untilClosed();
    assert.equal(bed.refusals.at(-1), problem);
  }
  const unsupported = await bed.raw(bed.one);
  unsupported.send(connectPacket({ version: 3 }));
  assert.equal((await unsupported.nextOf(2)).body[1], 1);
  assert.equal(bed.refusals.at(-1), "mqtt-version-unsupported");
  const nameless = await bed.raw(bed.one);
  nameless.send(connectPacket({ version: 4, clientId: "", clean: false }));
  assert.equal((await nameless.nextOf(2)).body[1], 2);
  assert.equal(bed.refusals.at(-1), "mqtt-client-id-refused");
  const long = await bed.raw(bed.one);
  long.send(connectPacket({ clientId: "x".repeat(limits.mqttConnectBytesMax) }));
  await long.untilClosed();
  assert.equal(bed.refusals.at(-1), "mqtt-packet-too-large");
});

test("3.1.1 devices that send more than can be decided on are held by TCP, and lose nothing", async (t) => {
  const commits: (() => void)[] = [];
  const bed = await openDoor(t, {
    settings: { receiveMaximum: 4 },
    admit: () => new Promise((resolve) => commits.push(() => resolve(admitted))),
  });
  const client = await bed.raw(bed.one);
  await client.greet({ version: 4 });
  const up = upTopic(bed.one.deviceId);
  for (let id = 1; id <= 20; id++) client.send(publishPacket(up, "x", { qos: 1, id, version: 4 }));
  await client.silence();
  assert.equal(commits.length, 4);
  for (let id = 1; id <= 20; id++) {
    commits.shift()?.();
    assert.equal((await client.nextOf(4)).body[1], id);
  }
});

test("silent, half-spoken and deaf clients are ended in time and hold nobody", async (t) => {
  const settings = { connectTimeoutMs: 300, packetTimeoutMs: 300, queueMax: 4 };
  const bed = await openDoor(t, { settings });
  const silent = await bed.raw(bed.one);
  await silent.untilClosed(2_000);
  assert.equal(bed.refusals.at(-1), "mqtt-connect-overdue");
  const begun = await bed.raw(bed.one);
  await begun.greet();
  begun.send(publishPacket(upTopic(bed.one.deviceId), "x").subarray(0, 5));
  assert.equal((await begun.nextOf(14, 2_000)).body[0], 0x80);
  assert.equal(bed.refusals.at(-1), "mqtt-packet-overdue");
  const quiet = await bed.raw(bed.one);
  await quiet.greet({ keepAlive: 1 });
  assert.equal((await quiet.nextOf(14)).body[0], 0x8d);
  assert.equal(bed.refusals.at(-1), "mqtt-keep-alive-ended");
  const deaf = await bed.raw(bed.one);
  await deaf.greet({ properties: properties(Buffer.from([33, 0, 1])) });
  deaf.send(subscribePacket([[downTopic(bed.one.deviceId), 1]]));
  await deaf.nextOf(9);
  const taken = [1, 2, 3, 4, 5, 6].map(() => bed.door.send(bed.one.deviceId, Buffer.from("x")));
  assert.deepEqual(taken, [true, true, true, true, true, false]);
  assert.equal(bed.refusals.at(-1), "mqtt-client-slow");
});

test("a door that is full takes nobody more; one that closes says so", async (t) => {
  const bed = await openDoor(t, { settings: { connectionsMax: 1 } });
  const client = await bed.raw(bed.one);
  await client.greet();
  await assert.rejects(() => bed.raw(bed.two));
  assert.equal(bed.refusals.at(-1), "door-full");
  const closing = bed.door.close();
  assert.equal((await client.nextOf(14)).body[0], 0x8b);
  await closing;
  assert.ok(!bed.refusals.includes("door-closing"), "closing is no device's fault");
});

test("TLS 1.2 is not spoken", async (t) => {
  const bed = await openDoor(t);
  await assert.rejects(
    () => RawClient.open(bed.port, { ...bed.tlsOf(bed.one), maxVersion: "TLSv1.2" }),
    /protocol version|EPROTO|alert/i,
  );
});

test("mosquitto_pub with a client certificate is a device", {
  skip: without("mosquitto_pub"),
}, async (t) => {
  const bed = await openDoor(t);
  const dir = mkdtempSync(join(tmpdir(), "mosquitto-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const envelope = Buffer.from("d08343a1010a", "hex");
  const files = {
    "ca.pem": bed.authority.ca,
    "device.pem": bed.one.cert,
    "device.key": bed.one.key,
    envelope,
  };
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(dir, name), content, { mode: 0o600 });
  for (const version of ["311", "5"]) {
    for (const qos of ["0", "1", "2"]) {
      await run("mosquitto_pub", [
        ...["-h", "127.0.0.1", "-p", String(bed.port), "--insecure", "-V", version, "-q", qos],
        ...["--cafile", join(dir, "ca.pem"), "--cert", join(dir, "device.pem")],
        ...["--key", join(dir, "device.key"), "-t", upTopic(bed.one.deviceId)],
        ...["-f", join(dir, "envelope")],
      ]);
    }
  }
  assert.equal(bed.arrivals.length, 6);
  for (const arrival of bed.arrivals) assert.deepEqual(Buffer.from(arrival.bytes), envelope);
});
