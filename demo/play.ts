/**
 * Plays the whole ward: enrols what has a claim, brings each device online, measures live, and feeds
 * the recorded pasts in behind. It knows the platform by the device SDK and the public doors only.
 *
 * Its folder holds a folder for each device: identity, state, spool and `progress.json`. With it a
 * later start goes on: the same devices, their numbers never again, their past not a second time.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  Device,
  type DeviceEvent,
  type Enrolled,
  enrol,
  httpsTransport,
  loadIdentity,
  mqttTransport,
  saveIdentity,
} from "../src/device/index.ts";
import { type Clock, type PastUpload, playLive, playPasts } from "./player.ts";
import { type Progress, readProgress, writeProgress } from "./progress.ts";
import { readRecording } from "./recording.ts";
import { type Measured, type Track, trackOf } from "./schedule.ts";
import { DEVICES } from "./ward.ts";
import type { DemoDevice } from "./ward-device.ts";

export interface PlayOptions {
  /** Where identities, spools and progress are kept. */
  folder: string;
  /** "mqtts://host:port" */
  mqttUrl: string;
  /** "https://host:port" */
  httpsUrl: string;
  /** The organisation's authority. */
  caPem: string;
  /** One for each device that has no identity yet; others are ignored. */
  claims: readonly { readonly deviceKey: string; readonly claimCode: string }[];
  /** Ends the play: devices sign, close their sessions and stop. */
  signal: AbortSignal;
  /** Called once, when the platform has receipted the first reading. */
  onFirstReading?: () => void;
}

/** Enrolments at a time: each costs the platform a signature and a durable commit. */
const ENROL_AT_ONCE = 4;
/** Envelopes without a receipt above which a device's past waits. */
const PAST_HELD_MAX = 32;
/** Devices begin this far apart, so that their seconds do not fall together. */
const APART_MS = 23;
/** Bytes of a device's spool: hours of waveforms without the platform. */
const SPOOL_BYTES_MAX = 16 * 1_048_576;
/** How often a player that waits for its first session looks for it. */
const SESSION_PAUSE_MS = 50;
/** How long an end waits for the last receipts. */
const CLOSE_WITHIN_MS = 1_500;

const clock: Clock = {
  nowMs: () => Date.now(),
  wait: async (ms, signal) => {
    if (signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => resolve();
    signal.addEventListener("abort", wake, { once: true });
    const timer = setTimeout(resolve, ms);
    await promise;
    clearTimeout(timer);
    signal.removeEventListener("abort", wake);
  },
};

/** One device of the ward, in play. */
interface Playing {
  plan: DemoDevice;
  device: Device;
  track: Track;
  progress: Progress;
  isNew: boolean;
  progressPath: string;
}

/** The keys of devices that have an identity in the folder. */
export function enrolledDevices(folder: string): Set<string> {
  const keys = DEVICES.map(({ device }) => device.key);
  return new Set(keys.filter((key) => existsSync(join(folder, key, "identity", "key.pem"))));
}

/** Plays until the signal ends.
 * @throws Error when a claim is refused, or a device's files are not readable. */
export async function playWard(o: PlayOptions): Promise<void> {
  const claims = new Map(o.claims.map(({ deviceKey, claimCode }) => [deviceKey, claimCode]));
  const playing: Playing[] = [];
  const live: Promise<void>[] = [];
  const first = once(() => o.onFirstReading?.());
  try {
    const waiting = DEVICES.map(({ device }) => device);
    const worker = async () => {
      for (let plan = waiting.shift(); plan && !o.signal.aborted; plan = waiting.shift()) {
        const found = await identityOf(o, plan, claims.get(plan.key));
        if (!found) continue;
        const one = begin(o, plan, found, { index: playing.length, first });
        playing.push(one);
        live.push(measureLive(one, o.signal));
      }
    };
    await Promise.all(Array.from({ length: ENROL_AT_ONCE }, worker));
    await Promise.all([
      ...live,
      playPasts({ uploads: playing.map(pastOf), clock, signal: o.signal }),
    ]);
  } finally {
    await Promise.all(playing.map(({ device }) => device.close(CLOSE_WITHIN_MS)));
  }
}

/** The kept identity, or a new one for the claim; undefined for a device with neither. */
async function identityOf(o: PlayOptions, plan: DemoDevice, claimCode: string | undefined) {
  const folder = join(o.folder, plan.key, "identity");
  if (enrolledDevices(o.folder).has(plan.key)) return { identity: loadIdentity(folder) };
  if (claimCode === undefined) return undefined;
  const { identity, prekeys } = await enrol({ url: o.httpsUrl, claimCode, caPem: o.caPem });
  saveIdentity(folder, identity);
  return { identity, prekeys };
}

function begin(
  o: PlayOptions,
  plan: DemoDevice,
  found: { identity: Enrolled; prekeys?: Uint8Array },
  { index, first }: { index: number; first: () => void },
): Playing {
  const { identity, prekeys } = found;
  const road =
    plan.door === "mqtt"
      ? mqttTransport(identity, o.mqttUrl)
      : httpsTransport(identity, o.httpsUrl);
  const device = new Device({
    identity,
    folder: join(o.folder, plan.key),
    transport: road,
    cipher: plan.cipher,
    keyExchange: plan.keyExchange,
    spoolBytesMax: SPOOL_BYTES_MAX,
    // Forty devices on one disk: synced together each second, not each for itself.
    durability: "interval",
    onEvent: (event) => noteEvent(plan, event, first),
    ...(prekeys && { prekeys }),
  });
  device.start();
  const progressPath = join(o.folder, plan.key, "progress.json");
  const kept = readProgress(progressPath);
  const progress = kept ?? { anchorMs: clock.nowMs() + index * APART_MS, pastTaken: 0 };
  if (!kept) writeProgress(progressPath, progress);
  const track = trackOf(readRecording(plan.recording), plan.metrics, plan.pace);
  return { plan, device, track, progress, isNew: !kept, progressPath };
}

/** Says what an operator should know: the device's key and a code, never a value. */
function noteEvent(plan: DemoDevice, event: DeviceEvent, first: () => void): void {
  if (event.type === "receipt") first();
  if (event.type === "refused") console.error(`${plan.key}: refused, ${event.problem}`);
  if (event.type === "dropped") console.error(`${plan.key}: spool full, envelopes dropped`);
}

async function measureLive({ device, track, progress, isNew }: Playing, signal: AbortSignal) {
  const { anchorMs } = progress;
  await playLive({
    track,
    anchorMs,
    clock,
    signal,
    measure: (measured) => measureUnlessEnded(device, measured, signal),
    // On a first start the sample at the anchor itself is due too.
    ...(isNew && { fromMs: anchorMs - 1 }),
  });
}

/** Before the first session measure() waits; an end in that time is no error. */
async function measureUnlessEnded(device: Device, measured: Measured, signal: AbortSignal) {
  while (device.status.sessionId === undefined) {
    if (signal.aborted) return;
    await clock.wait(SESSION_PAUSE_MS, signal);
  }
  await device.measure(measured);
}

function pastOf({ device, track, progress, progressPath }: Playing): PastUpload {
  return {
    track,
    anchorMs: progress.anchorMs,
    done: progress.pastTaken,
    measure: (measured) => device.measure(measured),
    isReady: () => device.status.sessionId !== undefined && device.status.held < PAST_HELD_MAX,
    take: (piece) => {
      progress.pastTaken = piece + 1;
      writeProgress(progressPath, progress);
    },
  };
}

function once(action: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    action();
  };
}
