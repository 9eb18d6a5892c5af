import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../clock.ts";
import { PlatformSession } from "../envelope/session.ts";
import { AES_256_GCM } from "../envelope/suites.ts";
import { limits } from "../limits.ts";
import { LiveSession } from "./live-session.ts";

const sessionId = "00112233445566778899aabbccddeeff";
const deviceId = "0190a000-0000-7000-8000-000000000001";

function session(): LiveSession {
  const roots = { up: systemClock.random(32), down: systemClock.random(32) };
  const keys = PlatformSession.start(sessionId, deviceId, AES_256_GCM, roots, systemClock);
  const row = {
    ...{ deviceId, sessionId, certificateHash: "", openingHash: "", suite: keys.suite.name },
    ...{ openedMs: 0, firstNumber: 1, ranges: new Uint8Array(), lastMs: 0, closedAt: undefined },
    ...{ previous: undefined, standing: "regular" as const, endedMs: undefined },
  };
  return new LiveSession(row, keys, undefined);
}

/** Every second number, as long as there is room. @returns the first number without room. */
function everySecond(live: LiveSession, from: number, atMost: number): number {
  let number = from;
  for (let i = 0; i < atMost && live.hasRoomFor(number); i++, number += 2) live.ranges.add(number);
  return number;
}

test("numbers with endless holes find no room, and those that close the holes always do", () => {
  const live = session();
  const next = everySecond(live, 1, 3 * limits.sessionRangesMax);
  assert.equal(live.hasRoomFor(next), false);
  assert.equal(live.hasRoomFor(next + 100), false);
  assert.ok(live.ranges.rangeCount <= limits.sessionRangesMax + 1);
  assert.ok(live.hasRoomFor(next - 1), "the next in order");
  for (let number = 2; number <= 20; number += 2) {
    assert.ok(live.hasRoomFor(number));
    live.ranges.add(number);
  }
  assert.ok(live.hasRoomFor(next));
});

test("holes that are stated as gaps take no room, until there are too many statements", () => {
  const live = session();
  let from = 1;
  for (let round = 0; round < 3; round++) {
    const next = everySecond(live, from, 3 * limits.sessionRangesMax);
    assert.equal(next > from, round < 2, `round ${round}`);
    for (let number = from + 1; number < next; number += 2) live.gaps.addRange(number, number);
    from = next;
  }
  assert.ok(live.gaps.rangeCount <= limits.sessionGapRangesMax);
  const most = limits.sessionRangesMax + limits.sessionGapRangesMax + 2;
  assert.ok(live.ranges.rangeCount <= most);
});
