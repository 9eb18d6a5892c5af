/** Storage that goes away and comes back: devices spool, nothing is lost, nobody restarts anything. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { systemClock } from "../../src/clock.ts";
import { saveIdentity } from "../../src/device/identity.ts";
import { keepPrekeys, type SendAnswer, sealOnce, sendPayload } from "../../src/device/one-shot.ts";
import { parseSamples } from "../../src/device/samples.ts";
import { receiptCovers } from "../../src/envelope/receipt.ts";
import { startServer } from "../../src/postgres/server.ts";
import { PROBLEMS } from "../../src/problems.ts";
import { enrolDevice, hire, registerPatient } from "../journeys/ward.ts";
import { isAlive, type RunningPlatform, startTestPlatform } from "../support/platform.ts";
import { Witness } from "./witness.ts";

/** A minute in the full run; shorter by default, since nothing changes after a few seconds. */
const DOWN_MS = Number(process.env.FAULT_DOWN_MS ?? 12_000);
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

test("a full disk is refused and counted, loses nothing, and needs no restart when there is room again", {
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
  const byHand = await DeviceByHand.enrol(t, platform);
  assert.equal((await byHand.send()).status, 202);
  witness.measure();
  await witness.progress(600);

  const filler = join(disk, "filler");
  fillUp(disk, filler);
  const before = await refusedForStorage(platform);
  await until("refusals for want of storage are counted", async () => {
    return (await refusedForStorage(platform)) >= before + 20;
  });
  const refused = await byHand.refusal();
  assert.equal(refused.status, PROBLEMS["storage-unavailable"].status);
  assert.equal(refused.problem, PROBLEMS["storage-unavailable"].title);
  assert.deepEqual(refused.receipts, [], "a receipt for what was not kept");
  assert.ok(isAlive(platform.pid), "a full disk ended the platform");

  rmSync(filler);
  await witness.progress(600);
  await until("what was refused is taken when it comes again", async () => {
    const again = await byHand.send(refused.payload);
    return again.status === 202 && again.receipts.some((r) => receiptCovers(r, refused.sequence));
  });
  await witness.pause();
  await witness.settled();
  t.diagnostic(`${await witness.compare(platform)} samples`);
  assert.ok(isAlive(platform.pid), "it went on only by a restart");
});

/** Leaves no room at all, however the disk counts its pages. */
function fillUp(disk: string, filler: string): void {
  const { bavail, bsize } = statfsSync(disk);
  writeFileSync(filler, Buffer.alloc(bavail * bsize - 65_536));
  try {
    for (;;) appendFileSync(filler, Buffer.alloc(4_096));
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
  }
}

/** Envelopes that were refused because nothing could be stored, as operators see it. */
async function refusedForStorage(platform: RunningPlatform): Promise<number> {
  const text = await (await fetch(`${platform.url}/metrics`)).text();
  const line = /^vitalward_refusals_total\{code="storage-unavailable"\} (\d+)/m.exec(text);
  return Number(line?.[1] ?? 0);
}

async function until(what: string, holds: () => Promise<boolean>, withinMs = 60_000) {
  const endMs = performance.now() + withinMs;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await sleep(100);
  }
}

/** A device that seals and sends one envelope at a time by HTTPS, to see each answer. */
class DeviceByHand {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async enrol(t: TestContext, platform: RunningPlatform): Promise<DeviceByHand> {
    const { token } = await hire(platform, "Dr Hand Test", "doctor");
    const patientId = await registerPatient(platform, token);
    const { identity, prekeys } = await enrolDevice(platform, { patientId, assignedFromMs: 0 });
    const folder = mkdtempSync(join(tmpdir(), "fault-by-hand-"));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    saveIdentity(folder, identity);
    keepPrekeys(folder, prekeys);
    return new DeviceByHand(folder);
  }

  #seal() {
    const samples = { points: [{ metric: "MDC_ECG_HEART_RATE", value: 72 }] };
    const measured = parseSamples(JSON.stringify(samples), systemClock.nowMs());
    return sealOnce(this.#folder, measured, systemClock);
  }

  send(payload = this.#seal().payload): Promise<SendAnswer> {
    return sendPayload(this.#folder, payload);
  }

  /** Seals until one is refused: a last free page of a table may still take a few. */
  async refusal() {
    for (let i = 0; i < 5; i++) {
      const { payload, sequence } = this.#seal();
      const answer = await this.send(payload);
      if (answer.status !== 202) return { ...answer, payload, sequence };
    }
    throw new Error("a full disk still takes envelopes");
  }
}

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
