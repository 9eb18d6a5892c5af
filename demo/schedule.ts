/**
 * What a device measures when: its recording, laid along the real time. Pure: no clock, no I/O.
 *
 * A device has an anchor, the moment it first played. The whole recording lies before the anchor as
 * the past, in its true spacing; from the anchor on it plays again and again, `pace` times faster.
 * The first samples of each round carry the mark that the recording restarts.
 */
import { metricById } from "../src/vitals/metric.ts";
import { quality } from "../src/vitals/quality.ts";
import type { PointSeries, Recording, WaveformSeries } from "./recording.ts";

/** Samples of one metric, ascending in time. */
export interface Points {
  mdc: number;
  exponent: number;
  /** UTC, ms. */
  timesMs: number[];
  mantissas: number[];
  quality: number[];
}

/** Values at a fixed rate from `startMs` (UTC) on. */
export interface Run {
  mdc: number;
  exponent: number;
  startMs: number;
  rate: { numerator: number; denominator: number };
  values: Int32Array;
  quality: number;
}

export interface Measured {
  points: Points[];
  waveforms: Run[];
}

/** What one device has to play. */
export interface Track {
  loopMs: number;
  pace: number;
  points: (PointSeries & { mdc: number })[];
  waveforms: (WaveformSeries & { mdc: number })[];
}

/** Waveforms are sent in runs of a second: whole milliseconds at every rate in use. */
export const RUN_MS = 1_000;
/** A piece of the past with waveforms: fits one envelope at 2 kB/s. */
const PAST_WAVEFORM_MS = 15_000;
/** Samples in a piece of the past without waveforms. */
const PAST_SAMPLES_MAX = 1_000;

/** The series of a recording that one device sends. */
export function trackOf(recording: Recording, metrics: readonly string[], pace: number): Track {
  const chosen = <Series extends { metric: string }>(all: Series[]) =>
    all
      .filter(({ metric }) => metrics.includes(metric))
      .map((series) => ({ ...series, mdc: mdcOf(series.metric) }))
      .sort((a, b) => a.mdc - b.mdc);
  return {
    loopMs: recording.loopMs,
    pace,
    points: chosen(recording.points),
    waveforms: chosen(recording.waveforms),
  };
}

/**
 * Everything that is due in the real time (fromMs, toMs]. A run is due when its last value is.
 * @param anchorMs when the track first played, UTC; nothing is due before it.
 */
export function due(track: Track, anchorMs: number, fromMs: number, toMs: number): Measured {
  const roundMs = track.loopMs / track.pace;
  const measured = new Map<number, Points>();
  const waveforms: Run[] = [];
  // The bounds are exclusive below, so a sample at the anchor itself is due after anchor - 1.
  const from = Math.max(fromMs, anchorMs - 1);
  const first = Math.max(0, Math.floor((from - anchorMs) / roundMs));
  const last = Math.floor((toMs - anchorMs) / roundMs);
  for (let round = first; round <= last; round++) {
    const startMs = anchorMs + round * roundMs;
    collectPoints(track, startMs, from, toMs, measured);
  }
  // A round's last run may be due only when the next round has begun.
  for (let round = Math.max(0, first - 1); round <= last; round++) {
    const startMs = anchorMs + round * roundMs;
    for (const series of track.waveforms) collectRuns(series, startMs, from, toMs, waveforms);
  }
  waveforms.sort((a, b) => a.mdc - b.mdc || a.startMs - b.startMs);
  return { points: [...measured.values()], waveforms };
}

/** The next moment after `afterMs` at which something is due, UTC ms. */
export function nextDueMs(track: Track, anchorMs: number, afterMs: number): number {
  if (track.waveforms.length > 0) {
    const runs = Math.floor((afterMs - anchorMs) / RUN_MS) + 1;
    return anchorMs + Math.max(1, runs) * RUN_MS;
  }
  const roundMs = track.loopMs / track.pace;
  const round = Math.max(0, Math.floor((afterMs - anchorMs) / roundMs));
  let next = Number.POSITIVE_INFINITY;
  for (const series of track.points)
    for (const startMs of [anchorMs + round * roundMs, anchorMs + (round + 1) * roundMs]) {
      const at = firstAfter(series.timesMs, (afterMs - startMs) * track.pace);
      const timeMs = series.timesMs[at];
      if (timeMs !== undefined) next = Math.min(next, startMs + timeMs / track.pace);
    }
  return next;
}

