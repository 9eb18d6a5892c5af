/**
 * A ward from a seed: devices that measure, a network that loses, doubles and reorders, and crashes of
 * devices and of the platform. In the end every sealed value must be stored exactly once. A canary
 * breaks the platform on purpose and must be caught.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { splitPayload } from "../../src/envelope/payload.ts";
import { receiptCovers } from "../../src/envelope/receipt.ts";
import { type DownlinkSecret, openDownlinkWith } from "../../src/envelope/session.ts";
import type { Verdict } from "../../src/ingest/verdict.ts";
import type { AdmittedEnvelope } from "../../src/store/store.ts";
import { admissionWorld, type TestDevice, type World } from "../support/admission.ts";

/** Mulberry32: small, seeded, good enough to choose faults by. */
function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

interface Simulated {
  readonly device: TestDevice;
  /** Value by (session, number), as sealed. */
  readonly sealed: Map<string, number>;
  /** Sealed and without a receipt, by number. */
  readonly spool: Map<number, { session: string; bytes: Uint8Array }>;
  readonly downlinks: Map<string, DownlinkSecret>;
}

class Ward {
  readonly world: World;
  readonly random: () => number;
  readonly devices: Simulated[] = [];
  readonly flying: Promise<void>[] = [];
  nextValue = 40;

  constructor(world: World, random: () => number) {
    this.world = world;
    this.random = random;
  }

  async addDevice(): Promise<void> {
    const device = await this.world.device();
    const one = { device, sealed: new Map(), spool: new Map(), downlinks: new Map() };
    this.devices.push(one);
    await this.newSession(one);
  }

  /** A device's start: a new session, by a reply that may be lost a few times. */
  async newSession(one: Simulated): Promise<void> {
    await one.device.open();
    const { session } = one.device;
    one.downlinks.set(session.sessionId, session.exportDownlink());
  }

  measure(one: Simulated): void {
    const value = 40 + (this.nextValue++ % 200);
    const sequence = one.device.session.nextSequence;
    const session = one.device.session.sessionId;
    const bytes = this.random() < 0.1 ? one.device.sealBlock() : one.device.seal([value]);
    if (!one.device.blocks.has(sequence)) one.sealed.set(`${session} ${sequence}`, value);
    one.spool.set(sequence, { session, bytes });
  }

  /** Sends some of the spool over a bad network. */
  transmit(one: Simulated): void {
    for (const { bytes } of one.spool.values()) {
      if (this.random() < 0.3) continue; // lost on the way up
      const copies = this.random() < 0.2 ? 2 : 1;
      for (let i = 0; i < copies; i++) {
        const delayMs = this.random() * 8;
        const isAnswerLost = this.random() < 0.3;
        const sent = new Promise((resolve) => setTimeout(resolve, delayMs))
          .then(() => one.device.send(bytes))
          .then((verdict) => {
            if (!isAnswerLost) this.hear(one, verdict);
          });
        this.flying.push(sent);
      }
    }
  }

  /** Frees the spool on receipts and on nothing else. */
  hear(one: Simulated, verdict: Verdict): void {
    for (const item of verdict.downlink.flatMap((bytes) => splitPayload(bytes))) {
      if (item.kind !== "envelope") continue;
      for (const secret of one.downlinks.values()) {
        const receipt = opened(secret, item.bytes);
        if (!receipt) continue;
        for (const [sequence, { session }] of one.spool) {
          const isSettled = session === receipt.sessionId && receiptCovers(receipt, sequence);
          if (isSettled) one.spool.delete(sequence);
        }
      }
    }
  }

  async run(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) {
      const one = this.devices[Math.floor(this.random() * this.devices.length)] as Simulated;
      const what = this.random();
      if (what < 0.6) this.measure(one);
      else if (what < 0.93) this.transmit(one);
      else if (what < 0.97) await this.newSession(one);
      else await this.world.restart({ kill: this.random() < 0.7 });
      if (this.flying.length > 60) await this.landed();
    }
  }

  async landed(): Promise<void> {
    await Promise.all(this.flying.splice(0));
  }

  /** The network heals: everything left is sent until receipts cover it. */
  async drain(): Promise<void> {
    await this.landed();
    for (let round = 0; round < 200; round++) {
      let left = 0;
      for (const one of this.devices) {
        for (const { bytes } of [...one.spool.values()])
          this.hear(one, await one.device.send(bytes));
        left += one.spool.size;
      }
      if (left === 0) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error("the spools never emptied");
  }

  /** Every sealed value is there, once, and nothing else. */
  async check(): Promise<number> {
    let count = 0;
    for (const one of this.devices) {
      const stored = await this.world.stored(one.device.patientId);
      const found = stored.map((s) => `${s.sessionId} ${s.sequence} ${s.mantissa}`).sort();
      const wanted = [...one.sealed].map(([name, value]) => `${name} ${value}`).sort();
      assert.deepEqual(found, wanted);
      count += found.length;
    }
    return count;
  }
}

function opened(secret: DownlinkSecret, bytes: Uint8Array) {
  try {
    return openDownlinkWith(secret, bytes).receipt;
  } catch {
    return undefined; // sealed under another session
  }
}

const SEEDS = [1, 2, 3];
const STEPS = 160;

for (const seed of SEEDS) {
  test(`nothing acknowledged is lost and nothing is doubled, seed ${seed}`, async (t) => {
    const world = await admissionWorld(t);
    const ward = new Ward(world, chance(seed));
    for (let i = 0; i < 3; i++) await ward.addDevice();
    await ward.run(STEPS);
    await ward.drain();
    assert.ok((await ward.check()) > 50);
  });
}

/** As another part of the platform would append it. */
function copyOf(envelope: AdmittedEnvelope, batch = envelope.batch): AdmittedEnvelope {
  const { deviceId, sessionId, patientId, marks, receivedMs, envelopeHash } = envelope;
  return { deviceId, sessionId, patientId, marks, receivedMs, envelopeHash, batch };
}

test("canary: a platform that acknowledges what it did not store is caught", async (t) => {
  const world = await admissionWorld(t);
  const ward = new Ward(world, chance(7));
  await ward.addDevice();
  const append = world.store.append.bind(world.store);
  let count = 0;
  world.store.append = (envelope) => {
    const isForgotten = ++count % 10 === 0;
    return append(isForgotten ? copyOf(envelope, { ...envelope.batch, points: [] }) : envelope);
  };
  const one = ward.devices[0] as Simulated;
  for (let i = 0; i < 40; i++) ward.measure(one);
  await ward.drain();
  await assert.rejects(ward.check());
});

test("canary: a platform that stores a repetition again is caught", async (t) => {
  const world = await admissionWorld(t);
  const ward = new Ward(world, chance(8));
  await ward.addDevice();
  const append = world.store.append.bind(world.store);
  world.store.append = (envelope) => append(envelope).then(() => append(copyOf(envelope)));
  const one = ward.devices[0] as Simulated;
  for (let i = 0; i < 20; i++) ward.measure(one);
  await ward.drain();
  await assert.rejects(ward.check());
});
