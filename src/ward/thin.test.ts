import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { SeriesChunk } from "../store/chunk.ts";
import { Thinner } from "./thin.ts";

function chunkOf(times: readonly number[], values: readonly number[]): SeriesChunk {
  const zeros = new Uint16Array(times.length);
  return {
    mdc: 147842,
    deviceId: "d",
    sessionId: "s",
    sessions: ["s"],
    sessionOf: zeros,
    kind: "points",
    timesMs: Float64Array.from(times),
    mantissas: Int32Array.from(values),
    exponent: 0,
    quality: zeros,
    marks: zeros,
    sequences: Float64Array.from(times, (_, index) => index),
    receivedMs: Float64Array.from(times),
  };
}
function thin(times: readonly number[], values: readonly number[], width: number, gapMs = 10_000) {
  const toMs = (times.at(-1) ?? 0) + 1;
  const thinner = new Thinner({ mdc: 147842, fromMs: 0, toMs, width, gapMs });
  thinner.take(chunkOf(times, values));
  return thinner.series();
}

test("few samples are sent whole and say so", () => {
  const series = thin([0, 1000, 2000], [70, 71, 72], 50);
  assert.deepEqual(series.mantissas, [70, 71, 72]);
  assert.equal(series.thinnedToMs, null);
});

test("a single spike in a day of samples survives thinning", () => {
  const times = Array.from({ length: 86_400 }, (_, second) => second * 1000);
  const values = times.map((_, index) => (index === 40_000 ? 190 : 70 + (index % 3)));
  const series = thin(times, values, 300);
  assert.ok(series.mantissas.includes(190));
  assert.ok(series.atMs.length <= 600 + 2);
  assert.equal(series.samples, 86_400);
  assert.equal(series.thinnedToMs, 86_399_001 / 300);
});

test("a gap is kept as a gap, thinned or not, and ends where measuring ended", () => {
  const before = Array.from({ length: 1000 }, (_, n) => n * 1000);
  const after = before.map((time) => time + 2_000_000);
  const values = [...before, ...after].map((_, n) => n % 7);
  const thinned = thin([...before, ...after], values, 60);
  assert.equal(thinned.gapsAfter.length, 1);
  assert.equal(thinned.atMs[thinned.gapsAfter[0] ?? -1], 999_000);
  assert.equal(thinned.atMs[(thinned.gapsAfter[0] ?? -1) + 1], 2_000_000);
  const whole = thin([0, 1000, 60_000], [1, 2, 3], 50);
  assert.deepEqual(whole.gapsAfter, [1]);
});

test("every thinned point is a stored sample, and the extremes of the whole are among them", () => {
  const samples = fc.array(
    fc.tuple(fc.integer({ min: 1, max: 30_000 }), fc.integer({ min: -999, max: 999 })),
    {
      minLength: 1,
      maxLength: 800,
    },
  );
  fc.assert(
    fc.property(samples, fc.integer({ min: 50, max: 120 }), (steps, width) => {
      let at = 0;
      const times = steps.map(([step]) => (at += step));
      const values = steps.map(([, value]) => value);
      const series = thin(times, values, width);
      const stored = new Set(times.map((time, index) => `${time} ${values[index]}`));
      series.atMs.forEach((time, index) => {
        assert.ok(stored.has(`${time} ${series.mantissas[index]}`));
        assert.ok(index === 0 || (series.atMs[index - 1] ?? 0) < time);
      });
      assert.equal(Math.max(...series.mantissas), Math.max(...values));
      assert.equal(Math.min(...series.mantissas), Math.min(...values));
    }),
    { numRuns: 200 },
  );
});
