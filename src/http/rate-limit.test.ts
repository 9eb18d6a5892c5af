import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../clock.ts";
import { Problem } from "../problems.ts";
import { addressKey, RateLimit } from "./rate-limit.ts";

function limited(perMinute: number, keysMax = 100) {
  let nowMs = 0;
  const limit = new RateLimit({
    perMinute,
    keysMax,
    clock: { ...systemClock, monotonicMs: () => nowMs },
  });
  const passes = (key: string) => {
    try {
      limit.take(key);
      return true;
    } catch (error) {
      assert.ok(error instanceof Problem && error.code === "rate-limited");
      return false;
    }
  };
  return { passes, wait: (ms: number) => (nowMs += ms) };
}

test("so many tries a minute, refilled evenly, each address by itself", () => {
  const { passes, wait } = limited(3);
  assert.deepEqual(["a", "a", "a", "a", "b"].map(passes), [true, true, true, false, true]);
  wait(20_000);
  assert.deepEqual(["a", "a"].map(passes), [true, false]);
  wait(3_600_000);
  assert.deepEqual(["a", "a", "a", "a"].map(passes), [true, true, true, false]);
});

test("it remembers a bounded number of addresses and forgets the one longest unseen", () => {
  const { passes } = limited(1, 2);
  assert.deepEqual(["a", "b"].map(passes), [true, true]);
  assert.equal(passes("a"), false, "seen again, so b is now the oldest");
  assert.equal(passes("c"), true);
  assert.equal(passes("a"), false);
  assert.equal(passes("b"), true, "forgotten");
});

test("an IPv6 household counts as one address, an IPv4 address in IPv6 clothes as itself", () => {
  const cases: [string, string][] = [
    ["192.0.2.7", "192.0.2.7"],
    ["::ffff:192.0.2.7", "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::9", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
  ];
  for (const [ip, key] of cases) assert.equal(addressKey(ip), key);
});
