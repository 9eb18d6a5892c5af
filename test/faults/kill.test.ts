/** kill -9 during ingest at full rate: what a receipt acknowledged is there, exactly once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startTestPlatform } from "../support/platform.ts";
import { Witness } from "./witness.ts";

/** Twenty, unless something else is being worked on. */
const KILLS = Number(process.env.FAULT_KILLS ?? 20);
const ENVELOPES_BETWEEN = 60;
const quiet = { env: { VITALWARD_LOG_LEVEL: "error" } };

test(`after ${KILLS} kills of the platform every acknowledged sample is there once`, async (t) => {
  let platform = await startTestPlatform(t, quiet);
  const witness = await Witness.start(t, platform);
  witness.measure();
  for (let i = 0; i < KILLS; i++) {
    await witness.progress(ENVELOPES_BETWEEN);
    await platform.kill();
    platform = await platform.restart();
  }
  await witness.progress(ENVELOPES_BETWEEN);
  await witness.pause();
  await witness.settled();
  t.diagnostic(`${await witness.compare(platform)} samples`);
});

test(`after ${KILLS} kills of PostgreSQL every acknowledged sample is there once, without a restart`, async (t) => {
  const platform = await startTestPlatform(t, quiet);
  const witness = await Witness.start(t, platform);
  witness.measure();
  for (let i = 0; i < KILLS; i++) {
    await witness.progress(ENVELOPES_BETWEEN);
    const pid = await databasePid(platform);
    process.kill(pid, "SIGKILL");
  }
  await witness.progress(ENVELOPES_BETWEEN);
  await witness.pause();
  await witness.settled();
  t.diagnostic(`${await witness.compare(platform)} samples`);
  assert.ok(!platform.output().includes("exited"));
});

async function databasePid(platform: { databasePid(): number | undefined }): Promise<number> {
  for (let tries = 0; tries < 600; tries++) {
    const pid = platform.databasePid();
    if (pid !== undefined) return pid;
    await sleep(50);
  }
  throw new Error("PostgreSQL did not come back");
}
