import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, encode, rfc8949EncodeOptions, Tagged, Token, Type } from "cborg";
import fc from "fast-check";
import { isQuality } from "../vitals/quality.ts";
import {
  type Batch,
  decodeBatch,
  encodeBatch,
  type PointColumn,
  type WaveformRun,
} from "./batch.ts";
import { type Content, decodeContent, encodeContent } from "./content.ts";
import { hex } from "./envelope.ts";

/** Records with the usual prototype: what the decoder makes. */
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record<T>(model, { noNullPrototype: true });
const CLOCK_MS = 1_760_000_000_000;
const mdc = fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 0xffff_ffff }));
const exponent = fc.oneof(fc.constant(0), fc.integer({ min: -12, max: 12 }));
const int32 = fc.oneof(fc.integer({ min: -200, max: 200 }), fc.integer());
const bits = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 63 }));
const step = fc.oneof(fc.constant(1_000), fc.integer({ min: 1, max: 2 ** 33 }));

const column: fc.Arbitrary<PointColumn> = record({
  mdc,
  exponent,
  firstMs: fc.integer({ min: 0, max: CLOCK_MS * 2 }),
  samples: fc.array(record({ step, mantissa: int32, quality: bits }), {
    minLength: 1,
    maxLength: 12,
  }),
  isEven: fc.boolean(),
}).map(({ firstMs, samples, isEven, ...names }) => {
  let timeMs = firstMs;
  const timesMs = samples.map((sample, i) => {
    if (i > 0) timeMs += (isEven ? samples[0] : sample)?.step ?? 1;
    return timeMs;
  });
  return {
    ...names,
    timesMs,
    mantissas: samples.map((sample) => sample.mantissa),
    quality: samples.map((sample) => (isEven ? (samples[0]?.quality ?? 0) : sample.quality)),
  };
});

const run: fc.Arbitrary<WaveformRun> = record({
  mdc,
  startMs: fc.integer({ min: 0, max: CLOCK_MS * 2 }),
  rate: record({
    numerator: fc.integer({ min: 1, max: 0xffff_ffff }),
    denominator: fc.integer({ min: 1, max: 0xffff_ffff }),
  }),
  exponent,
  values: fc.array(int32, { minLength: 1, maxLength: 40 }).map((all) => Int32Array.from(all)),
  quality: bits,
});

const batch: fc.Arbitrary<Batch> = record({
  sequence: fc.integer({ min: 1, max: 2 ** 52 }),
  clockMs: fc.integer({ min: 0, max: CLOCK_MS * 2 }),
  offsetMs: fc.integer({ min: -(2 ** 52), max: 2 ** 52 }),
  points: fc.uniqueArray(column, { selector: (c) => `${c.mdc}/${c.exponent}`, maxLength: 4 }),
  waveforms: fc.uniqueArray(run, { selector: (r) => `${r.mdc}/${r.startMs}`, maxLength: 3 }),
})
  .filter(({ points, waveforms }) => points.length + waveforms.length > 0)
  .map((made) => ({
    ...made,
    points: made.points.sort((a, b) => a.mdc - b.mdc || a.exponent - b.exponent),
    waveforms: made.waveforms.sort((a, b) => a.mdc - b.mdc || a.startMs - b.startMs),
  }));

/** The batch as docs/envelope.md §3 words it, for an encoder that knows nothing of batches. */
function plainly(made: Batch): unknown {
  const one = <T>(all: readonly T[]) => (all.every((x) => x === all[0]) ? all[0] : [...all]);
  const points = made.points.map((c) => {
    const steps = c.timesMs.slice(1).map((timeMs, i) => timeMs - (c.timesMs[i] ?? 0));
    const fields: [number, unknown][] = [
      [0, c.mdc],
      [2, c.mantissas.length === 1 ? c.mantissas[0] : c.mantissas],
    ];
    if (steps.length > 0) fields.push([6, one(steps)]);
    if (c.exponent !== 0) fields.push([16, c.exponent]);
    if (one(c.quality) !== 0) fields.push([17, one(c.quality)]);
    return new Map([...fields, [-3, (c.timesMs[0] ?? 0) - made.clockMs]]);
  });
  const waveforms = made.waveforms.map((r) => {
    const fits = (low: number) => r.values.every((v) => v >= low && v < -low);
    const [tag, packed] = fits(-128)
      ? [72, Int8Array.from(r.values)]
      : fits(-32_768)
        ? [77, Int16Array.from(r.values)]
        : [78, r.values];
    const fields: [number, unknown][] = [
      [0, r.mdc],
      [2, new Tagged(tag as number, new Uint8Array((packed as Int8Array).buffer))],
    ];
    if (r.exponent !== 0) fields.push([16, r.exponent]);
    if (r.quality !== 0) fields.push([17, r.quality]);
    fields.push([18, [r.rate.numerator, r.rate.denominator]]);
    return new Map([...fields, [-3, r.startMs - made.clockMs]]);
  });
  return [1, made.sequence, made.clockMs, made.offsetMs, points, waveforms];
}

/** cborg writes tags only when told how. */
const options = {
  ...rfc8949EncodeOptions,
  typeEncoders: {
    Object: (item: unknown) =>
      item instanceof Tagged
        ? [new Token(Type.tag, Number(item.tag)), new Token(Type.bytes, item.value as Uint8Array)]
        : null,
  },
};

