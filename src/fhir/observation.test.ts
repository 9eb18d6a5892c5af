import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import type { SeriesChunk } from "../store/chunk.ts";
import { METRICS, metricById } from "../vitals/metric.ts";
import { mark, quality } from "../vitals/quality.ts";
import { decimal, joinPanels, readingsOf, toObservation } from "./observation.ts";
import { ObservationIds } from "./observation-id.ts";
import { RunCounter, runsOf } from "./runs.ts";
import { PROFILE } from "./systems.ts";
import { validateObservation } from "./validate.ts";

const ids = new ObservationIds(new Uint8Array(64).fill(7));
const patientId = randomUUID();
const deviceId = randomUUID();
const START = Date.UTC(2026, 10, 23, 10, 0, 0);

function chunkOf(o: {
  id: string;
  times: number[];
  mantissas: number[];
  exponent?: number;
  rate?: { numerator: number; denominator: number };
  quality?: number;
  marks?: number;
}): SeriesChunk {
  const { length } = o.times;
  return {
    mdc: metricById(o.id)?.mdc ?? 0,
    deviceId,
    sessionId: "00",
    sessions: ["00"],
    sessionOf: new Uint16Array(length),
    kind: o.rate === undefined ? "points" : "waveform",
    timesMs: Float64Array.from(o.times),
    mantissas: Int32Array.from(o.mantissas),
    exponent: o.exponent ?? 0,
    quality: new Uint16Array(length).fill(o.quality ?? 0),
    marks: new Uint16Array(length).fill(o.marks ?? 0),
    sequences: new Float64Array(length),
    receivedMs: new Float64Array(length).fill(START + 5000),
    ...(o.rate === undefined ? {} : { rate: o.rate }),
  };
}

function observe(chunk: SeriesChunk) {
  return joinPanels([...readingsOf(chunk)]).map((one) => toObservation(one, patientId, ids));
}

test("every numeric metric of the catalogue becomes an Observation that passes our own door", () => {
  for (const metric of METRICS.filter((one) => one.kind === "numeric")) {
    const [observation] = observe(chunkOf({ id: metric.id, times: [START], mantissas: [72] }));
    validateObservation(observation);
    assert.equal(observation?.effectiveDateTime, "2026-11-23T10:00:00.000Z");
  }
});

test("a value leaves as the decimal that the device sealed", () => {
  assert.equal(JSON.stringify(decimal(367, -1)), "36.7");
  assert.equal(JSON.stringify(decimal(-5, -3)), "-0.005");
  assert.equal(JSON.stringify(decimal(3, 2)), "300");
  const [observation] = observe(
    chunkOf({ id: "MDC_TEMP_BODY", times: [START], mantissas: [367], exponent: -1 }),
  );
  assert.equal(observation?.valueQuantity?.value, 36.7);
  assert.deepEqual(observation?.meta?.profile, [PROFILE.vitalSigns, PROFILE.bodyTemperature]);
});

test("systolic, diastolic and mean of one cuff and one instant are one panel", () => {
  const readings = ["SYS", "DIA", "MEAN"].flatMap((part, at) => [
    ...readingsOf(
      chunkOf({ id: `MDC_PRESS_BLD_NONINV_${part}`, times: [START], mantissas: [120 - at * 20] }),
    ),
  ]);
  const subjects = joinPanels(readings);
  assert.equal(subjects.length, 1);
  const observation = toObservation(subjects[0]!, patientId, ids);
  validateObservation(observation);
  assert.deepEqual(
    observation.component?.map((one) => one.valueQuantity?.value),
    [120, 100, 80],
  );
});

test("a systolic without its diastolic says that the other was not measured", () => {
  const chunk = chunkOf({ id: "MDC_PRESS_BLD_NONINV_SYS", times: [START], mantissas: [120] });
  const [observation] = observe(chunk);
  validateObservation(observation);
  assert.equal(observation?.component?.[1]?.dataAbsentReason?.coding?.[0]?.code, "not-performed");
});

test("what is known against a reading leaves with it", () => {
  const [observation] = observe(
    chunkOf({
      id: "MDC_ECG_HEART_RATE",
      times: [START],
      mantissas: [400],
      quality: quality.motion,
      marks: mark.implausible | mark.enteredInError,
    }),
  );
  assert.equal(observation?.status, "entered-in-error");
  const flags = observation?.extension?.map((one) => one.valueCode);
  assert.deepEqual(flags?.toSorted(), ["enteredInError", "implausible", "motion"]);
});

test("a waveform is cut at minutes and at gaps, and counted as it is cut", () => {
  const rate = { numerator: 125, denominator: 1 };
  const times: number[] = [];
  for (let at = 0; at < 125 * 90; at++) {
    if (at >= 1250 && at < 1500) continue; // two seconds lost
    times.push(START + 45_000 + at * 8);
  }
  const chunk = chunkOf({
    id: "MDC_PULS_OXIM_PLETH",
    times,
    mantissas: times.map(() => 1),
    rate,
    exponent: -5,
  });
  const runs = runsOf([chunk], START + 600_000);
  assert.deepEqual(
    runs.map((run) => [run.timeMs - START, run.run?.mantissas.length]),
    [
      [45_000, 1250],
      [57_000, 375],
      [60_000, 7500],
      [120_000, 1875],
    ],
  );
  const counter = new RunCounter(0, Number.MAX_SAFE_INTEGER);
  counter.add(chunk);
  assert.equal(counter.total, runs.length);
  const observation = toObservation(runs[0]!, patientId, ids);
  validateObservation(observation);
  assert.equal(observation.valueSampledData?.period, 8);
  assert.equal(observation.valueSampledData?.data?.split(" ").length, 1250);
  assert.equal(observation.status, "final");
  const growing = toObservation(runsOf([chunk], START + 125_000).at(-1)!, patientId, ids);
  assert.equal(growing.status, "preliminary");
});
