/** From the store's columns to what the console shows: newest readings, the last hour small, device states. */
import { limits } from "../limits.ts";
import type { Presence, Seen } from "../presence.ts";
import type { Registry } from "../registry/registry.ts";
import type { SeriesChunk } from "../store/chunk.ts";
import { type Metric, metricByMdc } from "../vitals/metric.ts";
import { quality } from "../vitals/quality.ts";
import { staleAfterMs } from "../vitals/stale.ts";
import type { Reading, Sparkline, WardDevice, WaveRun } from "./schema.ts";

export const SPARK_BUCKETS = 60;
export const SPARK_BUCKET_MS = 60_000;

/** Recordings of which one row a minute is played, hourly ones ×60; the device's note says so. */
const ROW_NOTE = /^(×60\b|one row a minute$)/;
const ROW_MS = 60_000;

/** Sample `index` of a chunk; `signed` is settled by the caller. */
export function readingAt(chunk: SeriesChunk, index: number): Reading {
  return {
    mdc: chunk.mdc,
    mantissa: chunk.mantissas[index] ?? 0,
    exponent: chunk.exponent,
    timeMs: Math.round(chunk.timesMs[index] ?? 0),
    deviceId: chunk.deviceId,
    sessionId: chunk.sessions[chunk.sessionOf[index] ?? 0] ?? chunk.sessionId,
    sequence: chunk.sequences[index] ?? 0,
    quality: chunk.quality[index] ?? 0,
    marks: chunk.marks[index] ?? 0,
    signed: false,
  };
}

/** The samples of a chunk that the board needs: the lowest and the highest of each minute of the last
 * hour, the newest, and every restart of a recording. In time order. */
export function boardReadings(chunk: SeriesChunk, nowMs: number): Reading[] {
  const fromMs = nowMs - SPARK_BUCKETS * SPARK_BUCKET_MS;
  const kept = new Set<number>();
  const lowest = new Map<number, number>();
  const highest = new Map<number, number>();
  const value = (index: number | undefined) => chunk.mantissas[index ?? -1] ?? 0;
  for (let index = 0; index < chunk.timesMs.length; index += 1) {
    const timeMs = chunk.timesMs[index] ?? 0;
    if (timeMs < fromMs) continue;
    if (((chunk.quality[index] ?? 0) & quality.recordingRestarts) !== 0) kept.add(index);
    const bucket = Math.floor(timeMs / SPARK_BUCKET_MS);
    const low = lowest.get(bucket);
    const high = highest.get(bucket);
    if (low === undefined || value(index) < value(low)) lowest.set(bucket, index);
    if (high === undefined || value(index) > value(high)) highest.set(bucket, index);
  }
  for (const index of [...lowest.values(), ...highest.values()]) kept.add(index);
  if (chunk.timesMs.length > 0) kept.add(chunk.timesMs.length - 1);
  return [...kept].sort((a, b) => a - b).map((index) => readingAt(chunk, index));
}

/** Builds the last hour of each metric, chunk by chunk. */
export class Sparklines {
  readonly #fromMs: number;
  readonly #made = new Map<number, Sparkline>();
  /** Newest restart of a recording in the hour. */
  restartedMs: number | null = null;

  constructor(nowMs: number) {
    const endMs = (Math.floor(nowMs / SPARK_BUCKET_MS) + 1) * SPARK_BUCKET_MS;
    this.#fromMs = endMs - SPARK_BUCKETS * SPARK_BUCKET_MS;
  }

  get fromMs(): number {
    return this.#fromMs;
  }

