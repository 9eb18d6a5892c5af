/**
 * What the page knows of the ward right now. Fetched once, moved on by live messages. Each patient has its own
 * listeners, so a new heart rate redraws one row and not thirty.
 */

import { quality } from "../../../src/vitals/quality.ts";
import type {
  LiveMessage,
  Reading,
  Sparkline,
  Ward,
  WardDevice,
  WardPatient,
  WaveRun,
} from "../../../src/ward/schema.ts";
import { emptySpark, withReading } from "./spark.ts";

export interface LivePatient {
  facts: Omit<WardPatient, "readings" | "sparklines" | "devices">;
  devices: readonly WardDevice[];
  /** Newest reading of each metric. */
  latest: ReadonlyMap<number, Reading>;
  sparks: ReadonlyMap<number, Sparkline>;
  /** When the platform last left out a waveform because this page did not keep up; this device's clock. */
  skippedMs?: number;
  /** Access ended while the page was open; nothing of the record is kept. */
  isWithdrawn: boolean;
}

type WaveListener = (run: WaveRun) => void;

export class Board {
  readonly #patients = new Map<string, LivePatient>();
  readonly #listeners = new Map<string, Set<() => void>>();
  readonly #waves = new Map<string, Set<WaveListener>>();
  #order: readonly string[] = [];
  #orderListeners = new Set<() => void>();

  get ids(): readonly string[] {
    return this.#order;
  }

  patient(id: string): LivePatient | undefined {
    return this.#patients.get(id);
  }

  subscribeOrder = (listener: () => void): (() => void) => {
    this.#orderListeners.add(listener);
    return () => this.#orderListeners.delete(listener);
  };

  subscribe(id: string, listener: () => void): () => void {
    return add(this.#listeners, id, listener);
  }

  onWave(patientId: string, listener: WaveListener): () => void {
    return add(this.#waves, patientId, listener);
  }

  /** Takes a fresh answer of the platform in place of what was known. */
  take(ward: Ward): void {
    this.#patients.clear();
    for (const patient of ward.patients) this.#patients.set(patient.id, livePatient(patient));
    this.#order = ward.patients.map((patient) => patient.id);
    for (const listener of this.#orderListeners) listener();
    for (const id of this.#listeners.keys()) this.#tell(id);
  }

  /** As `take`, for one patient whose page was opened directly. */
  takeOne(patient: WardPatient): void {
    this.#patients.set(patient.id, livePatient(patient));
    this.#tell(patient.id);
  }

  forget(): void {
    this.take({ nowMs: 0, patients: [], withheld: 0 });
  }

  hear(message: LiveMessage): void {
    if (message.type === "beat") return;
    const known = this.#patients.get(message.patientId);
    if (known === undefined) return;
    if (message.type === "wave") {
      for (const listener of this.#waves.get(message.patientId) ?? []) listener(message.run);
      return;
    }
    const next = moveOn(known, message);
    if (next === known) return;
    this.#patients.set(message.patientId, next);
    this.#tell(message.patientId);
  }

  #tell(id: string): void {
    for (const listener of this.#listeners.get(id) ?? []) listener();
  }
}

function add<L>(map: Map<string, Set<L>>, id: string, listener: L): () => void {
  const set = map.get(id) ?? new Set();
  map.set(id, set.add(listener));
  return () => {
    set.delete(listener);
  };
}

function livePatient(patient: WardPatient): LivePatient {
  const { readings, sparklines, devices, ...facts } = patient;
  return {
    facts,
    devices,
    latest: new Map(readings.map((reading) => [reading.mdc, reading])),
    sparks: new Map(sparklines.map((spark) => [spark.mdc, spark])),
    isWithdrawn: false,
  };
}

function moveOn(
  known: LivePatient,
  message: Exclude<LiveMessage, { type: "beat" | "wave" }>,
): LivePatient {
  switch (message.type) {
    case "readings":
      return withReadings(known, message.readings);
    case "signed":
      return withSigned(known, message.sessionId, message.through);
    case "devices":
      return { ...known, devices: message.devices };
    case "withdrawn":
      return { ...known, devices: [], latest: new Map(), sparks: new Map(), isWithdrawn: true };
    case "skipped":
      return { ...known, skippedMs: Date.now() };
  }
}

function withReadings(known: LivePatient, readings: readonly Reading[]): LivePatient {
  const latest = new Map(known.latest);
  const sparks = new Map(known.sparks);
  let { restartedMs } = known.facts;
  for (const reading of readings) {
    const before = latest.get(reading.mdc);
    if (before === undefined || before.timeMs <= reading.timeMs) latest.set(reading.mdc, reading);
    sparks.set(reading.mdc, withReading(sparks.get(reading.mdc) ?? emptySpark(reading), reading));
    if ((reading.quality & quality.recordingRestarts) !== 0) restartedMs = reading.timeMs;
  }
  return { ...known, facts: { ...known.facts, restartedMs }, latest, sparks };
}

function withSigned(known: LivePatient, sessionId: string, through: number): LivePatient {
  const latest = new Map(known.latest);
  for (const [mdc, reading] of latest) {
    if (reading.sessionId === sessionId && reading.sequence <= through && !reading.signed) {
      latest.set(mdc, { ...reading, signed: true });
    }
  }
  return { ...known, latest };
}
