/** Storage that goes away and comes back: devices spool, nothing is lost, nobody restarts anything. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { startServer } from "../../src/postgres/server.ts";
import { startTestPlatform } from "../support/platform.ts";
import { Witness } from "./witness.ts";

/** A minute in the full run; shorter by default, since nothing changes after a few seconds. */
const DOWN_MS = Number(process.env.FAULT_DOWN_MS ?? 12_000);
const FULL_MS = 6_000;
const DISK_BYTES = 320 * 1_048_576;

test(`a database that is down for ${DOWN_MS / 1_000} s loses nothing and needs no restart`, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "fault-database-"));
  chmodSync(folder, 0o711);
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  let server = await startServer({ dataDir: folder, mayMove: true });
  t.after(() => server.stop());
  const admin = new pg.Client({ connectionString: server.url("postgres") });
  await admin.connect();
  await admin.query("CREATE DATABASE away");
  await admin.end();
  const platform = await startTestPlatform(t, {
    env: { VITALWARD_LOG_LEVEL: "error", DATABASE_URL: server.url("away") },
  });
  const witness = await Witness.start(t, platform);
  witness.measure();
  await witness.progress(600);
  await server.stop();
  await sleep(1_000);
  const before = witness.received;
  await sleep(DOWN_MS);
  assert.ok(witness.received <= before, "a receipt without a database");
  assert.ok(witness.devices.every(({ device }) => device.status.held > 0));
  server = await startServer({ dataDir: folder, mayMove: true });
  await witness.progress(600);
  await witness.pause();
  await witness.settled();
  t.diagnostic(`${await witness.compare(platform)} samples`);
});

test("a full disk is refused and said, and when there is room again all goes on", {
  skip: canMount() ? false : "needs root and the right to mount a tmpfs",
}, async (t) => {
  const disk = mkdtempSync(join(tmpdir(), "fault-disk-"));
  chmodSync(disk, 0o711);
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${DISK_BYTES},mode=711`, "tmpfs", disk]);
  t.after(() => {
    execFileSync("umount", ["-l", disk]);
    rmSync(disk, { recursive: true, force: true });
  });
  const dataDir = join(disk, "data");
  mkdirSync(dataDir, { mode: 0o711 });
  const platform = await startTestPlatform(t, {
    dataDir,
    env: { VITALWARD_LOG_LEVEL: "warn" },
  });
  const witness = await Witness.start(t, platform);
  witness.measure();
  await witness.progress(600);
  const filler = join(disk, "filler");
  const { bavail, bsize } = statfsSync(disk);
  writeFileSync(filler, Buffer.alloc(bavail * bsize - 65_536));
  await sleep(FULL_MS);
  rmSync(filler);
  await witness.progress(600);
  await witness.pause();
  await witness.settled();
  t.diagnostic(`${await witness.compare(platform)} samples`);
  assert.match(platform.output(), /storage|disk|space/i);
});

function canMount(): boolean {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false;
  const probe = mkdtempSync(join(tmpdir(), "fault-probe-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", probe], { stdio: "ignore" });
    execFileSync("umount", [probe], { stdio: "ignore" });
    return true;
  } catch {
    return false; // a container without the right to mount
  } finally {
    rmSync(probe, { recursive: true, force: true });
  }
}
