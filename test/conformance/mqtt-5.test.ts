/**
 * MQTT 5.0 (OASIS Standard, 7 March 2019), by its statement ids, on the conformance listener. Past 400
 * lines because one standard's statements are looked up in one place.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { testConformance } from "../support/conformance.ts";
import {
  connectPacket,
  packet,
  pingPacket,
  properties,
  publishPacket,
  type RawClient,
  type RawPacket,
  sized,
  subscribePacket,
  u16,
  u32,
  varint,
} from "../support/mqtt-wire.ts";

const P = {
  format: (value: number) => Buffer.from([1, value]),
  expiry: (seconds: number) => Buffer.concat([Buffer.from([2]), u32(seconds)]),
  contentType: (text: string) => Buffer.concat([Buffer.from([3]), sized(text)]),
  responseTopic: (text: string) => Buffer.concat([Buffer.from([8]), sized(text)]),
  correlation: (text: string) => Buffer.concat([Buffer.from([9]), sized(text)]),
  identifier: (value: number) => Buffer.concat([Buffer.from([11]), varint(value)]),
  sessionExpiry: (seconds: number) => Buffer.concat([Buffer.from([17]), u32(seconds)]),
  willDelay: (seconds: number) => Buffer.concat([Buffer.from([24]), u32(seconds)]),
  receiveMaximum: (value: number) => Buffer.concat([Buffer.from([33]), u16(value)]),
  aliasMaximum: (value: number) => Buffer.concat([Buffer.from([34]), u16(value)]),
  alias: (value: number) => Buffer.concat([Buffer.from([35]), u16(value)]),
  user: (name: string, value: string) =>
    Buffer.concat([Buffer.from([38]), sized(name), sized(value)]),
  packetMaximum: (value: number) => Buffer.concat([Buffer.from([39]), u32(value)]),
  authMethod: (text: string) => Buffer.concat([Buffer.from([21]), sized(text)]),
};
const kept = { clean: false, properties: properties(P.sessionExpiry(60)) };

function connackHas(connack: RawPacket, property: Buffer): boolean {
  return connack.body.subarray(3).includes(property);
}

async function subscribe(
  client: RawClient,
  filters: [string, number][],
  block = properties(),
): Promise<number[]> {
  client.send(subscribePacket(filters, { id: 10, properties: block }));
  const suback = await client.nextOf(9);
  return [...suback.body.subarray(3)];
}

async function disconnectedWith(client: RawClient, reason: number, what: string): Promise<void> {
  const raw = await client.next().catch((cause: unknown) => {
    throw new Error(what, { cause });
  });
  assert.deepEqual([raw.type, raw.body[0]], [14, reason], what);
  await client.untilClosed();
}

const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test("[MQTT-3.1.2-2] a level that does not exist yet is told 0x84", async (t) => {
  const bed = await testConformance(t);
  const client = await bed.open();
  client.send(packet(0x10, sized("MQTT"), Buffer.from([6, 2]), u16(0), properties(), sized("x")));
  assert.equal((await client.nextOf(2)).body[1], 0x84);
  await client.untilClosed();
});

test("[MQTT-3.1.3-6] [MQTT-3.1.3-7] a client without an id is given a unique one", async (t) => {
  const bed = await testConformance(t);
  const ids = new Set<string>();
  for (let i = 0; i < 3; i++) {
    const client = await bed.open();
    const { body } = await client.greet({ clientId: "" });
    const at = body.indexOf(18, 3);
    ids.add(body.subarray(at + 3, at + 3 + body.readUInt16BE(at + 1)).toString());
  }
  assert.equal(ids.size, 3);
  for (const id of ids) assert.match(id, /^vitalward-[0-9a-f-]{36}$/);
});

test("[MQTT-3.1.2-21] [MQTT-3.2.2-21] the server's keep-alive is announced and binds", async (t) => {
  const bed = await testConformance(t, { settings: { serverKeepAliveS: 1 } });
  const client = await bed.open();
  const connack = await client.greet({ clientId: "a", keepAlive: 120 });
  assert.ok(connackHas(connack, Buffer.from([19, 0, 1])));
  await disconnectedWith(client, 0x8d, "keep alive timeout"); // [MQTT-3.1.2-22]
});

test("[MQTT-3.1.4-3] a takeover tells the first connection 0x8E", async (t) => {
  const bed = await testConformance(t);
  const first = await bed.client("same");
  await bed.client("same");
  await disconnectedWith(first, 0x8e, "taken over");
});

test("[MQTT-3.1.2-23] [MQTT-4.1.0-1] a session lives as long as its expiry, which DISCONNECT may change", async (t) => {
  const bed = await testConformance(t);
  const present = async (clean: boolean, seconds: number) => {
    const client = await bed.open();
    const block = properties(P.sessionExpiry(seconds));
    const connack = await client.greet({ clientId: "s", clean, properties: block });
    return { client, present: connack.body[0] };
  };
  const first = await present(true, 1);
  assert.equal(first.present, 0);
  await first.client.leave();
  const second = await present(false, 1);
  assert.equal(second.present, 1);
  await second.client.leave();
  await later(1_300);
  const third = await present(false, 1);
  assert.equal(third.present, 0);
  third.client.send(packet(0xe0, Buffer.from([0]), properties(P.sessionExpiry(30))));
  await third.client.untilClosed();
  await later(1_300);
  const fourth = await present(false, 5);
  assert.equal(fourth.present, 1);
  fourth.client.send(packet(0xe0, Buffer.from([0]), properties(P.sessionExpiry(0))));
  await fourth.client.untilClosed();
  assert.equal((await present(false, 0)).present, 0);
});

test("[MQTT-3.14.2-2] an expiry that was 0 is not raised by DISCONNECT", async (t) => {
  const bed = await testConformance(t);
  const client = await bed.client("a");
  client.send(packet(0xe0, Buffer.from([0]), properties(P.sessionExpiry(5))));
  await disconnectedWith(client, 0x82, "protocol error");
});

test("[MQTT-3.1.3-9] a delayed will waits, is dropped by a reconnect, and comes early with the session's end", async (t) => {
  const bed = await testConformance(t);
  const watcher = await bed.client("watcher");
  await subscribe(watcher, [["will", 0]]);
  const connectWith = (delayS: number, expiryS: number) =>
    bed.client("mortal", {
      clean: false,
      properties: properties(P.sessionExpiry(expiryS)),
      will: { topic: "will", payload: `${delayS}`, properties: properties(P.willDelay(delayS)) },
    });
  (await connectWith(1, 30)).socket.destroy();
  const beganMs = performance.now();
  assert.equal((await watcher.nextPublish()).payload, "1");
  assert.ok(performance.now() - beganMs > 900);
  (await connectWith(1, 30)).socket.destroy();
  await later(100);
  const back = await connectWith(30, 1);
  await watcher.silence(1_300);
  back.socket.destroy();
  assert.equal((await watcher.nextPublish()).payload, "30");
});

test("[MQTT-3.14.4-3] DISCONNECT 0x04 leaves the will to be sent; 0x00 takes it back", async (t) => {
  const bed = await testConformance(t);
  const watcher = await bed.client("watcher");
  await subscribe(watcher, [["will", 0]]);
  for (const reason of [0, 4]) {
    const client = await bed.client("c", { will: { topic: "will", payload: `${reason}` } });
    client.send(packet(0xe0, Buffer.from([reason])));
    await client.untilClosed();
  }
  assert.equal((await watcher.nextPublish()).payload, "4");
});

test("[MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-18] [MQTT-3.3.2-20] a message's properties pass unaltered, user properties in order", async (t) => {
  const bed = await testConformance(t);
  const client = await bed.client("a");
  await subscribe(client, [["p", 2]]);
  const block = [
    P.format(1),
    P.contentType("text/plain"),
    P.responseTopic("reply/here"),
    P.correlation("\x00\x01"),
    P.user("b", "1"),
    P.user("a", "2"),
    P.user("b", "3"),
  ];
  client.send(publishPacket("p", "x", { properties: properties(...block) }));
  assert.equal(
    (await client.nextPublish()).properties.toString("hex"),
    Buffer.concat(block).toString("hex"),
  );
});

test("[MQTT-3.3.2-5] [MQTT-3.3.2-6] an expired message is not sent, and what waited carries what is left", async (t) => {
  const bed = await testConformance(t);
  let reader = await bed.client("reader", kept);
  await subscribe(reader, [["e", 1]]);
  await reader.leave();
  const publisher = await bed.client("publisher");
  publisher.send(
    publishPacket("e", "short", { qos: 1, id: 1, properties: properties(P.expiry(1)) }),
    publishPacket("e", "long", { qos: 1, id: 2, properties: properties(P.expiry(60)) }),
  );
  await publisher.nextOf(4);
  await publisher.nextOf(4);
  await later(1_200);
  reader = await bed.client("reader", kept);
  const seen = await reader.nextPublish();
  assert.equal(seen.payload, "long");
  const leftS = seen.properties.readUInt32BE(1);
  assert.ok(leftS < 60 && leftS >= 57, `${leftS} s`);
});

test("[MQTT-3.8.3-3] no local: a client does not hear itself", async (t) => {
  const bed = await testConformance(t);
  const one = await bed.client("one");
  const other = await bed.client("other");
  await subscribe(one, [["n", 2 | 4]]);
  await subscribe(other, [["n", 2 | 4]]);
  one.send(publishPacket("n", "from one"));
  assert.equal((await other.nextPublish()).payload, "from one");
  await one.silence();
});

test("[MQTT-3.3.1-12] [MQTT-3.3.1-13] retain as published keeps the flag, without it the flag is cleared", async (t) => {
  const bed = await testConformance(t);
  const as = await bed.client("as");
  const not = await bed.client("not");
  await subscribe(as, [["k", 8]]);
  await subscribe(not, [["k", 0]]);
  as.send(publishPacket("k", "1"), publishPacket("k", "2", { retain: true }));
  assert.deepEqual(
    [(await as.nextPublish()).retain, (await as.nextPublish()).retain],
    [false, true],
  );
  assert.deepEqual(
    [(await not.nextPublish()).retain, (await not.nextPublish()).retain],
    [false, false],
  );
});

test("[MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] retain handling 0 sends always, 1 only to a new subscription, 2 never", async (t) => {
  const bed = await testConformance(t);
  const publisher = await bed.client("publisher");
  publisher.send(publishPacket("h/a", "kept", { qos: 1, retain: true }));
  await publisher.nextOf(4);
  for (const [handling, expected] of [
    [0, [1, 1]],
    [1, [1, 0]],
    [2, [0, 0]],
  ] as const) {
    const client = await bed.client(`client-${handling}`);
    for (const count of expected) {
      assert.deepEqual(await subscribe(client, [["h/+", handling << 4]]), [0]);
      if (count === 1) assert.equal((await client.nextPublish()).retain, true);
      else await client.silence(60);
    }
  }
});

test("[MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT-3.3.4-4] overlapping filters: one message, highest QoS, all identifiers", async (t) => {
  const bed = await testConformance(t);
  const client = await bed.client("a");
  await subscribe(client, [["i/+", 1]], properties(P.identifier(2)));
  await subscribe(client, [["i/#", 2]], properties(P.identifier(300)));
  const publisher = await bed.client("b");
  publisher.send(publishPacket("i/x", "x", { qos: 2, id: 1 }));
  const seen = await client.nextPublish();
  assert.equal(seen.qos, 2);
  assert.equal(seen.properties.toString("hex"), "0b020bac02");
  await client.silence(60);
});

test("[MQTT-3.8.4-3] [MQTT-3.8.4-4] subscribing again replaces the subscription", async (t) => {
  const bed = await testConformance(t);
  const client = await bed.client("a");
  await subscribe(client, [["again", 2]]);
  await subscribe(client, [["again", 0]]);
  client.send(publishPacket("again", "x", { qos: 1, id: 3 }));
  const packets = [await client.next(), await client.next()];
  assert.deepEqual(packets.map((one) => one.type).sort(), [3, 4]);
  assert.equal(packets.find((one) => one.type === 3)?.flags, 0);
});

test("[MQTT-3.3.2-7] to [MQTT-3.3.2-12] topic aliases are set, used, reset with the connection, and bounded", async (t) => {
  const bed = await testConformance(t, { settings: { topicAliasMaximum: 3 } });
  const client = await bed.open();
  assert.ok(connackHas(await client.greet({ clientId: "a" }), P.aliasMaximum(3)));
  await subscribe(client, [["t/#", 0]]);
  client.send(
    publishPacket("t/1", "set", { properties: properties(P.alias(3)) }),
    publishPacket("", "use", { properties: properties(P.alias(3)) }),
    publishPacket("t/2", "set anew", { properties: properties(P.alias(3)) }),
    publishPacket("", "use anew", { properties: properties(P.alias(3)) }),
  );
  const topics: string[] = [];
  for (let i = 0; i < 4; i++) topics.push((await client.nextPublish()).topic);
  assert.deepEqual(topics, ["t/1", "t/1", "t/2", "t/2"]);
  const cases: [alias: number, reason: number][] = [
    [0, 0x94],
    [4, 0x94],
    [2, 0x82],
  ];
  for (const [alias, reason] of cases) {
    const bad = await bed.client("bad");
    bad.send(publishPacket("", "x", { properties: properties(P.alias(alias)) }));
    await disconnectedWith(bad, reason, `alias ${alias}`);
  }
});

test("[MQTT-3.1.2-26] [MQTT-3.1.2-27] the server sets topic aliases up to the client's maximum", async (t) => {
  const bed = await testConformance(t);
  const client = await bed.client("a", { properties: properties(P.aliasMaximum(1)) });
  await subscribe(client, [["s/#", 2]]);
  client.send(publishPacket("s/1", "1"), publishPacket("s/1", "2"), publishPacket("s/2", "3"));
  const seen = [await client.nextPublish(), await client.nextPublish(), await client.nextPublish()];
  assert.deepEqual(
    seen.map((one) => [one.topic, one.properties.toString("hex")]),
    [
      ["s/1", "230001"],
      ["", "230001"],
      ["s/2", ""],
    ],
  );
});

test("[MQTT-3.1.2-24] [MQTT-3.1.2-25] no packet larger than the client takes; what is too large counts as sent", async (t) => {
  const bed = await testConformance(t);
  const client = await bed.client("a", { properties: properties(P.packetMaximum(64)) });
  await subscribe(client, [["z", 1]]);
  const publisher = await bed.client("b");
  publisher.send(
    publishPacket("z", "x".repeat(64), { qos: 1, id: 1 }),
    publishPacket("z", "fits", { qos: 1, id: 2 }),
  );
  assert.equal((await client.nextPublish()).payload, "fits");
});

test("[MQTT-3.2.2-15] a packet larger than announced ends the connection with 0x95", async (t) => {
  const bed = await testConformance(t, { settings: { packetBytesMax: 1_000 } });
  const client = await bed.open();
  assert.ok(connackHas(await client.greet({ clientId: "a" }), P.packetMaximum(1_000)));
  client.send(publishPacket("a", "x".repeat(1_000)));
  await disconnectedWith(client, 0x95, "too large");
});

test("[MQTT-3.3.4-7] [MQTT-4.9.0-1] [MQTT-4.9.0-2] the server keeps the client's receive maximum", async (t) => {
  const bed = await testConformance(t);
  const client = await bed.client("a", { properties: properties(P.receiveMaximum(2)) });
  await subscribe(client, [["f", 2]]);
  const publisher = await bed.client("b");
  for (let id = 1; id <= 5; id++) publisher.send(publishPacket("f", `${id}`, { qos: 2, id }));
  const first = await client.nextPublish();
  await client.nextPublish();
  await client.silence(80);
  client.send(publishPacket("f", "qos 0 is not held", { qos: 0 }));
  assert.equal((await client.nextPublish()).payload, "qos 0 is not held"); // [MQTT-3.3.4-8]
  client.send(packet(0x50, u16(first.id)));
  await client.nextOf(6);
  await client.silence(50);
  client.send(packet(0x70, u16(first.id)));
  assert.equal((await client.nextPublish()).payload, "3");
});

test("[MQTT-3.3.4-9] a client that oversteps the server's receive maximum is told 0x93", async (t) => {
  const bed = await testConformance(t, { settings: { receiveMaximum: 3 } });
  const client = await bed.open();
  assert.ok(connackHas(await client.greet({ clientId: "a" }), P.receiveMaximum(3)));
  for (let id = 1; id <= 3; id++) client.send(publishPacket("f", "x", { qos: 2, id }));
  for (let id = 1; id <= 3; id++) await client.nextOf(5);
  client.send(publishPacket("f", "x", { qos: 2, id: 4 }));
  await disconnectedWith(client, 0x93, "receive maximum exceeded");
});

test("[MQTT-4.3.3-13] PUBREL for an id that is not open is answered with 0x92", async (t) => {
  const bed = await testConformance(t);
  const client = await bed.client("a");
  client.send(packet(0x62, u16(99)));
  assert.equal((await client.nextOf(7)).body.toString("hex"), "006392");
});

test("[MQTT-3.8.3-1] [MQTT-3.8.4-6] SUBACK names for each filter why not", async (t) => {
  const bed = await testConformance(t);
  const client = await bed.client("a");
  const codes = await subscribe(client, [
    ["ok", 1],
    ["test/nosubscribe", 2],
    ["a/#/b", 0],
  ]);
  assert.deepEqual(codes, [1, 0x80, 0x8f]);
});

test("[MQTT-3.10.4-5] [MQTT-3.11.3-1] UNSUBACK names for each filter whether it existed", async (t) => {
  const bed = await testConformance(t);
  const client = await bed.client("a");
  await subscribe(client, [["u", 1]]);
  client.send(packet(0xa2, u16(4), properties(), sized("u"), sized("v")));
  assert.equal((await client.nextOf(11)).body.toString("hex"), "0004000011");
});

test("[MQTT-4.8.2-1] to [MQTT-4.8.2-3] members of a share take turns, others hear everything", async (t) => {
  const bed = await testConformance(t);
  const members = [await bed.client("one"), await bed.client("two")];
  for (const member of members) {
    assert.deepEqual(await subscribe(member, [["$share/ward/x/+", 1]]), [1]);
  }
  const watcher = await bed.client("watcher");
  await subscribe(watcher, [["x/#", 0]]);
  for (let i = 0; i < 4; i++) watcher.send(publishPacket("x/y", `${i}`));
  for (let i = 0; i < 4; i++) assert.equal((await watcher.nextPublish()).payload, `${i}`);
  const shared: string[] = [];
  for (const member of members) {
    for (let i = 0; i < 2; i++) shared.push((await member.nextPublish()).payload);
    await member.silence(50);
  }
  assert.deepEqual(shared.sort(), ["0", "1", "2", "3"]);
  const wrong = await bed.client("wrong");
  wrong.send(subscribePacket([["$share/ward/x", 4]]));
  await disconnectedWith(wrong, 0x82, "[MQTT-3.8.3-4] no local on a share");
});

test("[MQTT-4.12.0-1] an authentication method that is not supported is refused with 0x8C", async (t) => {
  const bed = await testConformance(t);
  const client = await bed.open();
  client.send(connectPacket({ properties: properties(P.authMethod("SCRAM-SHA-1")) }));
  assert.equal((await client.nextOf(2)).body[1], 0x8c);
  await client.untilClosed();
});

test("malformed MQTT 5 packets are told 0x81, broken rules 0x82, and nobody else notices", async (t) => {
  const bed = await testConformance(t);
  const bystander = await bed.client("bystander");
  const publish = (...parts: Buffer[]) =>
    publishPacket("a", "", { properties: properties(...parts) });
  const cases: [what: string, reason: number, bytes: Buffer][] = [
    ["[MQTT-2.1.3-1] reserved flags", 0x81, Buffer.from("c100", "hex")],
    ["[MQTT-3.3.1-4] QoS 3", 0x81, packet(0x36, sized("a"), u16(1), properties())],
    ["[MQTT-2.2.1-3] packet identifier 0", 0x81, packet(0x32, sized("a"), u16(0), properties())],
    ["[MQTT-1.5.4-1] ill-formed UTF-8", 0x81, packet(0x30, Buffer.from("0002c32800", "hex"))],
    ["[MQTT-1.5.4-2] U+0000", 0x81, packet(0x30, Buffer.from("0002610000", "hex"))],
    [
      "[MQTT-1.5.5-1] an overlong property length",
      0x81,
      packet(0x30, sized("a"), Buffer.from([0x80, 0])),
    ],
    ["a property cut short", 0x81, packet(0x30, sized("a"), Buffer.from([5, 2, 0, 0, 0]))],
    ["an unknown property", 0x81, publish(Buffer.from([99, 0]))],
    ["[MQTT-2.2.2-1] a foreign property", 0x81, publish(P.sessionExpiry(1))],
    ["a property given twice", 0x82, publish(P.format(1), P.format(1))],
    ["a payload format that is neither 0 nor 1", 0x82, publish(P.format(2))],
    ["[MQTT-3.3.4-6] a subscription identifier from a client", 0x82, publish(P.identifier(1))],
    ["[MQTT-3.3.2-14] a response topic with a wildcard", 0x82, publish(P.responseTopic("a/#"))],
    ["no topic and no alias", 0x82, publishPacket("", "x")],
    ["[MQTT-3.3.2-2] a topic with a wildcard", 0x90, publishPacket("a/#", "x")],
    [
      "subscription identifier 0",
      0x82,
      subscribePacket(["a"], { properties: properties(P.identifier(0)) }),
    ],
    ["[MQTT-3.8.3-5] reserved subscription options", 0x81, subscribePacket([["a", 0x40]])],
    ["retain handling 3", 0x82, subscribePacket([["a", 0x30]])],
    ["[MQTT-3.8.3-2] no filter", 0x82, packet(0x82, u16(1), properties())],
    ["[MQTT-3.10.3-2] no filter to unsubscribe", 0x82, packet(0xa2, u16(1), properties())],
    ["an unknown reason in PUBACK", 0x81, packet(0x40, u16(1), Buffer.from([0x55]))],
    ["an unknown reason in DISCONNECT", 0x81, packet(0xe0, Buffer.from([0x55]))],
    [
      "[MQTT-4.12.0-6] AUTH without a method",
      0x82,
      packet(0xf0, Buffer.from([0x18]), properties()),
    ],
    ["[MQTT-3.1.0-2] a second CONNECT", 0x82, connectPacket()],
    ["a server's packet", 0x82, Buffer.from("d000", "hex")],
    ["type 0", 0x82, Buffer.from("0000", "hex")],
    ["a remaining length of five bytes", 0x81, Buffer.from("30ffffffff01", "hex")],
  ];
  for (const [what, reason, bytes] of cases) {
    const client = await bed.client("broken");
    client.send(bytes);
    await disconnectedWith(client, reason, what);
  }
  const connects: [what: string, reason: number, bytes: Buffer][] = [
    ["receive maximum 0", 0x82, connectPacket({ properties: properties(P.receiveMaximum(0)) })],
    ["packet maximum 0", 0x82, connectPacket({ properties: properties(P.packetMaximum(0)) })],
    ["a foreign property", 0x81, connectPacket({ properties: properties(P.alias(1)) })],
    [
      "[MQTT-3.1.2-3] the reserved flag",
      0x81,
      packet(0x10, sized("MQTT"), Buffer.from([5, 3]), u16(0), properties(), sized("x")),
    ],
    ["a will to a wildcard", 0x90, connectPacket({ will: { topic: "a/#", payload: "x" } })],
  ];
  for (const [what, reason, bytes] of connects) {
    const client = await bed.open();
    client.send(bytes);
    const connack = await client.nextOf(2);
    assert.equal(connack.body[1], reason, what);
    await client.untilClosed();
  }
  bystander.send(pingPacket);
  await bystander.nextOf(13);
});

test("a connection that says nothing, or half a packet, is ended in time", async (t) => {
  const settings = { connectTimeoutMs: 300, packetTimeoutMs: 300 };
  const bed = await testConformance(t, { settings });
  const silent = await bed.open();
  const loris = await bed.open();
  loris.send(connectPacket().subarray(0, 9));
  const begun = await bed.client("begun");
  begun.send(publishPacket("a", "x").subarray(0, 3));
  await silent.untilClosed(2_000);
  await loris.untilClosed(2_000);
  await disconnectedWith(begun, 0x80, "an unfinished packet");
});

test("a client that does not read holds nobody", async (t) => {
  const bed = await testConformance(t);
  const deaf = await bed.client("deaf");
  await subscribe(deaf, [["loud", 0]]);
  deaf.socket.pause();
  const reader = await bed.client("reader");
  await subscribe(reader, [["loud", 0]]);
  const publisher = await bed.client("publisher");
  const payload = "x".repeat(60_000);
  for (let id = 1; id <= 150; id++) {
    publisher.send(publishPacket("loud", payload, { qos: 1, id }));
    await publisher.nextOf(4);
    assert.equal((await reader.nextPublish()).payload.length, payload.length);
  }
});
