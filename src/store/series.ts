/** What names a series: metric, resolution, source; for waveforms the rate, too. */
import type { Category } from "../vitals/metric.ts";
import { metricByMdc } from "../vitals/metric.ts";
import type { Rate } from "./runs.ts";

export interface SeriesKey {
  readonly kind: "points" | "waveform";
  readonly mdc: number;
  readonly exponent: number;
  readonly deviceId: string;
  readonly rate?: Rate;
}

export type WaveformKey = SeriesKey & { readonly kind: "waveform"; readonly rate: Rate };

export function seriesName(key: SeriesKey): string {
  const rate = key.rate ? `${key.rate.numerator}/${key.rate.denominator}` : "";
  return `${key.kind} ${key.mdc} ${key.exponent} ${key.deviceId} ${rate}`;
}

const known = new Map<number, Category>();

/** The compartment a metric is kept in. What the catalogue lacks goes to vital signs: kept, and
 * open to nobody who may not see those. */
export function categoryOf(mdc: number): Category {
  let category = known.get(mdc);
  if (!category) {
    category = metricByMdc(mdc)?.category ?? "vital-signs";
    if (known.size < 10_000) known.set(mdc, category);
  }
  return category;
}

const DAY_MS = 86_400_000;

/** Months since January 1970, UTC. */
export function monthIndexOf(timeMs: number): number {
  const { fromMs, toMs, index } = lastMonth;
  if (timeMs >= fromMs && timeMs < toMs) return index;
  const date = new Date(timeMs);
  const found = (date.getUTCFullYear() - 1970) * 12 + date.getUTCMonth();
  lastMonth = { index: found, fromMs: monthStartMs(found), toMs: monthStartMs(found + 1) };
  return found;
}
let lastMonth = { index: 0, fromMs: 0, toMs: 0 };

export function monthStartMs(index: number): number {
  const year = 1970 + Math.floor(index / 12);
  const month = index - Math.floor(index / 12) * 12;
  return new Date(0).setUTCFullYear(year, month, 1);
}

/** The shelf of a month that a sample lies on: the month itself, or for waveforms the UTC day. */
export function shelfPeriodOf(kind: SeriesKey["kind"], timeMs: number): number {
  return kind === "points" ? monthIndexOf(timeMs) : Math.floor(timeMs / DAY_MS);
}
