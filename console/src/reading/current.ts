/** Which of a column's metrics to show now, and what stands beside it. */
import type { Metric } from "../../../src/vitals/metric.ts";
import type { Reading } from "../../../src/ward/schema.ts";
import type { LivePatient } from "../live/board.ts";
import { type Freshness, freshness } from "./freshness.ts";
import { type Column, metricsOf, pressurePartners } from "./groups.ts";

export interface Current {
  metric: Metric;
  reading: Reading;
  freshness: Freshness;
  /** Blood pressure only: the diastolic measured at the same instant as the systolic. */
  diastolic?: Reading;
  mean?: Reading;
}

/** The first current one in the column's order, else the newest; undefined when none was ever measured. */
export function currentOf(
  patient: LivePatient,
  column: Column,
  nowMs: number,
  isConnected: boolean,
): Current | undefined {
  const all = metricsOf(column).flatMap((metric): Current[] => {
    const reading = patient.latest.get(metric.mdc);
    if (reading === undefined) return [];
    const rowMs = rowOf(patient, reading);
    const fresh = freshness(metric, reading.timeMs, nowMs, { isConnected, rowMs });
    return [{ metric, reading, freshness: fresh, ...partners(patient, column, metric, reading) }];
  });
  // Which source is best does not depend on this page's connection.
  const best = all.find(({ metric, reading }) => {
    const rowMs = rowOf(patient, reading);
    return freshness(metric, reading.timeMs, nowMs, { rowMs }) === "current";
  });
  return best ?? all.toSorted((a, b) => b.reading.timeMs - a.reading.timeMs)[0];
}

function rowOf(patient: LivePatient, reading: Reading): number | null {
  return patient.devices.find((device) => device.id === reading.deviceId)?.rowMs ?? null;
}

/** Only what was measured with it: a diastolic of another minute is another reading. */
function partners(patient: LivePatient, column: Column, metric: Metric, reading: Reading) {
  if (column.id !== "bp") return {};
  const names = pressurePartners(metric);
  const same = (partner: Metric | undefined) => {
    const found = partner && patient.latest.get(partner.mdc);
    return found?.timeMs === reading.timeMs ? found : undefined;
  };
  const diastolic = same(names.diastolic);
  const mean = same(names.mean);
  return { ...(diastolic && { diastolic }), ...(mean && { mean }) };
}

/** Newest reading of the patient, whatever it measures. */
export function newestMs(patient: LivePatient): number | undefined {
  let newest: number | undefined;
  for (const reading of patient.latest.values()) {
    if (newest === undefined || reading.timeMs > newest) newest = reading.timeMs;
  }
  return newest;
}

/** True when nothing of the patient is current: first of all someone looks there. */
export function isSilent(patient: LivePatient, columns: readonly Column[], nowMs: number): boolean {
  return columns.every((column) => {
    const current = currentOf(patient, column, nowMs, true);
    return current === undefined || current.freshness !== "current";
  });
}
