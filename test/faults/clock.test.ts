/** The platform's clock is set forward and back while devices send: nothing is ordered or numbered by it. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { askOperator } from "../../src/cli/operator-client.ts";
import { startTestPlatform } from "../support/platform.ts";
import { HELD_MAX, Witness } from "./witness.ts";

/** Debian's libfaketime gives one process another clock, and lets it be set while the process runs. */
const LIBRARY = faketime();
const JUMPS = [
  { set: "+2h", aheadMs: 7_200_000 },
  { set: "-2h", aheadMs: -7_200_000 },
  { set: "+90s", aheadMs: 90_000 },
  { set: "+0", aheadMs: 0 },
];

test("a clock that jumps hours forward and back loses nothing and doubles nothing", {
  skip: LIBRARY === undefined ? "needs libfaketime: apt-get install faketime" : false,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "fault-clock-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const clock = join(folder, "clock");
  writeFileSync(clock, "+0\n");
  const platform = await startTestPlatform(t, {
    env: {
      VITALWARD_LOG_LEVEL: "error",
      LD_PRELOAD: LIBRARY ?? "",
      FAKETIME_TIMESTAMP_FILE: clock,
      FAKETIME_CACHE_DURATION: "1",
      // Only what tells the time of day jumps, as when an operator or NTP sets it.
      DONT_FAKE_MONOTONIC: "1",
    },
  });
  const witness = await Witness.start(t, platform);
  witness.measure();
  // More than all devices hold: some of it was sent after the clock was set.
  const more = witness.devices.length * HELD_MAX + 300;
  await witness.progress(more);
  for (const { set, aheadMs } of JUMPS) {
    writeFileSync(clock, `${set}\n`);
    await untilAhead(platform.url, aheadMs);
    await witness.progress(more);
  }
  await witness.pause();
  await witness.settled();
  t.diagnostic(`${await witness.compare(platform)} samples`);
  // The jump was felt: the platform wrote down times of day that have not come yet.
  const ask = { ask: "token", as: witness.doctorId } as const;
  const { token } = await askOperator<{ token: string }>(platform.dataDir, ask);
  const patientId = witness.devices[0]?.patientId;
  const response = await fetch(`${platform.url}/api/patients/${patientId}/export`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const received = [...(await response.text()).matchAll(/"received":"([^"]+)"/g)];
  const newest = Math.max(...received.map(([, time]) => Date.parse(time ?? "")));
  assert.ok(newest > Date.now() + 3_600_000, "the clock never jumped");
});

/** Waits until the platform's own clock, which each of its answers tells, is so far ahead of ours. */
async function untilAhead(url: string, aheadMs: number): Promise<void> {
  const endMs = performance.now() + 20_000;
  for (;;) {
    const { headers } = await fetch(`${url}/health/live`);
    const off = Date.parse(headers.get("date") ?? "") - Date.now() - aheadMs;
    if (Math.abs(off) < 10_000) return;
    assert.ok(performance.now() < endMs, `the platform's clock is ${off} ms from where it was set`);
    await sleep(100);
  }
}

function faketime(): string | undefined {
  const name = "libfaketimeMT.so.1";
  for (const machine of ["x86_64-linux-gnu", "aarch64-linux-gnu"]) {
    const folder = `/usr/lib/${machine}/faketime`;
    try {
      if (readdirSync(folder).includes(name)) return join(folder, name);
    } catch {
      // not installed for that machine: the next one, or the test says what it needs
    }
  }
  return undefined;
}
