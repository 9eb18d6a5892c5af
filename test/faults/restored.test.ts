/** A device that comes back from an old copy, and a platform that comes back from a backup. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type RunningPlatform, startTestPlatform } from "../support/platform.ts";
import { Witness } from "./witness.ts";

const quiet = { env: { VITALWARD_LOG_LEVEL: "error" } };

async function eventCount(platform: RunningPlatform, kind: string): Promise<number> {
  const text = await (await fetch(`${platform.url}/metrics`)).text();
  const line = new RegExp(`^vitalward_security_events_total\\{kind="${kind}"\\} (\\d+)`, "m");
  return Number(line.exec(text)?.[1] ?? 0);
}

test("a device restored from an old copy loses nothing that anybody measured, and it is noticed", async (t) => {
  const platform = await startTestPlatform(t, quiet);
  const witness = await Witness.start(t, platform, 2);
  witness.measure();
  await witness.progress(400);
  await witness.pause();
  await witness.settled();
  const [one] = witness.devices;
  assert.ok(one);
  const copy = `${one.folder}-copy`;
  t.after(() => rmSync(copy, { recursive: true, force: true }));
  await witness.stopDevice(one);
  cpSync(one.folder, copy, { recursive: true });
  witness.startDevice(one);
  witness.measure();
  await witness.progress(400);
  await witness.pause();
  await witness.settled();
  await witness.stopDevice(one);
  rmSync(one.folder, { recursive: true });
  cpSync(copy, one.folder, { recursive: true });
  witness.startDevice(one);
  witness.measure();
  await witness.progress(400);
  await witness.pause();
  await witness.settled();
  t.diagnostic(`${await witness.compare(platform)} samples`);
  assert.ok((await eventCount(platform, "device-rolled-back")) >= 1);
});

test("a platform restored from a backup says so, keeps what the backup has, and takes everything newer", async (t) => {
  let platform = await startTestPlatform(t, quiet);
  const witness = await Witness.start(t, platform, 4);
  witness.measure();
  await witness.progress(1_200);
  await witness.pause();
  await witness.settled();
  await platform.stop();
  const live = join(platform.dataDir, "postgres");
  const backup = join(platform.dataDir, "backup");
  cpSync(live, backup, { recursive: true, preserveTimestamps: true });
  chownLike(live, backup);
  platform = await platform.restart();
  const kept = witness.devices.map(({ measured }) => measured.length);
  witness.measure();
  await witness.progress(200);
  await witness.pause();
  await witness.settled();
  await platform.stop(); // folds the journal, and the keystore remembers how far
  const lost = witness.devices.map(({ measured }) => measured.length);
  rmSync(live, { recursive: true });
  cpSync(backup, live, { recursive: true, preserveTimestamps: true });
  chownLike(backup, live);
  platform = await platform.restart();
  assert.equal(await eventCount(platform, "store-restored"), 1);
  witness.measure();
  await witness.progress(1_200);
  await witness.pause();
  await witness.settled();
  // What was acknowledged after the backup is gone with the disk that held it; nothing else is.
  for (const [i, one] of witness.devices.entries()) {
    one.measured.splice(kept[i]!, lost[i]! - kept[i]!);
  }
  t.diagnostic(`${await witness.compare(platform)} samples`);
});

/** PostgreSQL may run as another user than the test. */
function chownLike(model: string, copy: string): void {
  execFileSync("chown", ["-R", `--reference=${model}`, copy]);
}
