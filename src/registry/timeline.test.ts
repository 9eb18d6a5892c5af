import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Problem } from "../problems.ts";
import { patientAt, reassigned, type Timeline } from "./timeline.ts";

test("a device measured whom it was assigned to at that instant: start included, end not", () => {
  const timeline: Timeline = [
    { patientId: "a", fromMs: 100, toMs: 200 },
    { patientId: "b", fromMs: 300, toMs: undefined },
  ];
  const at = [99, 100, 199, 200, 299, 300, 9e15].map((atMs) => patientAt(timeline, atMs));
  assert.deepEqual(at, [undefined, "a", "a", undefined, undefined, "b", "b"]);
  assert.equal(patientAt([], 0), undefined);
});

test("an assignment is never rewritten: one that begins before the last is refused", () => {
  const { timeline } = reassigned([], "a", 100);
  for (const fromMs of [0, 99, 100]) {
    assert.throws(
      () => reassigned(timeline, "b", fromMs),
      (error) => error instanceof Problem && error.code === "device-state-conflict",
    );
  }
  const ended = reassigned(timeline, undefined, 150).timeline;
  assert.throws(() => reassigned(ended, "b", 149), Problem);
  assert.equal(reassigned(ended, "b", 150).timeline.length, 2);
});

test("assigning again to the same patient changes nothing", () => {
  const { timeline } = reassigned([], "a", 100);
  assert.deepEqual(reassigned(timeline, "a", 200), {
    timeline,
    ended: undefined,
    begun: undefined,
  });
});

test("for any history, an instant is answered as a list of events replayed would answer it", () => {
  const events = fc.array(
    fc.tuple(fc.integer({ min: 1, max: 5 }), fc.option(fc.constantFrom("a", "b", "c"))),
    { maxLength: 12 },
  );
  fc.assert(
    fc.property(events, fc.integer({ min: -1, max: 70 }), (steps, atMs) => {
      let timeline: Timeline = [];
      let nowMs = 0;
      let expected: string | undefined;
      for (const [stepMs, patient] of steps) {
        nowMs += stepMs;
        timeline = reassigned(timeline, patient ?? undefined, nowMs).timeline;
        if (nowMs <= atMs) expected = patient ?? undefined;
      }
      assert.equal(patientAt(timeline, atMs), expected);
    }),
  );
});
