/** What the doors tell of who is connected, from real connections by TLS. */
import assert from "node:assert/strict";
import { request } from "node:https";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { testAuthority } from "../../test/support/device-certificates.ts";
import { publishPacket, RawClient } from "../../test/support/mqtt-wire.ts";
import { systemClock } from "../clock.ts";
import { Presence } from "../presence.ts";
import type { ProblemCode } from "../problems.ts";
import { createDeviceDoor } from "./https.ts";
import { createMqttEndpoint, upTopic } from "./mqtt/endpoint.ts";
import type { Verdict } from "./verdict.ts";

const authority = await testAuthority();
const device = await authority.device("0190cccc-0000-7000-8000-000000000001");

async function openDoors(t: TestContext) {
  const presence = new Presence();
  let verdict: Verdict = { outcome: "admitted", downlink: [] };
  const shared = {
    tls: { ...authority.server, ca: authority.ca },
    clock: systemClock,
    presence,
    authenticate: () => ({ deviceId: device.deviceId, certificateHash: device.hash }),
    admit: async () => verdict,
  };
  const mqtt = createMqttEndpoint(shared);
  const https = await createDeviceDoor(shared);
  const mqttPort = await mqtt.listen(0, "127.0.0.1");
  const httpsPort = await https.listen(0, "127.0.0.1");
  t.after(() => mqtt.close());
  t.after(() => https.close());
  const tls = { ca: authority.ca, cert: device.cert, key: device.key };
  return {
    mqtt,
    seen: () => presence.of(device.deviceId),
    refuse: (problem: ProblemCode) => {
      verdict = { outcome: "refused", problem, downlink: [] };
    },
    connect: async (o = {}) => {
      const client = await RawClient.open(mqttPort, tls);
      t.after(() => client.socket.destroy());
      await client.greet(o);
      return client;
    },
    ask: () =>
      new Promise<void>((resolve, reject) => {
        const where = { host: "127.0.0.1", port: httpsPort, servername: "localhost" };
        request({ ...where, ...tls, agent: false, path: "/v1/downlink" }, (answer) => {
          answer.resume().on("end", resolve);
        })
          .on("error", reject)
          .end();
      }),
  };
}

async function until(isTrue: () => boolean): Promise<void> {
  for (let waited = 0; !isTrue(); waited += 20) {
    assert.ok(waited < 20_000, "it did not come true");
    await sleep(20);
  }
}

test("a device is connected from its MQTT session on, and not connected from its leaving on", async (t) => {
  const doors = await openDoors(t);
  const nobody = { connectedSinceMs: null, disconnectedMs: null, lastSeenMs: null };
  assert.deepEqual(doors.seen(), nobody);
  const beforeMs = systemClock.nowMs();
  const client = await doors.connect();
  const { connectedSinceMs, disconnectedMs, lastSeenMs } = doors.seen();
  assert.ok(connectedSinceMs !== null && connectedSinceMs >= beforeMs);
  assert.deepEqual([disconnectedMs, lastSeenMs], [null, connectedSinceMs]);
  await client.leave();
  await until(() => doors.seen().connectedSinceMs === null);
  assert.ok((doors.seen().disconnectedMs ?? 0) >= connectedSinceMs);
});

test("a torn connection and one that the platform ends are over as well", async (t) => {
  const doors = await openDoors(t);
  const torn = await doors.connect();
  torn.socket.destroy();
  await until(() => doors.seen().disconnectedMs !== null);
  await doors.connect();
  assert.equal(doors.seen().disconnectedMs, null);
  doors.mqtt.disconnect(device.deviceId, "device-revoked");
  assert.notEqual(doors.seen().disconnectedMs, null);
});

test("a device that takes over its own connection stays connected", async (t) => {
  const doors = await openDoors(t);
  const old = await doors.connect();
  await doors.connect();
  await old.untilClosed();
  assert.notEqual(doors.seen().connectedSinceMs, null);
});

test("one that fell silent was there until it was last heard, not until that was noticed", async (t) => {
  const doors = await openDoors(t);
  await doors.connect({ keepAlive: 1 });
  const connectedMs = doors.seen().connectedSinceMs ?? 0;
  await until(() => doors.seen().disconnectedMs !== null);
  // Noticed after one and a half seconds at the earliest.
  assert.ok((doors.seen().disconnectedMs ?? 0) < connectedMs + 1_000);
});

test("what is admitted counts as seen; what is refused does not", async (t) => {
  const doors = await openDoors(t);
  const client = await doors.connect();
  const first = doors.seen().lastSeenMs ?? 0;
  await sleep(5);
  client.send(publishPacket(upTopic(device.deviceId), "sealed", { qos: 1, id: 1 }));
  await client.next();
  const second = doors.seen().lastSeenMs ?? 0;
  assert.ok(second > first);
  doors.refuse("envelope-refused");
  await sleep(5);
  client.send(publishPacket(upTopic(device.deviceId), "other", { qos: 1, id: 2 }));
  await client.next();
  assert.equal(doors.seen().lastSeenMs, second);
});

test("a device that asks by HTTPS was seen, and nobody says that it is not connected", async (t) => {
  const doors = await openDoors(t);
  const client = await doors.connect();
  await client.leave();
  await until(() => doors.seen().disconnectedMs !== null);
  const leftMs = doors.seen().disconnectedMs ?? 0;
  await doors.ask();
  const { connectedSinceMs, disconnectedMs, lastSeenMs } = doors.seen();
  assert.deepEqual([connectedSinceMs, disconnectedMs], [null, null]);
  assert.ok((lastSeenMs ?? 0) >= leftMs);
});

test("a request that came after a dead connection was last heard is not forgotten when that one ends", () => {
  const presence = new Presence();
  presence.connected("one", 1_000);
  presence.heard("one", 2_005);
  presence.requested("one", 60_000);
  presence.disconnected("one", 2_000);
  assert.deepEqual(presence.of("one"), {
    connectedSinceMs: null,
    disconnectedMs: null,
    lastSeenMs: 60_000,
  });
  presence.connected("one", 70_000);
  presence.heard("one", 71_005);
  presence.disconnected("one", 71_000);
  assert.equal(presence.of("one").disconnectedMs, 71_000);
});
