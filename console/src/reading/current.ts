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

/** Newest word from the patient: a reading, or a device that sends a waveform only. */
export function newestMs(patient: LivePatient): number | undefined {
  let newest = liveWaveformMs(patient);
  for (const reading of patient.latest.values()) {
    if (newest === undefined || reading.timeMs > newest) newest = reading.timeMs;
  }
  return newest;
}

/** When a connected device was last heard, of a patient whose waveforms come; undefined when none do. */
export function liveWaveformMs(patient: LivePatient): number | undefined {
  if (patient.facts.waveforms.length === 0) return undefined;
  const heard = patient.devices
    .filter(
      (device) =>
        device.noConnectionSinceMs === null &&
        device.silentSinceMs === null &&
        device.lastSeenMs !== null,
    )
    .map((device) => device.lastSeenMs ?? 0);
  return heard.length === 0 ? undefined : Math.max(...heard);
}

/** True when nothing of the patient is current: first of all someone looks there. */
export function isSilent(patient: LivePatient, columns: readonly Column[], nowMs: number): boolean {
  if (liveWaveformMs(patient) !== undefined) return false;
  return columns.every((column) => {
    const current = currentOf(patient, column, nowMs, true);
    return current === undefined || current.freshness !== "current";
  });
}
