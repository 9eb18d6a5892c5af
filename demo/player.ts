/**
 * Plays one device's track in real time, and feeds recorded pasts in behind the live readings.
 * Time and the way out are given, so that a test owns both.
 */
import { due, type Measured, nextDueMs, past, type Track } from "./schedule.ts";

/** Takes what was measured; resolves when it is safe in the spool. */
export type Measure = (measured: Measured) => Promise<void>;

export interface Clock {
  /** UTC, ms. */
  nowMs(): number;
  /** Resolves after `ms`, or at once when the signal ends. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

/** After a longer pause (the machine slept) a player goes on from now and leaves the gap a gap. */
const CATCH_UP_MAX_MS = 30_000;
/** Longest wait in one piece: a changed system clock is noticed after that. */
const WAIT_MAX_MS = 60_000;
/** Pause between two pieces of the past, all devices together: live readings come first. */
const PAST_PAUSE_MS = 200;

/** Measures what is due, when it is due, until the signal ends. */
export async function playLive(o: {
  track: Track;
  anchorMs: number;
  /** Everything until then was measured before; default: only what is due from now on. */
  fromMs?: number;
  measure: Measure;
  clock: Clock;
  signal: AbortSignal;
}): Promise<void> {
  const { track, anchorMs, measure, clock, signal } = o;
  let lastMs = o.fromMs ?? clock.nowMs();
  while (!signal.aborted) {
    const nextMs = Math.ceil(nextDueMs(track, anchorMs, lastMs));
    const nowMs = clock.nowMs();
    if (nowMs < nextMs) {
      await clock.wait(Math.min(nextMs - nowMs, WAIT_MAX_MS), signal);
      continue;
    }
    if (nowMs - nextMs > CATCH_UP_MAX_MS) {
      lastMs = nowMs;
      continue;
    }
    const measured = due(track, anchorMs, lastMs, nowMs);
    lastMs = nowMs;
    if (measured.points.length + measured.waveforms.length > 0) await measure(measured);
  }
}

/** One device whose past is still to be uploaded. */
export interface PastUpload {
  track: Track;
  anchorMs: number;
  /** Pieces already done. */
  done: number;
  measure: Measure;
  /** Whether the device can take a piece at once: it has a session, and room in its spool. */
  isReady(): boolean;
  /** Called just before a piece goes into the spool, so that no crash can upload it twice. */
  take(piece: number): void;
}

/**
 * Feeds the pasts in, a piece of each device in turn, so that every trend grows at once. Devices
 * with few pieces are done within seconds. A device that is not ready is passed over: the past
 * never crowds out live readings.
 */
export async function playPasts(o: {
  uploads: readonly PastUpload[];
  clock: Clock;
  signal: AbortSignal;
}): Promise<void> {
  const open = o.uploads
    .map((upload) => ({ upload, pieces: past(upload.track, upload.anchorMs), at: upload.done }))
    .filter(({ pieces, at }) => at < pieces.length);
  while (open.length > 0) {
    const ready = open.filter(({ upload }) => upload.isReady());
    if (ready.length === 0) await o.clock.wait(PAST_PAUSE_MS, o.signal);
    for (const turn of ready) {
      if (o.signal.aborted) return;
      if (!turn.upload.isReady()) continue;
      turn.upload.take(turn.at);
      await turn.upload.measure(turn.pieces[turn.at] as Measured);
      turn.at += 1;
      if (turn.at === turn.pieces.length) open.splice(open.indexOf(turn), 1);
      await o.clock.wait(PAST_PAUSE_MS, o.signal);
    }
    if (o.signal.aborted) return;
  }
}
