/**
 * Stored samples → FHIR R4 Observations. A projection: nothing here is stored, and a value is the
 * decimal that the device sealed, never a float that was computed.
 */
import { createHash } from "node:crypto";
import type {
  CodeableConcept,
  Extension,
  Observation,
  ObservationComponent,
  Quantity,
} from "@medplum/fhirtypes";
import type { SeriesChunk } from "../store/chunk.ts";
import { type Metric, metricByMdc } from "../vitals/metric.ts";
import { mark, markFlags, qualityFlags } from "../vitals/quality.ts";
import {
  BLOOD_PRESSURE,
  categoryCoding,
  codeOf,
  type Panel,
  panelOf,
  profilesOf,
} from "./codes.ts";
import type { ObservationIds } from "./observation-id.ts";
import { PROFILE, SYSTEM } from "./systems.ts";

/** One sample, or one run of a waveform, taken out of a chunk. */
export interface Reading {
  readonly metric: Metric;
  readonly deviceId: string;
  readonly timeMs: number;
  readonly receivedMs: number;
  readonly mantissa: number;
  readonly exponent: number;
  readonly quality: number;
  readonly marks: number;
  readonly run?: Run;
}

/** Values on an even grid, no gap between them. */
export interface Run {
  readonly mantissas: Int32Array;
  readonly rate: { readonly numerator: number; readonly denominator: number };
  /** False while the minute it belongs to may still grow. */
  readonly complete: boolean;
}

/** Tells apart what several devices measured at one instant: the `origin` of an id. */
export function originOf(reading: Pick<Reading, "deviceId" | "exponent">): string {
  return createHash("sha256")
    .update(`${reading.deviceId}|${reading.exponent}`)
    .digest("hex")
    .slice(0, 12);
}

/** Parts of a blood-pressure panel that one device measured at one instant. */
export interface PanelReading {
  readonly panel: Panel;
  readonly parts: readonly Reading[];
}

/** What one Observation is made from. */
export type Subject = Reading | PanelReading;

export function isPanel(subject: Subject): subject is PanelReading {
  return "panel" in subject;
}

export function timeOf(subject: Subject): number {
  return isPanel(subject) ? subject.parts[0]!.timeMs : subject.timeMs;
}

/** A total order of Observations: by time, then by an id that does not change. */
export function compareSubjects(one: Subject, two: Subject): number {
  return timeOf(one) - timeOf(two) || (keyOf(one) < keyOf(two) ? -1 : 1);
}

function keyOf(subject: Subject): string {
  const first = isPanel(subject) ? subject.parts[0]! : subject;
  return `${first.metric.mdc} ${first.deviceId} ${first.exponent}`;
}

/** @param patientId whose samples these are. */
export function toObservation(
  subject: Subject,
  patientId: string,
  ids: ObservationIds,
): Observation {
  const first = isPanel(subject) ? subject.parts[0]! : subject;
  const marks = isPanel(subject)
    ? subject.parts.reduce((all, one) => all | one.marks, 0)
    : first.marks;
  const id = ids.encode({
    kind: "sample",
    patientId,
    mdc: isPanel(subject) ? subject.panel.systolic.mdc : first.metric.mdc,
    timeMs: first.timeMs,
    origin: originOf(first),
  });
  const issued = new Date(Math.max(first.receivedMs, first.timeMs)).toISOString();
  const base = {
    resourceType: "Observation" as const,
    id,
    meta: metaOf(subject, first),
    ...extensionOf(subject),
    status: statusOf(first, marks),
    category: [{ coding: [categoryCoding(first.metric.category)] }],
    code: isPanel(subject)
      ? { coding: [BLOOD_PRESSURE], text: "Blood pressure" }
      : codeOf(first.metric),
    subject: { reference: `Patient/${patientId}` },
    issued,
    device: { reference: `Device/${first.deviceId}` },
  };
  if (isPanel(subject)) {
    return {
      ...base,
      effectiveDateTime: new Date(first.timeMs).toISOString(),
      component: componentsOf(subject),
    };
  }
  return { ...base, ...valueFieldsOf(subject) };
}

function metaOf(subject: Subject, first: Reading): NonNullable<Observation["meta"]> {
  const meta: NonNullable<Observation["meta"]> = {
    lastUpdated: new Date(first.receivedMs).toISOString(),
    tag: [
      { system: SYSTEM.origin, code: "device-sealed", display: "Sealed by an enrolled device" },
    ],
  };
  if (isPanel(subject)) meta.profile = [PROFILE.vitalSigns, PROFILE.bloodPressure];
  else if (first.metric.category === "vital-signs" && first.metric.kind === "numeric") {
    // Mean or systolic alone is a vital sign, but not a blood-pressure panel.
    meta.profile = [PROFILE.vitalSigns, ...profilesOf([first.metric.loinc])];
  }
  return meta;
}

function statusOf(first: Reading, marks: number): Observation["status"] {
  if ((marks & mark.enteredInError) !== 0) return "entered-in-error";
  return first.run !== undefined && !first.run.complete ? "preliminary" : "final";
}

