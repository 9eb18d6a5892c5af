/** How old is too old. Never decided by the page's mood: twice the metric's expected interval, from the catalogue. */
import type { Metric } from "../../../src/vitals/metric.ts";

export type Freshness = "current" | "stale" | "none";

/** Even a metric measured each second is given this long: network, batch and screen take their share. */
const LEAST_MS = 15_000;

/** After this long without a newer sample a value is stale. */
export function staleAfterMs(metric: Metric): number {
  return Math.max(LEAST_MS, 2 * metric.intervalMs);
}

/** A value is never current while the connection is lost: nobody knows. */
export function freshness(
  metric: Metric,
  timeMs: number | undefined,
  nowMs: number,
  connected = true,
): Freshness {
  if (timeMs === undefined) return "none";
  return connected && nowMs - timeMs <= staleAfterMs(metric) ? "current" : "stale";
}
