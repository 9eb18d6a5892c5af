/** When a value is too old to stand on a screen as if it were new. */
import type { Metric } from "./definition.ts";

/** How old the newest sample of a metric may be, ms: twice its expected interval. */
export function staleAfterMs(metric: Metric): number {
  return 2 * metric.intervalMs;
}

/** Age of a sample, ms. A sample from the future (a clock ahead of ours) is as old as nothing. */
export function ageMs(newestMs: number, nowMs: number): number {
  return Math.max(0, nowMs - newestMs);
}

/**
 * Whether the newest sample is too old. Exactly at the limit it is not yet.
 * @param newestMs UTC of the newest sample, or undefined where there never was one: stale.
 */
export function isStale(metric: Metric, newestMs: number | undefined, nowMs: number): boolean {
  return newestMs === undefined || ageMs(newestMs, nowMs) > staleAfterMs(metric);
}

/** When a value that is new now becomes stale, ms UTC: the moment to look again. */
export function staleAtMs(metric: Metric, newestMs: number): number {
  return newestMs + staleAfterMs(metric) + 1;
}
