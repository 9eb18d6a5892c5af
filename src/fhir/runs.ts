/**
 * Waveforms as Observations: what one device measured of one lead within one minute of UTC, without
 * a gap, is one Observation. So an id stays the same however envelopes were cut or merged.
 */
import type { SeriesChunk } from "../store/chunk.ts";
import { metricByMdc } from "../vitals/metric.ts";
import type { Reading } from "./observation.ts";

export const MINUTE_MS = 60_000;
/** A run may still grow for this long after its minute: what is on its way arrives. */
const SETTLED_MS = 10_000;

export function minuteOf(timeMs: number): number {
  return Math.floor(timeMs / MINUTE_MS) * MINUTE_MS;
}

/** @param chunks of any series; a run goes on over the border of two chunks.
 * @param nowMs to tell what is still growing. */
export function runsOf(chunks: readonly SeriesChunk[], nowMs: number): Reading[] {
  const bySeries = new Map<string, SeriesChunk[]>();
  for (const chunk of chunks) {
    const { rate } = chunk;
    if (rate === undefined || chunk.unreadable !== undefined) continue;
    const key = seriesKey(chunk, rate);
    const series = bySeries.get(key);
    if (series === undefined) bySeries.set(key, [chunk]);
    else series.push(chunk);
  }
  return [...bySeries.values()].flatMap((series) => runsOfSeries(series, nowMs));
}

function runsOfSeries(chunks: readonly SeriesChunk[], nowMs: number): Reading[] {
  const first = chunks[0];
  const metric = first && metricByMdc(first.mdc);
  const rate = first?.rate;
  if (first === undefined || metric === undefined || rate === undefined) return [];
  const periodMs = (1000 * rate.denominator) / rate.numerator;
  const runs: Reading[] = [];
  let open: OpenRun | undefined;
  const close = () => {
    if (open === undefined) return;
    const { startMs, values, quality, marks, receivedMs } = open;
    runs.push({
      metric,
      deviceId: first.deviceId,
      timeMs: Math.round(startMs),
      receivedMs,
      mantissa: 0,
      exponent: first.exponent,
      quality,
      marks,
      run: {
        mantissas: Int32Array.from(values),
        rate,
        complete: minuteOf(startMs) + MINUTE_MS + SETTLED_MS <= nowMs,
      },
    });
  };
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.timesMs.length; at++) {
      const timeMs = chunk.timesMs[at]!;
      if (open === undefined || begins(open, timeMs, periodMs)) {
        close();
        open = { startMs: timeMs, values: [], quality: 0, marks: 0, receivedMs: 0 };
      }
      open.values.push(chunk.mantissas[at]!);
      open.quality |= chunk.quality[at]!;
      open.marks |= chunk.marks[at]!;
      open.receivedMs = Math.max(open.receivedMs, chunk.receivedMs[at]!);
    }
  }
  close();
  return runs;
}

interface OpenRun {
  readonly startMs: number;
  readonly values: number[];
  quality: number;
  marks: number;
  receivedMs: number;
}

/** A new minute, or a step that is not one period: more than half a period early or late. */
function begins(
  open: { readonly startMs: number; readonly values: { readonly length: number } },
  timeMs: number,
  periodMs: number,
): boolean {
  const expectedMs = open.startMs + open.values.length * periodMs;
  // Whole milliseconds on the device's clock may round each run's start by one.
  return (
    Math.abs(timeMs - expectedMs) > periodMs / 2 + 1 || minuteOf(timeMs) !== minuteOf(open.startMs)
  );
}

function seriesKey(chunk: SeriesChunk, rate: NonNullable<SeriesChunk["rate"]>): string {
  return `${chunk.mdc} ${chunk.deviceId} ${chunk.exponent} ${rate.numerator}/${rate.denominator}`;
}

/** Counts the runs that `runsOf` would make, chunk by chunk, without keeping their values. */
export class RunCounter {
  readonly #fromMs: number;
  readonly #toMs: number;
  readonly #open = new Map<string, { startMs: number; values: { length: number } }>();
  total = 0;

  /** Counts runs that start within [fromMs, toMs). */
  constructor(fromMs: number, toMs: number) {
    this.#fromMs = fromMs;
    this.#toMs = toMs;
  }

  /** @param chunk the next of its series, ascending in time. */
  add(chunk: SeriesChunk): void {
    const { rate } = chunk;
    if (rate === undefined || chunk.unreadable !== undefined) return;
    const key = seriesKey(chunk, rate);
    const periodMs = (1000 * rate.denominator) / rate.numerator;
    let open = this.#open.get(key);
    for (const timeMs of chunk.timesMs) {
      if (open === undefined || begins(open, timeMs, periodMs)) {
        open = { startMs: timeMs, values: { length: 0 } };
        if (timeMs >= this.#fromMs && timeMs < this.#toMs) this.total++;
      }
      open.values.length++;
    }
    if (open !== undefined) this.#open.set(key, open);
  }
}
