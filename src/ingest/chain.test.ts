import assert from "node:assert/strict";
import { test } from "node:test";
import { type ChainSession, chainRanges, judgeLink } from "./chain.ts";

const head = new Uint8Array(32);
function session(
  sessionId: string,
  openedMs: number,
  numbers: readonly [number, number] | undefined,
  previous?: readonly [string, number],
): ChainSession {
  return {
    sessionId,
    openedMs,
    firstNumber: numbers?.[0],
    lastNumber: numbers?.[1],
    previous: previous && { sessionId: previous[0], lastSequence: previous[1], head },
    standing: "regular",
  };
}

const a = session("a", 1, [1, 100]);
const b = session("b", 2, [101, 150], ["a", 100]);

test("a session that continues from the newest known state is regular", () => {
  assert.deepEqual(judgeLink([a], b, true), { kind: "regular" });
  assert.deepEqual(judgeLink([], a, undefined), { kind: "regular" });
});

test("a session that names numbers still on their way is regular", () => {
  assert.deepEqual(judgeLink([a], session("b", 2, [131, 131], ["a", 130]), undefined), {
    kind: "regular",
  });
});

test("a session that names a session we do not know is only unlinked", () => {
  assert.deepEqual(judgeLink([a, b], session("d", 4, [300, 300], ["c", 299]), undefined), {
    kind: "unlinked",
  });
});

test("a session that forgets numbers of the one before is older than known", () => {
  assert.deepEqual(judgeLink([a], session("b", 2, [61, 61], ["a", 60]), undefined), {
    kind: "older-than-known",
    forgotten: ["a"],
    usedAfter: 60,
    usedUpTo: 100,
  });
});

test("a second session after the same one forgets the whole branch of the first", () => {
  const c = session("c", 3, [151, 180], ["b", 150]);
  assert.deepEqual(judgeLink([a, b, c], session("x", 4, [101, 101], ["a", 100]), true), {
    kind: "older-than-known",
    forgotten: ["b", "c"],
    usedAfter: 100,
    usedUpTo: 180,
  });
});

test("a session opened but never used is not a branch", () => {
  const unused = session("u", 2, undefined);
  assert.deepEqual(judgeLink([a, unused], session("x", 4, [101, 101], ["a", 100]), true), {
    kind: "regular",
  });
});

test("the right number with another head is older than known", () => {
  assert.equal(judgeLink([a], b, false).kind, "older-than-known");
});

test("a device that names nothing though it was known has lost its state", () => {
  assert.deepEqual(judgeLink([a, b], session("x", 4, [1, 1]), undefined), {
    kind: "older-than-known",
    forgotten: ["a", "b"],
    usedAfter: 0,
    usedUpTo: 150,
  });
});

test("chain state is contiguous, open gap and closed gap", () => {
  const states = chainRanges(
    [
      [1, 5],
      [9, 12],
      [20, 20],
    ],
    1,
    [{ from: 7, to: 8, reason: "spool-full" }],
  );
  assert.deepEqual(states, [
    { from: 1, to: 5, state: "contiguous" },
    { from: 6, to: 6, state: "open gap" },
    { from: 7, to: 8, state: "closed gap", reason: "spool-full" },
    { from: 9, to: 12, state: "contiguous" },
    { from: 13, to: 19, state: "open gap" },
    { from: 20, to: 20, state: "contiguous" },
  ]);
});
