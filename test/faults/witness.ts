/**
 * Devices at full rate against a real platform, and an oracle that believes only their receipts: each
 * sample is written down when measured; a spool is freed by receipts alone; in the end `export` must
 * give every sample exactly once.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { Device, mqttTransport } from "../../src/device/index.ts";
import { enrolDevice, hire, registerPatient } from "../journeys/ward.ts";
import type { AtEnd } from "../support/database.ts";
import { cleanEnvironment, MAIN, type RunningPlatform } from "../support/platform.ts";

const HEART_RATE = 147_842;
const SAMPLES_EACH = 10;
/** A device waits when so many envelopes have no receipt: the fault is on, and memory is not endless. */
export const HELD_MAX = 300;
export const ACKNOWLEDGED_MIN = 10_000;

interface Witnessed {
  device: Device;
  readonly options: ConstructorParameters<typeof Device>[0];
  readonly deviceId: string;
  readonly folder: string;
  /** Every sample measured, as `time value`. */
  readonly measured: string[];
  patientId: string;
  nextMs: number;
}

export class Witness {
  readonly devices: Witnessed[] = [];
  readonly doctorId: string;
  readonly token: string;
  #isMeasuring = false;
  #loops: Promise<void>[] = [];

  private constructor(doctor: { id: string; token: string }) {
    this.doctorId = doctor.id;
    this.token = doctor.token;
  }

  static async start(t: AtEnd, platform: RunningPlatform, count = 8): Promise<Witness> {
    const doctor = await hire(platform, "Dr Fault Test", "doctor");
    const witness = new Witness(doctor);
    t.after(() => witness.close());
    for (let i = 0; i < count; i++) {
      const patientId = await registerPatient(platform, doctor.token);
      const enrolled = await enrolDevice(platform, { patientId, assignedFromMs: 0 });
      const folder = mkdtempSync(join(tmpdir(), "fault-device-"));
      t.after(() => rmSync(folder, { recursive: true, force: true }));
      const { identity, prekeys, deviceId } = enrolled;
      const options = {
        identity,
        folder,
        prekeys,
        transport: mqttTransport(identity, identity.mqttUrl),
        durability: "interval" as const,
        keyExchange: i % 2 === 0 ? ("hybrid" as const) : ("classical" as const),
        blockEveryMs: 2_000,
      };
      const device = new Device(options);
      device.start();
      const nextMs = Date.now() - 86_400_000;
      witness.devices.push({ device, options, deviceId, folder, measured: [], patientId, nextMs });
    }
    return witness;
  }

  async stopDevice(one: Witnessed): Promise<void> {
    await one.device.close();
  }

  /** Starts it again on what its folder holds now. */
  startDevice(one: Witnessed): void {
    one.device = new Device(one.options);
    one.device.start();
  }

  /** All devices measure as fast as their spools allow, until `pause`. */
  measure(): void {
    this.#isMeasuring = true;
    this.#loops = this.devices.map(async (one) => {
      while (this.#isMeasuring) {
        if (one.device.status.held >= HELD_MAX) await sleep(20);
        else await this.#measureOnce(one);
        await sleep(1);
      }
    });
  }

  async #measureOnce(one: Witnessed): Promise<void> {
    const timesMs: number[] = [];
    const mantissas: number[] = [];
    for (let i = 0; i < SAMPLES_EACH; i++) {
      timesMs.push(one.nextMs++);
      mantissas.push(40 + (one.nextMs % 150));
    }
    const quality = timesMs.map(() => 0);
    await one.device.measure({
      points: [{ mdc: HEART_RATE, exponent: 0, timesMs, mantissas, quality }],
      waveforms: [],
    });
    for (let i = 0; i < SAMPLES_EACH; i++) one.measured.push(`${timesMs[i]} ${mantissas[i]}`);
  }

  async pause(): Promise<void> {
    this.#isMeasuring = false;
    await Promise.all(this.#loops);
  }

  /** Envelopes with a receipt so far. */
  get received(): number {
    return this.devices.reduce((sum, { device }) => sum + device.status.received, 0);
  }

  /** Waits until receipts have moved on by so many envelopes. */
  async progress(envelopes: number, withinMs = 60_000): Promise<void> {
    const wanted = this.received + envelopes;
    const endMs = performance.now() + withinMs;
    while (this.received < wanted) {
      if (performance.now() > endMs) throw new Error("the devices get no receipts");
      await sleep(20);
    }
  }

  /** Everything measured has its receipt. */
  async settled(withinMs = 120_000): Promise<void> {
    const endMs = performance.now() + withinMs;
    while (this.devices.some(({ device }) => device.status.held > 0)) {
      if (performance.now() > endMs) {
        throw new Error(`no receipt for ${this.devices.map((d) => d.device.status.held)}`);
      }
      await sleep(50);
    }
  }

  /** Compares what was acknowledged with what `vitalward export` gives. @returns samples compared. */
  async compare(platform: RunningPlatform): Promise<number> {
    let count = 0;
    for (const one of this.devices) {
      assert.equal(one.device.status.dropped, 0, "a spool was too small for this test");
      const lines = (await this.#export(platform, one.patientId)).trim().split("\n");
      const found = lines.map((line) => {
        const sample = JSON.parse(line) as { time: string; value: number };
        return `${Date.parse(sample.time)} ${sample.value}`;
      });
      assert.deepEqual(found.sort(), one.measured.toSorted());
      count += found.length;
    }
    assert.ok(count >= ACKNOWLEDGED_MIN, `only ${count} samples were acknowledged`);
    return count;
  }

  async #export(platform: RunningPlatform, patientId: string): Promise<string> {
    const args = [MAIN, "export", "--as", this.doctorId, "--patient", patientId];
    const env = { ...cleanEnvironment(), VITALWARD_DATA: platform.dataDir };
    const { stdout } = await promisify(execFile)(process.execPath, args, {
      env,
      maxBuffer: 1 << 29,
    });
    return stdout;
  }

  async close(): Promise<void> {
    try {
      await this.pause();
    } finally {
      await Promise.all(this.devices.map(({ device }) => device.close()));
    }
  }
}
