import assert from "node:assert/strict";
import { test } from "node:test";
import { isMark, isQuality, mark, markFlags, quality, qualityFlags } from "./quality.ts";

test("quality bits are named, and several at once keep the order of the bits", () => {
  assert.deepEqual(qualityFlags(quality.none), []);
  assert.deepEqual(qualityFlags(quality.recordingRestarts | quality.motion), [
    "motion",
    "recordingRestarts",
  ]);
  assert.deepEqual(markFlags(mark.late | mark.fork), ["late", "fork"]);
});

test("the numbers are those that were signed and stored, and may never change", () => {
  assert.deepEqual(Object.values(quality), [0, 1, 2, 4, 8, 16, 32]);
  assert.deepEqual(Object.values(mark), [0, 1, 2, 4, 8, 16, 32, 64]);
});

test("a bit without a meaning, a fraction and a negative number are refused", () => {
  for (const good of [0, 1, 63]) assert.ok(isQuality(good));
  for (const bad of [64, -1, 0.5, Number.NaN]) assert.ok(!isQuality(bad));
  assert.ok(isMark(127));
  for (const bad of [128, -1, 1.5]) assert.ok(!isMark(bad));
});
