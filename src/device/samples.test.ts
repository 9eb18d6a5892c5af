import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSamples } from "./samples.ts";

const NOW_MS = 1_790_000_000_000;
const HEART_RATE = 147_842;
const parse = (file: unknown) => parseSamples(JSON.stringify(file), NOW_MS);
const point = (more: object) => ({
  points: [{ metric: "MDC_ECG_HEART_RATE", value: 72, ...more }],
});

test("a sample without a time was measured now, and without flags it is good", () => {
  const { points } = parse(point({}));
  assert.equal(points.length, 1);
  assert.equal(points[0]?.mdc, HEART_RATE);
  assert.deepEqual(points[0]?.timesMs, [NOW_MS]);
  assert.deepEqual(points[0]?.quality, [0]);
  assert.equal(points[0]!.mantissas[0]! * 10 ** points[0]!.exponent, 72);
});

test("a decimal keeps all its digits: no float in what is sealed", () => {
  for (const [value, digits] of [
    [36.65, "36.65"],
    [0.1 + 0.2, "0.30000000000000004"],
    [-1.5, "-1.5"],
    [1e-7, "1e-7"],
    [120, "120"],
  ] as const) {
    if (digits.length > 12) {
      assert.throws(() => parse(point({ value })), /too many digits/);
      continue;
    }
    const [column] = parse(point({ value })).points;
    assert.equal(Number(`${column!.mantissas[0]}e${column!.exponent}`), value, digits);
  }
});

test("samples of a metric at one resolution become one column in the order of their times", () => {
  const { points } = parse({
    points: [
      { metric: HEART_RATE, value: 74, at: NOW_MS + 2_000 },
      { metric: HEART_RATE, value: 73, at: new Date(NOW_MS + 1_000).toISOString() },
      { metric: "MDC_TEMP_BODY", value: 36.6, quality: ["measuredByHand"] },
    ],
  });
  assert.equal(points.length, 2);
  const column = points.find(({ mdc }) => mdc === HEART_RATE);
  assert.deepEqual(column?.timesMs, [NOW_MS + 1_000, NOW_MS + 2_000]);
  assert.deepEqual(points.find(({ mdc }) => mdc !== HEART_RATE)?.quality, [32]);
});

test("a waveform keeps its whole numbers and its rate", () => {
  const waveform = {
    metric: "MDC_PULS_OXIM_PLETH",
    start: NOW_MS,
    rate: [125, 2],
    exponent: -2,
    values: [1, -2, 3],
  };
  const [run] = parse({ waveforms: [waveform] }).waveforms;
  assert.deepEqual([...run!.values], [1, -2, 3]);
  assert.deepEqual(run!.rate, { numerator: 125, denominator: 2 });
  assert.equal(run!.exponent, -2);
});

test("what is wrong is named by its place, never by its value", () => {
  for (const [file, where] of [
    [{ points: [{ metric: "MDC_NO_SUCH", value: 1 }] }, /points\[0\]: metric/],
    [point({ value: "secret-72" }), /points\[0\]: value is no number/],
    [point({ value: Number.NaN }), /value is no number/],
    [point({ at: "yesterday-secret" }), /a time is neither/],
    [point({ quality: ["secret"] }), /quality flag is not known/],
    [point({ unit: "/min" }), /"unit" is not known/],
    [{ waveforms: [{ metric: HEART_RATE, rate: 1.5, values: [1] }] }, /waveforms\[0\]: rate/],
    [{ waveforms: [{ metric: HEART_RATE, rate: 1, values: [1.5] }] }, /not all whole numbers/],
    [{}, /holds no sample/],
    [[], /an object is expected/],
    [{ points: {} }, /a list is expected/],
  ] as const) {
    assert.throws(
      () => parse(file),
      (error: Error) => where.test(error.message) && !error.message.includes("secret"),
      JSON.stringify(file),
    );
  }
  assert.throws(() => parseSamples("{", NOW_MS), /not JSON/);
});