test("what was encoded decodes to the same batch", () => {
  fc.assert(
    fc.property(batch, (made) => {
      assert.deepEqual(decodeBatch(encodeBatch(made)), made);
    }),
    { numRuns: 400 },
  );
});

test("another CBOR library, told the form in plain words, writes the same bytes and reads ours", () => {
  fc.assert(
    fc.property(batch, (made) => {
      const bytes = encodeBatch(made);
      assert.equal(hex(bytes), hex(encode(plainly(made), options)));
      const tags = { 72: Tagged.decoder(72), 77: Tagged.decoder(77), 78: Tagged.decoder(78) };
      decode(bytes, { useMaps: true, strict: true, tags });
    }),
    { numRuns: 400 },
  );
});

test("bytes with a change are refused by name, or are the one form of another batch", () => {
  const change = record({ at: fc.nat(), to: fc.nat(255), cut: fc.boolean() });
  fc.assert(
    fc.property(batch, change, (made, { at, to, cut }) => {
      const bytes = encodeBatch(made);
      const changed = cut ? bytes.subarray(0, at % bytes.length) : bytes;
      if (!cut) changed[at % bytes.length] = to;
      let decoded: Batch;
      try {
        decoded = decodeBatch(changed);
      } catch (error) {
        assert.equal((error as { code?: unknown }).code, "batch-refused");
        return;
      }
      assert.equal(hex(encodeBatch(decoded)), hex(changed));
    }),
    { numRuns: 1_000 },
  );
});

test("quality is the six bits that are defined: any other number is refused by both sides", () => {
  const times = { timesMs: [CLOCK_MS, CLOCK_MS + 1], mantissas: [1, 2] };
  const samples = (quality: number[]) => ({ mdc: 5, exponent: 0, ...times, quality });
  const rate = { numerator: 300, denominator: 1 };
  const waves = { mdc: 5, startMs: CLOCK_MS, rate, exponent: 0, values: Int32Array.of(1) };
  const sequence = { sequence: 1, clockMs: CLOCK_MS, offsetMs: 0 };
  // Written by the encoder that knows nothing of batches: ours would refuse some of them.
  const check = (made: Batch, allowed: boolean) => {
    const bytes = encode(plainly(made), options);
    if (allowed) {
      assert.deepEqual(decodeBatch(bytes), made);
      assert.equal(hex(encodeBatch(made)), hex(bytes));
      return;
    }
    assert.throws(() => decodeBatch(bytes), { code: "batch-refused" });
    assert.throws(() => encodeBatch(made), { code: "batch-refused" });
  };
  for (const bits of [0, 1, 31, 32, 63, 64, 65, 127, 0x8000, 0xffff, 0x1_0000, 0xffff_ffff]) {
    const allowed = isQuality(bits);
    check({ ...sequence, points: [samples([bits, bits])], waveforms: [] }, allowed);
    check({ ...sequence, points: [samples([0, bits])], waveforms: [] }, allowed);
    check({ ...sequence, points: [], waveforms: [{ ...waves, quality: bits }] }, allowed);
  }
});

const gap = record({
  before: fc.integer({ min: 0, max: 1_000 }),
  length: fc.integer({ min: 0, max: 1_000 }),
  reason: fc.constantFrom("spool-full" as const, "damaged" as const, "withdrawn" as const),
});
const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

const content: fc.Arbitrary<Content> = fc
  .record(
    {
      sequence: fc.integer({ min: 1, max: 2 ** 52 }),
      batch,
      saltKey: bytesOf(32),
      block: fc.uint8Array({ minLength: 1, maxLength: 200 }),
      gaps: fc.array(gap, { minLength: 1, maxLength: 5 }),
      close: fc.constant(true),
      previous: record({
        sessionId: bytesOf(16).map(hex),
        lastSequence: fc.integer({ min: 1, max: 2 ** 52 }),
        head: bytesOf(32),
      }),
    },
    { requiredKeys: ["sequence"], noNullPrototype: true },
  )
  .map(({ gaps, batch: inner, ...rest }) => {
    const made: Content = rest;
    let next = 1;
    if (gaps) {
      made.gaps = gaps.map(({ before, length, reason }) => {
        const from = next + before;
        next = from + length + 1;
        return { from, to: from + length, reason };
      });
    }
    if (inner) made.batch = { ...inner, sequence: rest.sequence };
    return made;
  });

test("what was written as content is read as the same content", () => {
  fc.assert(
    fc.property(content, (made) => {
      const { block, head, saltKey, ...rest } = flat(decodeContent(encodeContent(made)));
      assert.deepEqual({ block, head, saltKey, ...rest }, flat(made));
    }),
    { numRuns: 300 },
  );
});

/** Byte strings as hex, whatever class they have. */
function flat({ block, saltKey, previous, ...rest }: Content) {
  const text = (bytes: Uint8Array | undefined) => bytes && hex(bytes);
  return {
    ...rest,
    block: text(block),
    saltKey: text(saltKey),
    head: text(previous?.head),
    previous: previous && [previous.sessionId, previous.lastSequence],
  };
}
