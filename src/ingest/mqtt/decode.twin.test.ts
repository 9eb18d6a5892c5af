/** Our strict parser and mqtt-packet's read valid packets alike. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Packet, parser } from "mqtt-packet";
import { seeds } from "../../../test/fuzz/mqtt.ts";
import { connectPacket, publishPacket, subscribePacket } from "../../../test/support/mqtt-wire.ts";
import { Problem } from "../../problems.ts";
import { parseConnect, parsePacket } from "./decode.ts";
import { Framer } from "./framing.ts";
import type { Incoming, Version } from "./packets.ts";

function theirs(bytes: Buffer, version: Version): Packet | undefined {
  let packet: Packet | undefined;
  const reader = parser({ protocolVersion: version });
  reader.on("packet", (one) => {
    packet = one;
  });
  reader.on("error", () => {
    packet = undefined;
  });
  reader.parse(bytes);
  return packet;
}

function ours(bytes: Buffer, version: Version): Incoming | undefined {
  const framer = new Framer(65_536);
  framer.push(bytes);
  const frame = framer.next();
  if (!frame) return undefined;
  try {
    return frame.head >> 4 === 1 ? parseConnect(frame) : parsePacket(frame, version);
  } catch (error) {
    if (error instanceof Problem) return undefined;
    throw error;
  }
}

/** What both say of a packet, in one form. */
function summary(packet: Incoming | Packet): unknown {
  const fields = packet as unknown as Record<string, unknown>;
  const text = (value: unknown) => Buffer.from(value as Uint8Array).toString("hex");
  const listed = (fields.requests ?? fields.subscriptions) as
    | { filter?: string; topic?: string; qos: number }[]
    | undefined;
  const will = fields.will as { topic: string; payload: Uint8Array; qos: number } | undefined;
  return {
    topic: fields.topic ?? undefined,
    payload: fields.payload ? text(fields.payload) : undefined,
    packetId: fields.packetId || fields.messageId || undefined,
    clientId: fields.clientId,
    clean: fields.cleanStart ?? fields.clean,
    keepAlive: fields.keepAliveS ?? fields.keepalive,
    will: will && [will.topic, text(will.payload), will.qos],
    filters: listed?.map((one) => [one.filter ?? one.topic, one.qos]),
    unsubscribed: fields.filters ?? fields.unsubscriptions,
    properties: Object.entries((fields.properties ?? {}) as Record<string, unknown>)
      .filter(([name]) => /^(receiveMaximum|sessionExpiryInterval|topicAlias)$/.test(name))
      .sort(),
  };
}

test("every valid packet reads the same by our parser and by mqtt-packet", () => {
  const more = [
    connectPacket({ keepAlive: 7, will: { topic: "w", payload: "bye", qos: 2, retain: true } }),
    publishPacket("a/b", "payload", { qos: 1, id: 9 }),
    subscribePacket(
      [
        ["x", 1],
        ["y/#", 2],
      ],
      { id: 3 },
    ),
  ];
  let compared = 0;
  for (const bytes of [...seeds, ...more]) {
    for (const version of [4, 5] as const) {
      const own = ours(bytes, version);
      // Ours refuses more: what it takes, theirs must take and read alike.
      if (!own) continue;
      const other = theirs(bytes, version);
      assert.ok(other, bytes.toString("hex"));
      assert.deepEqual(summary(own), summary(other), bytes.toString("hex"));
      compared++;
    }
  }
  assert.ok(compared > 30, `${compared} compared`);
});

test("what mqtt-packet lets pass and the standard forbids is refused here", () => {
  const lax: [what: string, hex: string][] = [
    ["ill-formed UTF-8 in a topic", "30050002c32841"],
    ["packet identifier 0", "32050001610000"],
    ["a property of another packet", "300a000161051100000001aa"],
  ];
  for (const [what, hex] of lax) {
    const bytes = Buffer.from(hex, "hex");
    assert.equal(ours(bytes, 5), undefined, what);
  }
});