/** The recorded past, oldest first, in pieces that each fit an envelope. */
export function past(track: Track, anchorMs: number): Measured[] {
  const startMs = anchorMs - track.loopMs;
  const bounds = track.waveforms.length > 0 ? everyMs(track) : everySamples(track);
  const pieces: Measured[] = [];
  let from = -1;
  for (const to of bounds) {
    const points = track.points.map((series) => slice(series, startMs, from, to));
    const waveforms = track.waveforms.map((series) => pastRun(series, startMs, from, to));
    const piece = {
      points: points.filter((column) => column.timesMs.length > 0),
      waveforms: waveforms.filter((run) => run.values.length > 0),
    };
    if (piece.points.length + piece.waveforms.length > 0) pieces.push(piece);
    from = to;
  }
  return pieces;
}

function mdcOf(id: string): number {
  const metric = metricById(id);
  if (!metric) throw new Error(`${id} is not in the catalogue`);
  return metric.mdc;
}

function collectPoints(
  track: Track,
  startMs: number,
  fromMs: number,
  toMs: number,
  into: Map<number, Points>,
): void {
  for (const series of track.points) {
    let at = firstAfter(series.timesMs, (fromMs - startMs) * track.pace);
    for (; at < series.timesMs.length; at++) {
      const timeMs = startMs + (series.timesMs[at] as number) / track.pace;
      if (timeMs > toMs) break;
      let column = into.get(series.mdc);
      if (!column) {
        const { mdc, exponent } = series;
        column = { mdc, exponent, timesMs: [], mantissas: [], quality: [] };
        into.set(mdc, column);
      }
      column.timesMs.push(Math.round(timeMs));
      column.mantissas.push(series.mantissas[at] as number);
      column.quality.push(at === 0 ? quality.recordingRestarts : quality.none);
    }
  }
}

function collectRuns(
  series: Track["waveforms"][number],
  roundStartMs: number,
  fromMs: number,
  toMs: number,
  into: Run[],
): void {
  const startMs = roundStartMs + series.startMs;
  const perRun = (series.rate.numerator * RUN_MS) / series.rate.denominator / 1_000;
  const runs = Math.ceil(series.values.length / perRun);
  // Run n is due at (n + 1) seconds after the start, though the last may hold less than a second.
  const first = Math.max(0, Math.floor((fromMs - startMs) / RUN_MS));
  for (let run = first; run < runs && startMs + (run + 1) * RUN_MS <= toMs; run++)
    into.push({
      mdc: series.mdc,
      exponent: series.exponent,
      startMs: startMs + run * RUN_MS,
      rate: series.rate,
      values: series.values.subarray(run * perRun, (run + 1) * perRun),
      quality: run === 0 ? quality.recordingRestarts : quality.none,
    });
}

function slice(
  series: PointSeries & { mdc: number },
  startMs: number,
  from: number,
  to: number,
): Points {
  const first = firstAfter(series.timesMs, from);
  const end = firstAfter(series.timesMs, to);
  const timesMs = Array.from(series.timesMs.subarray(first, end), (timeMs) => startMs + timeMs);
  return {
    mdc: series.mdc,
    exponent: series.exponent,
    timesMs,
    mantissas: Array.from(series.mantissas.subarray(first, end)),
    quality: timesMs.map(() => quality.none),
  };
}

/** Values whose seconds lie in (from, to], where `from` of -1 means from the very first. */
function pastRun(
  series: Track["waveforms"][number],
  startMs: number,
  from: number,
  to: number,
): Run {
  const perSecond = series.rate.numerator / series.rate.denominator;
  const fromMs = Math.max(0, from);
  return {
    mdc: series.mdc,
    exponent: series.exponent,
    startMs: startMs + series.startMs + fromMs,
    rate: series.rate,
    values: series.values.subarray((fromMs / 1_000) * perSecond, (to / 1_000) * perSecond),
    quality: quality.none,
  };
}

function everyMs(track: Track): number[] {
  const pieces = Math.ceil(track.loopMs / PAST_WAVEFORM_MS);
  return Array.from({ length: pieces }, (_, n) =>
    Math.min(track.loopMs, (n + 1) * PAST_WAVEFORM_MS),
  );
}

function everySamples(track: Track): number[] {
  const times = track.points.flatMap((series) => Array.from(series.timesMs)).sort((a, b) => a - b);
  const bounds: number[] = [];
  for (let n = PAST_SAMPLES_MAX; n < times.length; n += PAST_SAMPLES_MAX)
    bounds.push(times[n - 1] as number);
  return [...new Set([...bounds, track.loopMs])];
}

/** Index of the first time later than `afterMs`; the length if there is none. */
function firstAfter(timesMs: Float64Array, afterMs: number): number {
  let low = 0;
  let high = timesMs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((timesMs[middle] as number) > afterMs) high = middle;
    else low = middle + 1;
  }
  return low;
}
