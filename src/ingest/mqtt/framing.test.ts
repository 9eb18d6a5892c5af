import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem } from "../../problems.ts";
import { Framer } from "./framing.ts";

function framesOf(framer: Framer, chunk: Buffer): string[] {
  const out: string[] = [];
  framer.push(chunk);
  for (let frame = framer.next(); frame; frame = framer.next()) {
    out.push(`${frame.head.toString(16)}:${frame.body.toString("hex")}`);
  }
  return out;
}

function refusedAs(code: string): (error: unknown) => boolean {
  return (error) => error instanceof Problem && error.code === code;
}

test("packets come out whole, however the stream was cut", () => {
  const long = Buffer.concat([Buffer.from([0x30, 0xac, 0x02]), Buffer.alloc(300, 7)]);
  const stream = Buffer.concat([
    Buffer.from([0xc0, 0]),
    long,
    Buffer.from([0x40, 2, 0, 1, 0xe0, 0]),
  ]);
  const whole = framesOf(new Framer(1_000), stream);
  assert.equal(whole.length, 4);
  for (const step of [1, 2, 3, 5, 64, 299, 301]) {
    const framer = new Framer(1_000);
    const found: string[] = [];
    for (let at = 0; at < stream.length; at += step) {
      found.push(...framesOf(framer, stream.subarray(at, at + step)));
    }
    assert.deepEqual(found, whole, `cut every ${step} bytes`);
    assert.equal(framer.unfinished, false);
  }
});

test("an announced 256 MB packet is refused when its length is read, before any of it is kept", () => {
  const framer = new Framer(65_536);
  framer.push(Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f]));
  assert.throws(() => framer.next(), refusedAs("mqtt-packet-too-large"));
});

test("a packet one byte over the limit is refused, one of just the limit is taken", () => {
  const framer = new Framer(12);
  assert.equal(
    framesOf(framer, Buffer.concat([Buffer.from([0x30, 10]), Buffer.alloc(10)])).length,
    1,
  );
  framer.push(Buffer.from([0x30, 11]));
  assert.throws(() => framer.next(), refusedAs("mqtt-packet-too-large"));
});

test("a remaining length of five bytes or with a needless zero is malformed", () => {
  for (const hex of ["3080808080", "30ffffffff01", "308000", "c08000", "30818000"]) {
    const framer = new Framer(1 << 28);
    framer.push(Buffer.from(hex, "hex"));
    assert.throws(() => framer.next(), refusedAs("mqtt-packet-malformed"), hex);
  }
});
