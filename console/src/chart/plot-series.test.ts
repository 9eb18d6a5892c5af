import assert from "node:assert/strict";
import { test } from "node:test";
import type { Series, SeriesAnswer } from "../../../src/ward/schema.ts";
import { nearestPoint, plotColumn, rowPoints } from "./plot-series.ts";

const series: Series = {
  mdc: 147842,
  exponent: 0,
  atMs: [0, 1_000, 60_000],
  mantissas: [70, 71, 80],
  quality: [0, 2, 0],
  marks: [0, 0, 0],
  source: [0, 0, 1],
  sequences: [4, 4, 5],
  sources: [
    { deviceId: "a", sessionId: "s1" },
    { deviceId: "b", sessionId: "s2" },
  ],
  gapsAfter: [1],
  samples: 3,
  thinnedToMs: null,
};
const answer: SeriesAnswer = { fromMs: 10_000, toMs: 80_000, series: [series], unreadable: [] };

test("a gap is a null between two samples, and every other value is a stored one", () => {
  const [times, values] = plotColumn(series, 10_000, (value) => value);
  assert.deepEqual(values, [70, 71, null, 80]);
  assert.deepEqual(times, [10, 11, 11.001, 70]);
});

test("pointing at a chart finds the nearest stored sample with its own device and batch", () => {
  const point = nearestPoint(answer, [147842], 69_000, 5_000);
  assert.equal(point?.mantissa, 80);
  assert.equal(point?.deviceId, "b");
  assert.equal(point?.sequence, 5);
  assert.equal(nearestPoint(answer, [147842], 11_100, 5_000)?.quality, 2);
});

test("pointing into a gap finds nothing", () => {
  assert.equal(nearestPoint(answer, [147842], 40_000, 5_000), undefined);
  assert.equal(nearestPoint(answer, [1], 10_000, 5_000), undefined);
});

test("the table has the newest sample of every bucket of time, newest first", () => {
  assert.deepEqual(
    rowPoints(answer, [147842], 60_000).map((point) => point.mantissa),
    [80, 71],
  );
  assert.deepEqual(
    rowPoints(answer, [147842], 1_000).map((point) => point.mantissa),
    [80, 71, 70],
  );
});
