/** MQTT 3.1.1 (OASIS Standard, 29 October 2014), by its statement ids, on the conformance listener. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { testConformance } from "../support/conformance.ts";
import {
  type ConnectFields,
  connectPacket,
  packet,
  pingPacket,
  publishPacket,
  type RawClient,
  readPublish,
  sized,
  subscribePacket,
  u16,
} from "../support/mqtt-wire.ts";

const v4 = { version: 4 } as const;

function publish(
  topic: string,
  payload: string,
  o: { qos?: number; id?: number; retain?: boolean; duplicate?: boolean } = {},
) {
  return publishPacket(topic, payload, { ...o, ...v4 });
}

async function subscribe(client: RawClient, ...filters: [string, number][]): Promise<number[]> {
  client.send(subscribePacket(filters, { ...v4, id: 10 }));
  const suback = await client.nextOf(9);
  assert.equal(suback.body.readUInt16BE(0), 10); // [MQTT-3.8.4-2]
  return [...suback.body.subarray(2)];
}

test("[MQTT-3.1.0-1] [MQTT-3.1.0-2] the first packet is a CONNECT and there is only one", async (t) => {
  const bed = await testConformance(t);
  const early = await bed.open();
  early.send(pingPacket);
  await early.untilClosed();
  const twice = await bed.client("twice", v4);
  twice.send(connectPacket({ ...v4, clientId: "twice" }));
  await twice.untilClosed();
});

test("[MQTT-3.1.2-1] [MQTT-3.1.2-2] another protocol is closed on, another level is told 0x01", async (t) => {
  const bed = await testConformance(t);
  const other = await bed.open();
  other.send(packet(0x10, sized("MQTTX"), Buffer.from([4, 2]), u16(0), sized("x")));
  await other.untilClosed();
  for (const level of [3, 0]) {
    const old = await bed.open();
    old.send(packet(0x10, sized("MQTT"), Buffer.from([level, 2]), u16(0), sized("x")));
    assert.deepEqual([...(await old.nextOf(2)).body], [0, 1]);
    await old.untilClosed();
  }
});

test("[MQTT-3.1.2-4] [MQTT-3.1.2-6] [MQTT-3.2.2-1] [MQTT-3.2.2-2] a session is kept or made anew, and CONNACK says which", async (t) => {
  const bed = await testConformance(t);
  const steps: [clean: boolean, present: number][] = [
    [true, 0],
    [false, 0],
    [false, 1],
    [true, 0],
    [false, 0],
  ];
  for (const [clean, present] of steps) {
    const client = await bed.open();
    const connack = await client.greet({ ...v4, clientId: "session", clean });
    assert.equal(connack.body[0], present, `clean ${clean}`);
    await client.leave();
  }
});

test("[MQTT-3.1.3-7] [MQTT-3.1.3-8] no client id: taken with a clean session, else 0x02 and the end", async (t) => {
  const bed = await testConformance(t);
  const client = await bed.open();
  await client.greet({ ...v4, clientId: "", clean: true });
  const kept = await bed.open();
  kept.send(connectPacket({ ...v4, clientId: "", clean: false }));
  assert.deepEqual([...(await kept.nextOf(2)).body], [0, 2]);
  await kept.untilClosed();
});

test("[MQTT-3.1.4-2] a second connection of a client id ends the first", async (t) => {
  const bed = await testConformance(t);
  const first = await bed.client("same", v4);
  const second = await bed.client("same", v4);
  await first.untilClosed();
  second.send(pingPacket);
  await second.nextOf(13);
});

test("[MQTT-3.1.2-24] silence for one and a half keep-alive times ends the connection and sends the will", async (t) => {
  const bed = await testConformance(t);
  const watcher = await bed.client("watcher", v4);
  await subscribe(watcher, ["will/+", 2]);
  const will = { topic: "will/silent", payload: "gone", qos: 1 };
  const silent = await bed.client("silent", { ...v4, keepAlive: 1, will });
  const beganMs = performance.now();
  const seen = await watcher.nextPublish(4);
  const afterMs = performance.now() - beganMs;
  assert.equal(seen.payload, "gone"); // [MQTT-3.1.2-8]
  assert.ok(afterMs > 1_400 && afterMs < 3_000, `${afterMs} ms`);
  await silent.untilClosed();
});

test("[MQTT-3.1.2-10] [MQTT-3.14.4-3] a DISCONNECT takes the will back", async (t) => {
  const bed = await testConformance(t);
  const watcher = await bed.client("watcher", v4);
  await subscribe(watcher, ["will", 1]);
  const leaving = await bed.client("leaving", { ...v4, will: { topic: "will", payload: "x" } });
  await leaving.leave();
  await watcher.silence();
});

test("[MQTT-3.1.2-17] a will with retain is kept for later subscribers", async (t) => {
  const bed = await testConformance(t);
  const will = { topic: "will", payload: "kept", retain: true, qos: 1 };
  const lost = await bed.client("lost", { ...v4, will });
  const early = await bed.client("early", v4);
  await subscribe(early, ["will", 1]);
  lost.socket.destroy();
  assert.equal((await early.nextPublish(4)).retain, false); // from now on it is kept
  const watcher = await bed.client("watcher", v4);
  await subscribe(watcher, ["will", 1]);
  const seen = await watcher.nextPublish(4);
  assert.deepEqual([seen.payload, seen.retain, seen.qos], ["kept", true, 1]);
});

test("[MQTT-3.3.1-6] [MQTT-3.3.1-10] [MQTT-3.3.1-11] the last retained message is given to a new subscriber; an empty one removes it", async (t) => {
  const bed = await testConformance(t);
  const publisher = await bed.client("publisher", v4);
  publisher.send(
    publish("r/a", "old", { qos: 1, id: 1, retain: true }),
    publish("r/a", "new", { qos: 1, id: 2, retain: true }),
    publish("r/b", "gone", { qos: 1, id: 3, retain: true }),
    publish("r/b", "", { qos: 0, retain: true }),
    publish("r/c", "last", { qos: 1, id: 4, retain: true }),
  );
  for (const id of [1, 2, 3, 4]) assert.equal((await publisher.nextOf(4)).body.readUInt16BE(0), id);
  const reader = await bed.client("reader", v4);
  assert.deepEqual(await subscribe(reader, ["r/+", 0]), [0]);
  const seen = [await reader.nextPublish(4), await reader.nextPublish(4)];
  assert.deepEqual(
    seen.map((one) => [one.topic, one.payload, one.retain, one.qos]),
    [
      ["r/a", "new", true, 0],
      ["r/c", "last", true, 0],
    ],
  );
  publisher.send(publish("r/a", "live", { retain: true }));
  assert.equal((await reader.nextPublish(4)).retain, false); // [MQTT-3.3.1-9]
});

test("[MQTT-3.3.5-1] [MQTT-3.8.4-6] a message arrives once at the lesser of published and granted QoS", async (t) => {
  const bed = await testConformance(t);
  for (const granted of [0, 1, 2]) {
    const reader = await bed.client(`reader-${granted}`, v4);
    assert.deepEqual(await subscribe(reader, ["q/#", granted], ["q/+", granted]), [
      granted,
      granted,
    ]);
    const publisher = await bed.client(`publisher-${granted}`, v4);
    for (const qos of [0, 1, 2]) {
      publisher.send(publish(`q/${granted}`, `at ${qos}`, { qos, id: 5 }));
      const seen = await reader.nextPublish(4);
      assert.deepEqual([seen.payload, seen.qos], [`at ${qos}`, Math.min(qos, granted)]);
      if (seen.qos === 1) reader.send(packet(0x40, u16(seen.id)));
      if (seen.qos === 2) {
        reader.send(packet(0x50, u16(seen.id)));
        assert.equal((await reader.nextOf(6)).flags, 2); // [MQTT-3.6.1-1]
        reader.send(packet(0x70, u16(seen.id)));
      }
      if (qos === 2) {
        await publisher.nextOf(5);
        publisher.send(packet(0x62, u16(5)));
        await publisher.nextOf(7); // [MQTT-4.3.3-2]
      } else if (qos === 1) await publisher.nextOf(4);
    }
    await reader.silence(50);
    await reader.leave();
  }
});

test("[MQTT-4.3.3-2] a QoS 2 message sent again before its PUBREL is kept once", async (t) => {
  const bed = await testConformance(t);
  const reader = await bed.client("reader", v4);
  await subscribe(reader, ["once", 0]);
  let publisher = await bed.client("publisher", { ...v4, clean: false });
  publisher.send(publish("once", "1", { qos: 2, id: 77 }));
  await publisher.nextOf(5);
  publisher.socket.destroy();
  publisher = await bed.client("publisher", { ...v4, clean: false });
  publisher.send(publish("once", "1", { qos: 2, id: 77, duplicate: true }));
  assert.equal((await publisher.nextOf(5)).body.readUInt16BE(0), 77);
  publisher.send(packet(0x62, u16(77)));
  assert.equal((await publisher.nextOf(7)).body.readUInt16BE(0), 77);
  publisher.send(publish("once", "2", { qos: 2, id: 77 }));
  await publisher.nextOf(5);
  assert.deepEqual(
    [(await reader.nextPublish(4)).payload, (await reader.nextPublish(4)).payload],
    ["1", "2"],
  );
  await reader.silence(50);
});

test("[MQTT-4.4.0-1] [MQTT-3.1.2-5] unfinished and missed messages come after the reconnect, in order, marked as repeated", async (t) => {
  const bed = await testConformance(t);
  const kept: ConnectFields = { ...v4, clean: false };
  let reader = await bed.client("reader", kept);
  await subscribe(reader, ["m/+", 2]);
  const publisher = await bed.client("publisher", v4);
  publisher.send(
    publish("m/1", "one", { qos: 1, id: 1 }),
    publish("m/2", "two", { qos: 2, id: 2 }),
  );
  const first = [await reader.nextPublish(4), await reader.nextPublish(4)];
  reader.send(packet(0x50, u16(first[1]?.id ?? 0)));
  await reader.nextOf(6);
  await reader.leave();
  publisher.send(publish("m/3", "three", { qos: 1, id: 3 }));
  await publisher.nextOf(4);
  await publisher.nextOf(5);
  await publisher.nextOf(4);
  reader = await bed.client("reader", kept);
  const again = await reader.nextPublish(4);
  assert.deepEqual([again.payload, again.duplicate, again.id], ["one", true, first[0]?.id]);
  assert.equal((await reader.nextOf(6)).body.readUInt16BE(0), first[1]?.id);
  const missed = await reader.nextPublish(4);
  assert.deepEqual([missed.payload, missed.duplicate], ["three", false]);
});

test("[MQTT-4.6.0-2] [MQTT-4.6.0-6] acknowledgements and messages keep their order", async (t) => {
  const bed = await testConformance(t);
  const reader = await bed.client("reader", v4);
  await subscribe(reader, ["o", 1]);
  const publisher = await bed.client("publisher", v4);
  const ids = Array.from({ length: 60 }, (_, i) => i + 1);
  publisher.send(...ids.map((id) => publish("o", String(id), { qos: 1, id })));
  for (const id of ids) assert.equal((await publisher.nextOf(4)).body.readUInt16BE(0), id);
  for (const id of ids) assert.equal((await reader.nextPublish(4)).payload, String(id));
});

test("[MQTT-3.8.4-5] [MQTT-3.9.3-2] each filter has its answer; one that is not allowed is 0x80", async (t) => {
  const bed = await testConformance(t);
  const client = await bed.client("client", v4);
  const codes = await subscribe(client, ["a", 1], ["test/nosubscribe", 2], ["a/#/b", 2], ["b", 0]);
  assert.deepEqual(codes, [1, 0x80, 0x80, 0]);
});

test("[MQTT-3.10.4-1] [MQTT-3.10.4-4] an unsubscribed filter delivers nothing more", async (t) => {
  const bed = await testConformance(t);
  const client = await bed.client("client", v4);
  await subscribe(client, ["a", 1], ["b", 1]);
  client.send(packet(0xa2, u16(9), sized("a")));
  assert.equal((await client.nextOf(11)).body.toString("hex"), "0009");
  client.send(publish("a", "no"), publish("b", "yes"));
  assert.equal((await client.nextPublish(4)).payload, "yes");
});

test("[MQTT-4.7.2-1] a leading wildcard does not match names that begin with $", async (t) => {
  const bed = await testConformance(t);
  const client = await bed.client("client", v4);
  await subscribe(client, ["#", 0], ["+/x", 0]);
  client.send(publish("$own/x", "hidden"), publish("own/x", "seen"));
  assert.equal((await client.nextPublish(4)).payload, "seen");
});

test("[MQTT-3.12.4-1] a PINGREQ is answered", async (t) => {
  const bed = await testConformance(t);
  const client = await bed.client("client", v4);
  client.send(pingPacket);
  assert.equal((await client.nextOf(13)).bytes.toString("hex"), "d000");
});

test("malformed 3.1.1 packets end the connection, and nobody else notices", async (t) => {
  const bed = await testConformance(t);
  const bystander = await bed.client("bystander", v4);
  const cases: [statement: string, bytes: Buffer][] = [
    ["[MQTT-2.2.2-2] reserved flags of PINGREQ", Buffer.from("c100", "hex")],
    [
      "[MQTT-3.8.1-1] reserved flags of SUBSCRIBE",
      packet(0x80, u16(1), sized("a"), Buffer.from([0])),
    ],
    ["[MQTT-3.6.1-1] reserved flags of PUBREL", packet(0x60, u16(1))],
    ["[MQTT-3.3.1-4] QoS 3", packet(0x36, sized("a"), u16(1))],
    ["[MQTT-3.3.1-2] duplicate at QoS 0", packet(0x38, sized("a"))],
    ["[MQTT-2.3.1-1] packet identifier 0", packet(0x32, sized("a"), u16(0))],
    ["[MQTT-3.3.2-2] wildcard in a topic name", publish("a/+", "x")],
    ["[MQTT-4.7.3-1] empty topic name", publish("", "x")],
    ["[MQTT-1.5.3-1] ill-formed UTF-8", packet(0x30, Buffer.from("0002c328", "hex"))],
    ["[MQTT-1.5.3-1] a surrogate in UTF-8", packet(0x30, Buffer.from("0003eda080", "hex"))],
    ["[MQTT-1.5.3-2] U+0000", packet(0x30, Buffer.from("00026100", "hex"))],
    ["[MQTT-3.8.3-3] SUBSCRIBE without a filter", packet(0x82, u16(1))],
    ["[MQTT-3-8.3-4] reserved bits of the requested QoS", subscribePacket([["a", 4]], v4)],
    ["[MQTT-3-8.3-4] requested QoS 3", subscribePacket([["a", 3]], v4)],
    ["[MQTT-3.10.3-2] UNSUBSCRIBE without a filter", packet(0xa2, u16(1))],
    ["[MQTT-3.14.1-1] reserved flags of DISCONNECT", Buffer.from("e100", "hex")],
    ["a server's packet", Buffer.from("d000", "hex")],
    ["type 0", Buffer.from("0000", "hex")],
    ["AUTH", Buffer.from("f000", "hex")],
    ["a topic longer than its packet", packet(0x30, u16(40), Buffer.from("a"))],
    ["bytes after the end", packet(0x40, u16(1), Buffer.from([0]))],
  ];
  for (const [statement, bytes] of cases) {
    const client = await bed.client("broken", v4);
    client.send(bytes);
    await client.untilClosed().catch((cause: unknown) => {
      throw new Error(statement, { cause });
    });
  }
  const connects: [statement: string, bytes: Buffer][] = [
    [
      "[MQTT-3.1.2-3] reserved connect flag",
      packet(0x10, sized("MQTT"), Buffer.from([4, 3]), u16(0), sized("x")),
    ],
    [
      "[MQTT-3.1.2-11] will flags without a will",
      packet(0x10, sized("MQTT"), Buffer.from([4, 0x0a]), u16(0), sized("x")),
    ],
    [
      "[MQTT-3.1.2-14] will QoS 3",
      packet(
        0x10,
        sized("MQTT"),
        Buffer.from([4, 0x1e]),
        u16(0),
        sized("x"),
        sized("t"),
        sized("p"),
      ),
    ],
    [
      "[MQTT-3.1.2-22] password without user name",
      packet(0x10, sized("MQTT"), Buffer.from([4, 0x42]), u16(0), sized("x"), sized("p")),
    ],
    ["a truncated CONNECT", packet(0x10, sized("MQTT"), Buffer.from([4, 2, 0]))],
    [
      "bytes after the CONNECT",
      packet(0x10, sized("MQTT"), Buffer.from([4, 2]), u16(0), sized("x"), sized("y")),
    ],
  ];
  for (const [statement, bytes] of connects) {
    const client = await bed.open();
    client.send(bytes);
    await client.untilClosed().catch((cause: unknown) => {
      throw new Error(statement, { cause });
    });
  }
  bystander.send(pingPacket);
  await bystander.nextOf(13);
});

test("a packet cut into single bytes is read whole", async (t) => {
  const bed = await testConformance(t);
  const client = await bed.client("client", v4);
  await subscribe(client, ["slow", 0]);
  for (const byte of publish("slow", "drop by drop")) {
    client.send(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(readPublish(await client.next(), 4).payload, "drop by drop");
});
