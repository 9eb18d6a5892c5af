/** Fuzzes framing and parsing of MQTT: any bytes, cut anywhere, give packets or one of three refusals. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { parseConnect, parsePacket } from "../../src/ingest/mqtt/decode.ts";
import { Framer } from "../../src/ingest/mqtt/framing.ts";
import { Problem } from "../../src/problems.ts";
import {
  connectPacket,
  properties,
  publishPacket,
  sized,
  subscribePacket,
} from "../support/mqtt-wire.ts";

const vectors = new URL("../vectors/mqtt/valid-packets.json", import.meta.url);
const captured = Object.values(
  JSON.parse(readFileSync(vectors, "utf8")) as Record<string, { hex: string }[]>,
).flatMap((packets) => packets.map((packet) => Buffer.from(packet.hex, "hex")));

const pair = Buffer.concat([Buffer.from([38]), sized("a"), sized("1")]);

/** Captured 3.1.1 packets, and MQTT 5 ones with every kind of property. */
export const seeds: readonly Buffer[] = [
  ...captured,
  connectPacket({ properties: properties(Buffer.from([17, 0, 0, 0, 9, 33, 0, 5]), pair) }),
  connectPacket({ will: { topic: "w", payload: "x", properties: properties(pair, pair) } }),
  publishPacket("a/b", "hello", {
    qos: 2,
    id: 7,
    properties: properties(pair, Buffer.from([1, 1])),
  }),
  publishPacket("", "alias", { properties: properties(Buffer.from([35, 0, 3])) }),
  subscribePacket(["a/#", ["b/+", 0x2d]], { properties: properties(Buffer.from([11, 0x81, 1])) }),
  Buffer.from("a2090001000004746f7069", "hex"),
  Buffer.from("e0070405110000000a", "hex"),
  Buffer.from("f0020000", "hex"),
  Buffer.from("620400019200", "hex"),
];

const refusals = new Set(["mqtt-packet-malformed", "mqtt-protocol-error", "mqtt-packet-too-large"]);

/** One case: what comes out must be typed, and only a named refusal may be thrown. */
export function run(bytes: Uint8Array): void {
  const framer = new Framer(65_536);
  const chunk = Buffer.from(bytes);
  const cut = chunk.length > 0 ? (chunk[0] as number) % (chunk.length + 1) : 0;
  try {
    for (const part of [chunk.subarray(0, cut), chunk.subarray(cut)]) {
      framer.push(part);
      for (let frame = framer.next(); frame; frame = framer.next()) parseAll(frame);
    }
  } catch (error) {
    if (!(error instanceof Problem && refusals.has(error.code))) throw error;
  }
}

function parseAll(frame: NonNullable<ReturnType<Framer["next"]>>): void {
  for (const parse of [
    () => parseConnect(frame),
    () => parsePacket(frame, 4),
    () => parsePacket(frame, 5),
  ]) {
    try {
      const packet = parse();
      assert.ok(packet.type >= 1 && packet.type <= 15);
      if ("topic" in packet) assert.ok(!packet.topic.includes("\0"));
      if ("packetId" in packet && packet.type !== 3) assert.ok(packet.packetId > 0);
    } catch (error) {
      const known = error instanceof Problem && (refusals.has(error.code) || isVersion(error));
      if (!known) throw error;
    }
  }
}

function isVersion(problem: Problem): boolean {
  return problem.code === "mqtt-version-unsupported";
}
