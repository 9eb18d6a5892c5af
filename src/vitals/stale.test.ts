import assert from "node:assert/strict";
import { test } from "node:test";
import { heartRate } from "./heart-rate.ts";
import { METRICS } from "./metric.ts";
import { ageMs, isStale, staleAfterMs, staleAtMs } from "./stale.ts";

test("a value is stale after twice its expected interval, not at it", () => {
  for (const metric of METRICS) {
    const limit = 2 * metric.intervalMs;
    assert.equal(staleAfterMs(metric), limit);
    assert.equal(isStale(metric, 1_000, 1_000 + limit), false, metric.id);
    assert.equal(isStale(metric, 1_000, 1_000 + limit + 1), true, metric.id);
    assert.equal(isStale(metric, 1_000, staleAtMs(metric, 1_000)), true);
    assert.equal(isStale(metric, 1_000, staleAtMs(metric, 1_000) - 1), false);
  }
});

test("what was never measured is stale", () => {
  assert.equal(isStale(heartRate, undefined, 0), true);
});

test("a sample from a clock ahead of ours has no negative age and is not stale", () => {
  assert.equal(ageMs(2_000, 1_000), 0);
  assert.equal(isStale(heartRate, 2_000, 1_000), false);
});
