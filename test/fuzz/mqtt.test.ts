import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConnect, parsePacket } from "../../src/ingest/mqtt/decode.ts";
import { Framer } from "../../src/ingest/mqtt/framing.ts";
import { fuzz } from "./main.ts";
import * as target from "./mqtt.ts";

test("every seed of the MQTT fuzzer is a packet that the door takes", () => {
  for (const seed of target.seeds) {
    const framer = new Framer(65_536);
    framer.push(seed);
    const frame = framer.next();
    assert.ok(frame, seed.toString("hex"));
    const version = target.seeds.indexOf(seed) < target.seeds.length - 9 ? 4 : 5;
    const isServers = [2, 9, 11, 13].includes(frame.head >> 4);
    // One capture names a protocol "hj"; it stays a seed.
    if (isServers || seed.includes("\0\x02hj")) continue;
    const packet = frame.head >> 4 === 1 ? parseConnect(frame) : parsePacket(frame, version);
    assert.equal(packet.type, frame.head >> 4);
  }
});

test("twenty thousand mutated packets give typed packets or named refusals", async () => {
  const seed = Date.now() % 1_000_000_000;
  console.log(`seed ${seed}`);
  await fuzz(target, 20_000, seed);
});

test("a fault that a target shows is reported with the bytes that show it", async () => {
  const broken = { seeds: [Buffer.from("00", "hex")], run: () => assert.fail("as meant") };
  await assert.rejects(() => fuzz(broken, 1, 7), /seed 7, case 0: [0-9a-f]*/);
});
