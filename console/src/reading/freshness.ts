/** How old is too old: twice the metric's expected interval, from the catalogue, on every screen alike. */
import type { Metric } from "../../../src/vitals/metric.ts";
import { isStale, staleAfterMs } from "../../../src/vitals/stale.ts";

export type Freshness = "current" | "stale" | "none";

/**
 * A value is never current while the connection is lost: nobody knows.
 * @param rowMs for a recording that is played one row at a time: no newer row is to be expected before.
 */
export function freshness(
  metric: Metric,
  timeMs: number | undefined,
  nowMs: number,
  o: { isConnected?: boolean; rowMs?: number | null } = {},
): Freshness {
  if (timeMs === undefined) return "none";
  if (o.isConnected === false) return "stale";
  const isWithinRow = nowMs - timeMs <= 2 * (o.rowMs ?? 0);
  return isWithinRow || !isStale(metric, timeMs, nowMs) ? "current" : "stale";
}

export { staleAfterMs };