  take(chunk: SeriesChunk): void {
    if (chunk.kind !== "points" || chunk.timesMs.length === 0) return;
    const spark = this.#spark(chunk);
    const factor = 10 ** (chunk.exponent - spark.exponent);
    for (let index = 0; index < chunk.timesMs.length; index += 1) {
      const timeMs = chunk.timesMs[index] ?? 0;
      const bucket = Math.floor((timeMs - this.#fromMs) / SPARK_BUCKET_MS);
      if (bucket < 0 || bucket >= SPARK_BUCKETS) continue;
      const mantissa = Math.round((chunk.mantissas[index] ?? 0) * factor);
      spark.lows[bucket] = Math.min(spark.lows[bucket] ?? mantissa, mantissa);
      spark.highs[bucket] = Math.max(spark.highs[bucket] ?? mantissa, mantissa);
      if (((chunk.quality[index] ?? 0) & quality.recordingRestarts) !== 0) {
        this.restartedMs = Math.max(this.restartedMs ?? 0, Math.round(timeMs));
      }
    }
  }

  #spark(chunk: SeriesChunk): Sparkline {
    const known = this.#made.get(chunk.mdc);
    if (known !== undefined) return known;
    const made: Sparkline = {
      mdc: chunk.mdc,
      exponent: chunk.exponent,
      fromMs: this.#fromMs,
      bucketMs: SPARK_BUCKET_MS,
      lows: Array(SPARK_BUCKETS).fill(null),
      highs: Array(SPARK_BUCKETS).fill(null),
    };
    this.#made.set(chunk.mdc, made);
    return made;
  }

  all(): Sparkline[] {
    return [...this.#made.values()];
  }
}

/** The runs of a waveform chunk: a new one wherever the times do not follow on. */
export function waveRuns(chunk: SeriesChunk): WaveRun[] {
  const { rate } = chunk;
  if (chunk.kind !== "waveform" || rate === undefined) return [];
  const stepMs = (1000 * rate.denominator) / rate.numerator;
  const runs: WaveRun[] = [];
  let from = 0;
  const cut = (to: number) => {
    const first = readingAt(chunk, from);
    runs.push({
      mdc: chunk.mdc,
      deviceId: chunk.deviceId,
      startMs: chunk.timesMs[from] ?? 0,
      rate,
      exponent: chunk.exponent,
      values: Array.from(chunk.mantissas.subarray(from, to)),
      quality: first.quality,
      sessionId: first.sessionId,
      sequence: first.sequence,
    });
    from = to;
  };
  for (let index = 1; index <= chunk.timesMs.length; index += 1) {
    const stepped = (chunk.timesMs[index] ?? 0) - (chunk.timesMs[index - 1] ?? 0);
    const isNew = chunk.quality[index] !== chunk.quality[index - 1];
    if (index === chunk.timesMs.length || stepped > stepMs * 1.5 || isNew) cut(index);
  }
  return runs;
}

/** When each device was last heard, and what it measures: learnt from what the store yields. */
export class DeviceWatch {
  readonly #lastSeenMs = new Map<string, number>();
  readonly #intervalMs = new Map<string, number>();

  take(chunk: SeriesChunk): void {
    const received = chunk.receivedMs.at(-1);
    const metric = metricByMdc(chunk.mdc);
    if (received === undefined || metric === undefined) return;
    const seen = this.#lastSeenMs.get(chunk.deviceId) ?? 0;
    this.#lastSeenMs.set(chunk.deviceId, Math.max(seen, received));
    const interval = this.#intervalMs.get(chunk.deviceId) ?? Number.POSITIVE_INFINITY;
    this.#intervalMs.set(chunk.deviceId, Math.min(interval, metric.intervalMs));
  }

  /** The devices assigned to the patient now. */
  devicesOf(
    o: { readonly registry: Registry; readonly presence: Pick<Presence, "of"> },
    patientId: string,
    nowMs: number,
  ): WardDevice[] {
    return o.registry
      .assignmentsOf({ patientId })
      .filter(({ fromMs, toMs }) => fromMs <= nowMs && (toMs === undefined || nowMs < toMs))
      .flatMap(({ deviceId }): WardDevice[] => {
        const device = o.registry.device(deviceId);
        if (device === undefined) return [];
        const { id, label, note, state } = device;
        const rowMs = ROW_NOTE.test(note) ? ROW_MS : null;
        const lastSeenMs = this.#lastSeenMs.get(id) ?? null;
        const quietMs = Math.max(
          limits.deviceQuietMs,
          2 * (this.#intervalMs.get(id) ?? 0),
          2 * (rowMs ?? 0),
        );
        const line = lineOf(o.presence.of(id), lastSeenMs, (sinceMs) => nowMs - sinceMs > quietMs);
        return [{ id, name: label, note, rowMs, state, lastSeenMs, ...line }];
      });
  }
}

/** What the doors know of its connection, and whether it says anything. Of a device that comes by single requests
 * only silence longer than it should be is known. */
function lineOf(
  seen: Seen,
  lastSeenMs: number | null,
  isTooLong: (sinceMs: number) => boolean,
): Pick<WardDevice, "connectedSinceMs" | "noConnectionSinceMs" | "silentSinceMs"> {
  const { connectedSinceMs, disconnectedMs } = seen;
  if (connectedSinceMs !== null) {
    // One that has just come back is given its time.
    const isSilent = isTooLong(Math.max(lastSeenMs ?? 0, connectedSinceMs));
    const silentSinceMs = isSilent ? (lastSeenMs ?? connectedSinceMs) : null;
    return { connectedSinceMs, noConnectionSinceMs: null, silentSinceMs };
  }
  const isQuiet = lastSeenMs !== null && isTooLong(lastSeenMs);
  const noConnectionSinceMs = disconnectedMs ?? (isQuiet ? lastSeenMs : null);
  return { connectedSinceMs: null, noConnectionSinceMs, silentSinceMs: null };
}

/** Whether a metric is one of the board's and the trends': a number or a coded state. */
export function isPointMetric(metric: Metric): boolean {
  return metric.kind !== "waveform";
}

/** Longest silence that is still one line on a chart: twice the expected interval. */
export function gapMs(mdc: number, rowMs: number | null): number {
  const metric = metricByMdc(mdc);
  return Math.max(metric === undefined ? 0 : staleAfterMs(metric), 2 * (rowMs ?? 0));
}
