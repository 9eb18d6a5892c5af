/** The MQTT road against a broker, played byte by byte, that goes away in the middle. */
import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { createServer, type TLSSocket } from "node:tls";
import { testAuthority } from "../../test/support/device-certificates.ts";
import { packet, properties, RawClient, type RawPacket } from "../../test/support/mqtt-wire.ts";
import { mqttTransport } from "./mqtt-transport.ts";

const authority = await testAuthority();
const CONNACK = packet(0x20, Buffer.from([0, 0]), properties());
const TYPE = { connect: 1, publish: 3, subscribe: 8 };

function suback(subscribe: RawPacket): Buffer {
  return packet(0x90, subscribe.body.subarray(0, 2), properties(), Buffer.from([1]));
}

/** @param answer is called with each packet after CONNECT. @returns a road to it. */
async function broker(t: TestContext, answer: (got: RawPacket, socket: TLSSocket) => void) {
  const server = createServer({ ...authority.server, minVersion: "TLSv1.3" });
  const sockets = new Set<TLSSocket>();
  server.on("secureConnection", async (socket: TLSSocket) => {
    sockets.add(socket);
    const client = new RawClient(socket);
    while (!client.closed) {
      const got = await client.next().catch(() => undefined);
      if (got === undefined) return;
      if (got.type === TYPE.connect) socket.write(CONNACK);
      else answer(got, socket);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const device = await authority.device("0190a000-0000-7000-8000-000000000001");
  const identity = {
    deviceId: device.deviceId,
    keyPem: device.key,
    certificatePem: device.cert,
    caPem: authority.ca,
  };
  return mqttTransport(identity, `mqtts://127.0.0.1:${port}`);
}

function listener() {
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  let closes = 0;
  return {
    closed,
    closes: () => closes,
    events: {
      downlink: () => undefined,
      closed: () => {
        closes++;
        resolve();
      },
    },
  };
}

test("what waits for its PUBACK fails when the broker ends the connection, and the end is told once", async (t) => {
  const road = await broker(t, (got, socket) => {
    if (got.type === TYPE.subscribe) socket.write(suback(got));
    if (got.type === TYPE.publish) socket.end();
  });
  const heard = listener();
  const connection = await road.connect(heard.events);
  const sends = [1, 2, 3].map((byte) => connection.send(Uint8Array.of(byte)));
  for (const send of sends) await assert.rejects(send, /connection/i);
  await heard.closed;
  await connection.close();
  assert.equal(heard.closes(), 1);
});

test("a broker that goes before it takes the subscription is a road that could not be opened", async (t) => {
  const road = await broker(t, (got, socket) => {
    if (got.type === TYPE.subscribe) socket.end();
  });
  await assert.rejects(road.connect(listener().events), /connection/i);
});

test("closing ends also when the broker never acknowledges, and never says goodbye", async (t) => {
  const road = await broker(t, (got, socket) => {
    if (got.type === TYPE.subscribe) socket.write(suback(got));
  });
  const connection = await road.connect(listener().events);
  const send = connection.send(Uint8Array.of(1));
  const failed = assert.rejects(send, /connection/i);
  await connection.close();
  await failed;
});
