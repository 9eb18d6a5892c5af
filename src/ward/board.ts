/** The ward as one person may see it: every patient under a permit of their own, or not at all. */
import type { Access } from "../access/access.ts";
import type { Compartment, Permit } from "../access/permit.ts";
import type { Principal } from "../access/principal.ts";
import type { Clock } from "../clock.ts";
import { limits } from "../limits.ts";
import type { Presence } from "../presence.ts";
import type { Registry } from "../registry/registry.ts";
import type { SeriesChunk } from "../store/chunk.ts";
import type { Resources } from "../store/resources.ts";
import type { Store } from "../store/store.ts";
import { METRICS, metricByMdc } from "../vitals/metric.ts";
import { ageYears, demographicsOf } from "./demographics.ts";
import type { Proofs } from "./proofs.ts";
import { DeviceWatch, readingAt, Sparklines } from "./readings.ts";
import type { Reading, Ward, WardPatient } from "./schema.ts";

export interface WardParts {
  readonly access: Access;
  readonly registry: Registry;
  readonly presence: Pick<Presence, "of">;
  readonly store: Store;
  readonly resources: Resources;
  readonly proofs: Proofs;
  readonly clock: Clock;
}

/** What the board shows. Of waveforms only that they come: a patient with an ECG alone is not silent. */
export const BOARD_COMPARTMENTS = [
  "vital-signs",
  "waveform",
  "laboratory",
  "activity",
  "medication",
] as const satisfies Compartment[];

const BOARD_MDCS = METRICS.filter(
  (metric) =>
    metric.kind !== "waveform" && BOARD_COMPARTMENTS.some((one) => one === metric.category),
).map((metric) => metric.mdc);

/** Patients opened at a time: each takes a durable audit entry and an hour of readings. */
const AT_ONCE = 4;

/** All patients of the person's care teams. */
export async function wardOf(parts: WardParts, principal: Principal): Promise<Ward> {
  const nowMs = parts.clock.nowMs();
  const ids = (await parts.access.patientsOf(principal)).slice(0, limits.wardPatientsMax);
  const patients: WardPatient[] = [];
  let withheld = 0;
  for (let from = 0; from < ids.length; from += AT_ONCE) {
    const some = await Promise.all(
      ids.slice(from, from + AT_ONCE).map((id) => boardPatient(parts, principal, id, nowMs)),
    );
    for (const patient of some) {
      if (patient === undefined) withheld += 1;
      else patients.push(patient);
    }
  }
  patients.sort(byPlace);
  return { nowMs, patients, withheld };
}

function byPlace(a: WardPatient, b: WardPatient): number {
  // People at home have no bed and stand last.
  if ((a.bed === "") !== (b.bed === "")) return a.bed === "" ? 1 : -1;
  return (
    (a.ward < b.ward ? -1 : a.ward > b.ward ? 1 : 0) ||
    a.bed.localeCompare(b.bed, "en", { numeric: true }) ||
    a.name.localeCompare(b.name, "en")
  );
}

async function boardPatient(
  parts: WardParts,
  principal: Principal,
  patientId: string,
  nowMs: number,
): Promise<WardPatient | undefined> {
  const verdict = await parts.access.authorize({
    principal,
    patientId,
    purpose: "TREAT",
    categories: ["demographics", ...BOARD_COMPARTMENTS],
    action: "read",
  });
  if ("denied" in verdict) return undefined;
  try {
    return await openPatient(parts, verdict, nowMs);
  } finally {
    parts.access.release(verdict);
  }
}

/** One patient for the patient page: as on the board, and which waveforms there are.
 * @throws Problem "not-found" for the unknown and the forbidden alike. */
export async function patientOf(
  parts: WardParts,
  principal: Principal,
  patientId: string,
): Promise<WardPatient> {
  const nowMs = parts.clock.nowMs();
  const permit = await parts.access.permit({
    principal,
    patientId,
    purpose: "TREAT",
    categories: ["demographics", ...BOARD_COMPARTMENTS],
    action: "read",
  });
  try {
    return await openPatient(parts, permit, nowMs);
  } finally {
    parts.access.release(permit);
  }
}

async function openPatient(parts: WardParts, permit: Permit, nowMs: number): Promise<WardPatient> {
  const { store, resources } = parts;
  const [demographics, latest] = await Promise.all([
    demographicsOf(resources, permit),
    store.latest(permit),
  ]);
  const watch = new DeviceWatch();
  for (const chunk of latest) watch.take(chunk);
  const sparks = new Sparklines(nowMs);
  const range = { mdcs: BOARD_MDCS, fromMs: sparks.fromMs, toMs: nowMs + 60_000 };
  for await (const chunk of store.read(permit, range)) sparks.take(chunk);
  return {
    id: permit.patientId,
    name: demographics?.name ?? "",
    ward: demographics?.ward ?? "",
    bed: demographics?.bed ?? "",
    birthDate: demographics?.birthDate ?? "",
    ageYears: ageYears(demographics?.birthDate ?? "", nowMs),
    sex: demographics?.sex ?? "unknown",
    devices: watch.devicesOf(parts, permit.patientId, nowMs),
    readings: await signedOnes(parts.proofs, permit.patientId, newestOfEach(latest)),
    sparklines: sparks.all(),
    waveforms: waveformsOf(latest, nowMs),
    restartedMs: sparks.restartedMs,
  };
}

/** Of several devices measuring the same the newest sample counts. */
function newestOfEach(latest: readonly SeriesChunk[]): Reading[] {
  const newest = new Map<number, Reading>();
  for (const chunk of latest) {
    if (chunk.kind !== "points" || chunk.timesMs.length === 0) continue;
    const reading = readingAt(chunk, chunk.timesMs.length - 1);
    const known = newest.get(chunk.mdc);
    if (known === undefined || known.timeMs < reading.timeMs) newest.set(chunk.mdc, reading);
  }
  return [...newest.values()];
}

const WAVEFORM_RECENT_MS = 3_600_000;

function waveformsOf(latest: readonly SeriesChunk[], nowMs: number): number[] {
  const recent = latest.filter(
    (chunk) =>
      chunk.kind === "waveform" && nowMs - (chunk.timesMs.at(-1) ?? 0) < WAVEFORM_RECENT_MS,
  );
  const order = new Map(METRICS.map((metric, index) => [metric.mdc, index]));
  return [...new Set(recent.map((chunk) => chunk.mdc))]
    .filter((mdc) => metricByMdc(mdc) !== undefined)
    .sort((a, b) => (order.get(a) ?? 0) - (order.get(b) ?? 0));
}

/** Asks once for each batch, since one batch holds many readings. */
export async function signedOnes(
  proofs: Proofs,
  patientId: string,
  readings: readonly Reading[],
): Promise<Reading[]> {
  const asked = new Map<string, Promise<boolean>>();
  return Promise.all(
    readings.map(async (reading) => {
      const { deviceId, sessionId, sequence } = reading;
      const key = `${sessionId} ${sequence}`;
      const answer =
        asked.get(key) ?? proofs.isSigned({ patientId, deviceId, sessionId, sequence });
      asked.set(key, answer);
      return { ...reading, signed: await answer };
    }),
  );
}
