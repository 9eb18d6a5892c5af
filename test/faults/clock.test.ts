/** The platform's clock is set forward and back while devices send: nothing is ordered or numbered by it. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { askOperator } from "../../src/cli/operator-client.ts";
import { startTestPlatform } from "../support/platform.ts";
import { Witness } from "./witness.ts";

/** Debian's libfaketime gives one process another clock, and lets it be set while the process runs. */
const LIBRARY = faketime();
const JUMPS = ["+2h", "-2h", "+90s", "+0"];

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
  for (const jump of JUMPS) {
    await witness.progress(300);
    writeFileSync(clock, `${jump}\n`);
    await sleep(1_500); // the library looks once a second
  }
  await witness.progress(300);
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
