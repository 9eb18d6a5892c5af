/**
 * The catalogue of what can be measured. X of the catalogue is looked up by its MDC code, in O(1);
 * how to add one is in README.md. No I/O in this folder.
 */
import type { Metric } from "./definition.ts";
import { heartRate } from "./heart-rate.ts";

export type { Category, Metric, State } from "./definition.ts";

/** Every metric, in the order people expect to read them. */
export const METRICS: readonly Metric[] = [heartRate];

const byMdc = new Map(METRICS.map((metric) => [metric.mdc, metric]));
const byId = new Map(METRICS.map((metric) => [metric.id, metric]));

/** The metric of a 32-bit MDC code, or undefined where the catalogue has none. */
export function metricByMdc(mdc: number): Metric | undefined {
  return byMdc.get(mdc);
}

/** The metric of a reference identifier such as `MDC_ECG_HEART_RATE`. */
export function metricById(id: string): Metric | undefined {
  return byId.get(id);
}