/** What is known against a reading, one extension a flag. */
function extensionOf(subject: Subject): { extension?: Extension[] } {
  const parts = isPanel(subject) ? subject.parts : [subject];
  const flags = new Set(
    parts.flatMap((one) => [...qualityFlags(one.quality), ...markFlags(one.marks)] as string[]),
  );
  if (flags.size === 0) return {};
  return { extension: [...flags].map((valueCode) => ({ url: SYSTEM.quality, valueCode })) };
}

function valueFieldsOf(reading: Reading): Partial<Observation> {
  if (reading.run !== undefined) return sampledDataOf(reading, reading.run);
  const effectiveDateTime = new Date(reading.timeMs).toISOString();
  const state = reading.metric.states?.[reading.mantissa];
  if (reading.metric.kind === "event" && state !== undefined) {
    const concept: CodeableConcept = {
      coding: [{ system: `${SYSTEM.state}/${reading.metric.id}`, ...state }],
      text: state.display,
    };
    return { effectiveDateTime, valueCodeableConcept: concept };
  }
  return { effectiveDateTime, valueQuantity: quantityOf(reading) };
}

function quantityOf(reading: Reading): Quantity {
  return {
    value: decimal(reading.mantissa, reading.exponent),
    unit: reading.metric.unit,
    system: SYSTEM.ucum,
    code: reading.metric.unit,
  };
}

/** FHIR R4 §2.24.0.8: the n-th value is origin + factor × data[n], `period` ms apart. */
function sampledDataOf(reading: Reading, run: Run): Partial<Observation> {
  const periodMs = (1000 * run.rate.denominator) / run.rate.numerator;
  const endMs = reading.timeMs + periodMs * (run.mantissas.length - 1);
  return {
    effectivePeriod: {
      start: new Date(reading.timeMs).toISOString(),
      end: new Date(Math.round(endMs)).toISOString(),
    },
    valueSampledData: {
      origin: {
        value: 0,
        unit: reading.metric.unit,
        system: SYSTEM.ucum,
        code: reading.metric.unit,
      },
      period: periodMs,
      factor: decimal(1, reading.exponent),
      dimensions: 1,
      data: run.mantissas.join(" "),
    },
  };
}

function componentsOf({ panel, parts }: PanelReading): ObservationComponent[] {
  const found = (metric: Metric) => parts.find((part) => part.metric.mdc === metric.mdc);
  const components: ObservationComponent[] = [];
  for (const metric of [panel.systolic, panel.diastolic, panel.mean]) {
    const part = found(metric);
    if (part !== undefined) {
      components.push({ code: codeOf(metric), valueQuantity: quantityOf(part) });
    } else if (metric !== panel.mean) {
      // Profile bp asks for both; the mean is an extra.
      components.push({ code: codeOf(metric), dataAbsentReason: NOT_MEASURED });
    }
  }
  return components;
}

const NOT_MEASURED: CodeableConcept = {
  coding: [{ system: SYSTEM.dataAbsentReason, code: "not-performed", display: "Not Performed" }],
};

/** The shortest decimal that is exactly mantissa × 10^exponent, as JSON will print it. */
export function decimal(mantissa: number, exponent: number): number {
  return Number(`${mantissa}e${exponent}`);
}

/** Samples of a chunk as readings, oldest first. A panel's parts are joined by `joinPanels`. */
export function* readingsOf(chunk: SeriesChunk): Generator<Reading> {
  const metric = metricByMdc(chunk.mdc);
  if (metric === undefined || chunk.unreadable !== undefined) return;
  for (let at = 0; at < chunk.timesMs.length; at++) {
    yield {
      metric,
      deviceId: chunk.deviceId,
      timeMs: chunk.timesMs[at]!,
      receivedMs: chunk.receivedMs[at]!,
      mantissa: chunk.mantissas[at]!,
      exponent: chunk.exponent,
      quality: chunk.quality[at]!,
      marks: chunk.marks[at]!,
    };
  }
}

/** Joins blood pressures of one device and one instant; a part without a systolic or diastolic stays alone. */
export function joinPanels(readings: readonly Reading[]): Subject[] {
  const subjects: Subject[] = [];
  const groups = new Map<string, Reading[]>();
  for (const reading of readings) {
    const panel = panelOf(reading.metric.mdc);
    if (panel === undefined) {
      subjects.push(reading);
      continue;
    }
    const key = `${panel.systolic.mdc} ${reading.deviceId} ${reading.timeMs} ${reading.exponent}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [reading]);
    else if (!group.some((one) => one.metric.mdc === reading.metric.mdc)) group.push(reading);
  }
  for (const group of groups.values()) {
    const panel = panelOf(group[0]!.metric.mdc)!;
    const hasPressure = group.some((one) => one.metric !== panel.mean);
    if (hasPressure) subjects.push({ panel, parts: group });
    else subjects.push(...group);
  }
  return subjects;
}
