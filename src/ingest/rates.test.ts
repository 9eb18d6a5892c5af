import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../limits.ts";
import { createDeviceRates } from "./rates.ts";

test("a device that spent its burst waits, others do not, and time gives back the average", () => {
  let nowMs = 0;
  const rates = createDeviceRates(() => nowMs);
  assert.ok(rates.allow("a", limits.deviceEnvelopesBurst, 1));
  assert.ok(!rates.allow("a", 1, 1));
  assert.ok(rates.allow("b", 1, 1));
  nowMs += 1_000;
  assert.ok(rates.allow("a", limits.deviceEnvelopesPerSecond, 1));
  assert.ok(!rates.allow("a", 1, 1));
});

test("bytes are bounded apart from envelopes", () => {
  const rates = createDeviceRates(() => 0);
  assert.ok(rates.allow("a", 1, limits.deviceBytesBurst));
  assert.ok(!rates.allow("a", 1, 1));
});

test("openings are bounded for each hour", () => {
  let nowMs = 0;
  const rates = createDeviceRates(() => nowMs);
  for (let i = 0; i < limits.deviceOpeningsPerHour; i++) assert.ok(rates.allowOpening("a"));
  assert.ok(!rates.allowOpening("a"));
  nowMs += 3_600_000 / limits.deviceOpeningsPerHour;
  assert.ok(rates.allowOpening("a"));
});
