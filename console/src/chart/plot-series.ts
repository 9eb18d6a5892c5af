/** From the platform's columns to what uPlot draws. Gaps stay gaps: a null stands wherever nothing was measured. */
import { type Metric, metricByMdc } from "../../../src/vitals/metric.ts";
import type { Series, SeriesAnswer } from "../../../src/ward/schema.ts";

/** One stored sample behind a drawn point. */
export interface Point {
  metric: Metric;
  mantissa: number;
  exponent: number;
  timeMs: number;
  quality: number;
  marks: number;
  deviceId: string;
  sessionId: string;
  sequence: number;
}

/** Times (seconds, as uPlot wants them) and values in the shown unit; null where the line is broken. */
export type Column = [number[], (number | null)[]];

export function plotColumn(
  series: Series,
  fromMs: number,
  convert: (value: number) => number,
): Column {
  const gaps = new Set(series.gapsAfter);
  const times: number[] = [];
  const values: (number | null)[] = [];
  const factor = 10 ** series.exponent;
  series.atMs.forEach((at, index) => {
    times.push((fromMs + at) / 1000);
    values.push(convert((series.mantissas[index] ?? 0) * factor));
    if (gaps.has(index)) {
      times.push((fromMs + at + 1) / 1000);
      values.push(null);
    }
  });
  return [times, values];
}

/** The drawn sample nearest to a time, over all the given series; undefined when none is within `withinMs`. */
export function nearestPoint(
  answer: SeriesAnswer,
  mdcs: readonly number[],
  timeMs: number,
  withinMs: number,
): Point | undefined {
  let best: Point | undefined;
  for (const series of answer.series) {
    if (!mdcs.includes(series.mdc) || series.atMs.length === 0) continue;
    const at = timeMs - answer.fromMs;
    const after = lowerBound(series.atMs, at);
    for (const index of [after - 1, after]) {
      const point = pointAt(series, index, answer.fromMs);
      if (point === undefined || Math.abs(point.timeMs - timeMs) > withinMs) continue;
      if (best === undefined || Math.abs(point.timeMs - timeMs) < Math.abs(best.timeMs - timeMs)) {
        best = point;
      }
    }
  }
  return best;
}

/** Of each series the newest sample of every bucket of time: the rows of a chart on paper. Newest first. */
export function rowPoints(
  answer: SeriesAnswer,
  mdcs: readonly number[],
  bucketMs: number,
): Point[] {
  const rows: Point[] = [];
  for (const series of answer.series.filter((one) => mdcs.includes(one.mdc))) {
    let taken: number | undefined;
    for (let index = series.atMs.length - 1; index >= 0; index -= 1) {
      const bucket = Math.floor((answer.fromMs + (series.atMs[index] ?? 0)) / bucketMs);
      const point = bucket === taken ? undefined : pointAt(series, index, answer.fromMs);
      if (point === undefined) continue;
      taken = bucket;
      rows.push(point);
    }
  }
  return rows.sort((a, b) => b.timeMs - a.timeMs || a.metric.mdc - b.metric.mdc);
}

export function pointAt(series: Series, index: number, fromMs: number): Point | undefined {
  const at = series.atMs[index];
  const source = series.sources[series.source[index] ?? -1];
  const metric = metricByMdc(series.mdc);
  if (at === undefined || source === undefined || metric === undefined) return undefined;
  return {
    metric,
    mantissa: series.mantissas[index] ?? 0,
    exponent: series.exponent,
    timeMs: fromMs + at,
    quality: series.quality[index] ?? 0,
    marks: series.marks[index] ?? 0,
    deviceId: source.deviceId,
    sessionId: source.sessionId,
    sequence: series.sequences[index] ?? 0,
  };
}

/** First index whose value is not below `x`. */
function lowerBound(values: readonly number[], x: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((values[middle] ?? 0) < x) low = middle + 1;
    else high = middle;
  }
  return low;
}
