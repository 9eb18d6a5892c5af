import assert from "node:assert/strict";
import { test } from "node:test";
import { ageOf, axisTime, localTicks, offsetMs, zonedTime } from "./format.ts";

const berlin = { locale: "en-GB", timeZone: "Europe/Berlin" };
const HOUR = 3_600_000;

test("the hour that happens twice when DST ends is told apart by the zone's name", () => {
  // 25 October 2026, 03:00 CEST becomes 02:00 CET.
  const first = Date.UTC(2026, 9, 25, 0, 30);
  const second = first + HOUR;
  assert.equal(zonedTime(first, berlin), "02:30:00 CEST");
  assert.equal(zonedTime(second, berlin), "02:30:00 CET");
});

test("the hour that is missing when DST begins is never shown", () => {
  const before = Date.UTC(2026, 2, 29, 0, 59, 59);
  assert.equal(zonedTime(before, berlin), "01:59:59 CET");
  assert.equal(zonedTime(before + 1000, berlin), "03:00:00 CEST");
});

test("age is elapsed time, also across a DST change", () => {
  const before = Date.UTC(2026, 9, 24, 22, 0);
  assert.deepEqual(ageOf(before, before + 6 * HOUR), { unit: "hours", count: 6 });
});

test("age speaks in the largest unit that says at least one, and says when a clock is ahead", () => {
  const now = Date.UTC(2026, 10, 24);
  const cases: [number, ReturnType<typeof ageOf>][] = [
    [0, { unit: "now", count: 0 }],
    [5_000, { unit: "seconds", count: 5 }],
    [59_000, { unit: "seconds", count: 59 }],
    [60_000, { unit: "minutes", count: 1 }],
    [3_599_000, { unit: "minutes", count: 59 }],
    [47 * HOUR, { unit: "hours", count: 47 }],
    [72 * HOUR, { unit: "days", count: 3 }],
    [-60_000, { unit: "future", count: 60 }],
  ];
  for (const [ago, age] of cases) assert.deepEqual(ageOf(now - ago, now), age);
});

test("day ticks fall on local midnight on both sides of a DST change", () => {
  const from = Date.UTC(2026, 9, 24, 12);
  const ticks = localTicks(from, from + 3 * 24 * HOUR, 24 * HOUR, berlin);
  assert.deepEqual(
    ticks.map((tick) => zonedTime(tick, berlin)),
    ["00:00:00 CEST", "00:00:00 CET", "00:00:00 CET"],
  );
});

test("hour ticks of the day with 25 hours are 25, an hour of real time apart", () => {
  const midnight = Date.UTC(2026, 9, 24, 22);
  const ticks = localTicks(midnight - 1, midnight + 25 * HOUR - 1, HOUR, berlin);
  assert.equal(ticks.length, 25);
  for (const [i, tick] of ticks.slice(1).entries()) assert.equal(tick - (ticks[i] ?? 0), HOUR);
});

test("the offset of a zone is right on both sides of a change", () => {
  assert.equal(offsetMs(Date.UTC(2026, 6, 1), berlin), 2 * HOUR);
  assert.equal(offsetMs(Date.UTC(2026, 11, 1), berlin), HOUR);
});

test("on an axis the tick at which a day begins is that day's date", () => {
  const midnight = Date.UTC(2026, 9, 25, 23); // 26 October, 00:00 CET, the day after DST ended
  assert.equal(axisTime(midnight, 12 * HOUR, berlin), "26 Oct");
  assert.equal(axisTime(midnight + 12 * HOUR, 12 * HOUR, berlin), "12:00");
  assert.equal(axisTime(midnight - HOUR, HOUR, berlin), "23:00");
});
