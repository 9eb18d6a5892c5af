/**
 * Makes `demo/recordings/*.vwr` from the original data sets. A developer runs it when a recording is
 * added or changed; the demonstration itself needs only its output:
 *
 *   node demo/convert.ts <folder of the original data>
 *
 * The folder has the layout that LICENCES.md names for each data set. Values stay what they were:
 * decimal texts become whole numbers with an exponent, converter counts become the physical unit
 * of their header. Where a count has no finite decimal, enough digits are kept to find it again.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { metricById } from "../src/vitals/metric.ts";
import {
  decimals,
  isMissing,
  mantissa,
  readFormat16,
  readFormat212,
  Table,
} from "./convert-sources.ts";
import {
  encodeRecording,
  type PointSeries,
  type Recording,
  type WaveformSeries,
} from "./recording.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** A series from texts at given times; missing ones are left out. */
function pointsFromTexts(metric: string, timesMs: number[], texts: string[]): PointSeries {
  const kept = Array.from(texts.keys()).filter((n) => !isMissing(texts[n] as string));
  const exponent = -Math.max(0, ...kept.map((n) => decimals(texts[n] as string)));
  return {
    metric,
    exponent: exponent === 0 ? 0 : exponent,
    timesMs: Float64Array.from(kept, (n) => timesMs[n] as number),
    mantissas: Int32Array.from(kept, (n) => mantissa(texts[n] as string, exponent)),
  };
}

function waveFromTexts(metric: string, texts: string[], samplesPerSecond: number): WaveformSeries {
  const exponent = -Math.max(...texts.map(decimals));
  return {
    metric,
    exponent,
    rate: { numerator: samplesPerSecond, denominator: 1 },
    startMs: 0,
    values: Int32Array.from(texts, (text) => mantissa(text, exponent)),
  };
}

/** BIDMC: numerics once a second and, for some, waveforms at 125 Hz scaled to about 0…1. */
function bidmc(folder: string, number: string, withWaveforms: boolean): Recording {
  const numerics = Table.read(join(folder, `vitals/bidmc/bidmc_${number}_Numerics.csv`));
  const timesMs = numerics.column("Time [s]").map((seconds) => Math.abs(Number(seconds)) * 1000);
  const metrics: Record<string, string> = {
    HR: "MDC_ECG_HEART_RATE",
    RESP: "MDC_TTHOR_RESP_RATE",
    PULSE: "MDC_PULS_OXIM_PULS_RATE",
    SpO2: "MDC_PULS_OXIM_SAT_O2",
  };
  const points = Object.entries(metrics).map(([name, metric]) =>
    pointsFromTexts(metric, timesMs, numerics.column(name)),
  );
  const waveforms: WaveformSeries[] = [];
  if (withWaveforms) {
    const signals = Table.read(join(folder, `vitals/bidmc/bidmc_${number}_Signals.csv.gz`));
    for (const name of signals.names.slice(1))
      waveforms.push(waveFromTexts(bidmcWaveform(name), signals.column(name), 125));
  }
  // 481 rows, one a second. The waveforms end 0.992 s before the loop does: a gap, shown as one.
  return { name: `bidmc-${number}`, loopMs: 481_000, points, waveforms };
}

function bidmcWaveform(name: string): string {
  if (name === "RESP") return "VITALWARD_IMPED_TTHOR_NORMALISED";
  if (name === "PLETH") return "MDC_PULS_OXIM_PLETH";
  return `VITALWARD_ECG_ELEC_POTL_${name}_NORMALISED`;
}

/** MIT-BIH: the first ten minutes. 200 counts a millivolt, zero at 1024: 5 µV steps, exact. */
function mitBih(folder: string, number: string): Recording {
  const values = 10 * 60 * 360;
  const counts = readFormat212(join(folder, `ecg/mitdb/${number}.dat`), 2 * values);
  const lead = (metric: string, offset: number): WaveformSeries => ({
    metric,
    exponent: -3,
    rate: { numerator: 360, denominator: 1 },
    startMs: 0,
    values: Int32Array.from(
      { length: values },
      (_, n) => ((counts[2 * n + offset] as number) - 1024) * 5,
    ),
  });
  return {
    name: `mitdb-${number}`,
    loopMs: 600_000,
    points: [],
    waveforms: [lead("MDC_ECG_ELEC_POTL_II", 0), lead("MDC_ECG_ELEC_POTL_V1", 1)],
  };
}

/** MIMIC Database 03700181: frames of four ECG samples, one pressure, one respiration; 125 frames/s. */
function mimicWaveforms(folder: string): Recording {
  const counts = readFormat212(join(folder, "vitals/mimicdb/03700181.dat"));
  const frames = counts.length / 6;
  const pick = (first: number, each: number, toMantissa: (count: number) => number) =>
    Int32Array.from({ length: frames * each }, (_, n) =>
      toMantissa(counts[Math.floor(n / each) * 6 + first + (n % each)] as number),
    );
  const rate = (numerator: number) => ({ numerator, denominator: 1 });
  return {
    name: "mimicdb-037",
    loopMs: 600_000,
    points: [],
    waveforms: [
      {
        metric: "MDC_ECG_ELEC_POTL_MCL1",
        exponent: -5,
        rate: rate(500),
        startMs: 0,
        values: pick(0, 4, (count) => Math.round((count / 2963.77) * 1e5)),
      },
      {
        metric: "MDC_PRESS_BLD_ART_ABP",
        exponent: -2,
        rate: rate(125),
        startMs: 0,
        values: pick(4, 1, (count) => Math.round(((count + 1605) / 12.84) * 100)),
      },
      {
        // The header's skew of 4: the first four samples belong before the record's beginning.
        metric: "VITALWARD_IMPED_TTHOR_NORMALISED",
        exponent: -4,
        rate: rate(125),
        startMs: 0,
        values: pick(5, 1, (count) => count * 5).subarray(4),
      },
    ],
  };
}

/** MIMIC numerics s00001: one row a minute; 0 and -32768 stand for "not measured". */
function mimicNumerics(folder: string): Recording {
  const counts = readFormat16(join(folder, "vitals/mimic-numerics/3975656n.dat"));
  const rows = counts.length / 10;
  const column = (metric: string, at: number, exponent: number): PointSeries => {
    const kept = Array.from({ length: rows }, (_, row) => row).filter((row) => {
      const count = counts[row * 10 + at];
      return count !== 0 && count !== -32_768;
    });
    return {
      metric,
      exponent,
      timesMs: Float64Array.from(kept, (row) => row * 60_000),
      mantissas: Int32Array.from(kept, (row) => counts[row * 10 + at] as number),
    };
  };
  return {
    name: "mimic-s00001",
    loopMs: rows * 60_000,
    // Signals 1 to 3, arterial pressure, hold a value in 8 of 1936 minutes: no line was in use.
    points: [
      column("MDC_ECG_HEART_RATE", 0, -1),
      column("MDC_PULS_OXIM_PULS_RATE", 4, -1),
      column("MDC_TTHOR_RESP_RATE", 5, -1),
      column("MDC_PULS_OXIM_SAT_O2", 6, -1),
      column("MDC_PRESS_BLD_NONINV_SYS", 7, 0),
      column("MDC_PRESS_BLD_NONINV_DIA", 8, 0),
      column("MDC_PRESS_BLD_NONINV_MEAN", 9, 0),
    ],
    waveforms: [],
  };
}

/** Challenge 2019: one row an hour. */
function challenge(folder: string, patient: string): Recording {
  const table = Table.read(join(folder, `vitals/challenge2019/${patient}.psv`), "|");
  const timesMs = table.rows.map((_, row) => row * HOUR_MS);
  const metrics: Record<string, string> = {
    HR: "MDC_ECG_HEART_RATE",
    Resp: "MDC_RESP_RATE",
    O2Sat: "MDC_PULS_OXIM_SAT_O2",
    SBP: "MDC_PRESS_BLD_NONINV_SYS",
    DBP: "MDC_PRESS_BLD_NONINV_DIA",
    MAP: "MDC_PRESS_BLD_NONINV_MEAN",
    Temp: "MDC_TEMP_BODY",
  };
  return {
    name: `challenge-${patient}`,
    loopMs: table.rows.length * HOUR_MS,
    points: Object.entries(metrics).map(([name, metric]) =>
      pointsFromTexts(metric, timesMs, table.column(name)),
    ),
    waveforms: [],
  };
}

/** BIG IDEAs: continuous glucose about every five minutes, at the times of the export. */
function glucose(folder: string, person: string): Recording {
  const path = join(folder, `glucose/bigideas/Dexcom_${person}.csv.gz`);
  const table = Table.read(path).where("event_type", "EGV");
  const timesMs = fromFirst(table.column("timestamp"));
  return {
    name: `glucose-${person}`,
    loopMs: (timesMs.at(-1) as number) + 300_000,
    points: [pointsFromTexts("MDC_CONC_GLU_ISF", timesMs, table.column("glucose"))],
    waveforms: [],
  };
}

/** Fitbit: what comes every few seconds or once a day, in true spacing. */
function fitbitHeartRate(folder: string, person: string): Recording {
  const path = join(folder, `wearables/fitbit/heartrate_seconds_${person}.csv.gz`);
  const table = Table.read(path).where("Id", person);
  const timesMs = fromFirst(table.column("Time"));
  return {
    name: `fitbit-${person}-heart`,
    loopMs: (timesMs.at(-1) as number) + 15_000,
    points: [pointsFromTexts("MDC_HF_HR", timesMs, table.column("Value"))],
    waveforms: [],
  };
}

function fitbitHourly(folder: string, person: string): Recording {
  const from = Date.parse("2016-04-12T00:00Z");
  const read = (file: string, time: string, value: string, metric: string) => {
    const table = Table.read(join(folder, `wearables/fitbit/${file}.csv.gz`)).where("Id", person);
    const timesMs = table.column(time).map((text) => utc(text) - from);
    return pointsFromTexts(metric, timesMs, table.column(value));
  };
  const points = [
    read("hourlySteps", "ActivityHour", "StepTotal", "MDC_HF_DISTANCE"),
    read("hourlyCalories", "ActivityHour", "Calories", "MDC_HF_ENERGY"),
    read("hourlyIntensities", "ActivityHour", "AverageIntensity", "MDC_HF_ACTIVITY_INTENSITY"),
  ];
  const lastMs = Math.max(...points.map((series) => series.timesMs.at(-1) as number));
  return { name: `fitbit-${person}-hourly`, loopMs: lastMs + HOUR_MS, points, waveforms: [] };
}

/** Weight on the scale. The export prints 32-bit floats; `85.8000030517578` was 85.8. */
function fitbitWeight(folder: string, person: string): Recording {
  const table = Table.read(join(folder, "wearables/fitbit/weightLog.csv.gz")).where("Id", person);
  const timesMs = fromFirst(table.column("Date"));
  const texts = table.column("WeightKg").map((text) => {
    const short = Number(text).toFixed(1);
    if (Math.fround(Number(short)) !== Math.fround(Number(text)))
      throw new Error("a weight with more than one decimal");
    return short;
  });
  return {
    name: `fitbit-${person}-weight`,
    loopMs: (timesMs.at(-1) as number) + DAY_MS,
    points: [pointsFromTexts("MDC_MASS_BODY_ACTUAL", timesMs, texts)],
    waveforms: [],
  };
}

/** Time asleep, once a day. Set at the day's noon, since the export gives only the day. */
function fitbitSleep(folder: string, person: string): Recording {
  const table = Table.read(join(folder, "wearables/fitbit/sleepDay.csv.gz")).where("Id", person);
  const timesMs = fromFirst(table.column("SleepDay"));
  return {
    name: `fitbit-${person}-sleep`,
    loopMs: (timesMs.at(-1) as number) + DAY_MS,
    points: [pointsFromTexts("MDC_HF_ACT_SLEEP", timesMs, table.column("TotalMinutesAsleep"))],
    waveforms: [],
  };
}

/** Times from the first of them, ms. The clocks had no zone; only their differences are used. */
function fromFirst(texts: string[]): number[] {
  const times = texts.map(utc);
  return times.map((time) => time - (times[0] as number));
}

function utc(text: string): number {
  const us = /^(\d+)\/(\d+)\/(\d+) (\d+):(\d+)(?::(\d+))?(?: (AM|PM))?$/.exec(text);
  if (!us) return Date.parse(`${text.replace(" ", "T")}Z`);
  const [month, day, year, hour, minute] = us.slice(1, 6).map(Number) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const hours = us[7] === undefined ? hour : (hour % 12) + (us[7] === "PM" ? 12 : 0);
  const fullYear = year < 100 ? 2000 + year : year;
  return Date.UTC(fullYear, month - 1, day, hours, minute, Number(us[6] ?? 0));
}

/** Every recording of the demonstration. */
function recordings(folder: string): Recording[] {
  return [
    ...["01", "05", "13", "25", "45", "49"].map((number) => bidmc(folder, number, true)),
    ...["09", "21", "33", "41"].map((number) => bidmc(folder, number, false)),
    mitBih(folder, "201"),
    mitBih(folder, "207"),
    mimicWaveforms(folder),
    mimicNumerics(folder),
    ...["p103073", "p102173", "p101956", "p104738", "p107865"].map((p) => challenge(folder, p)),
    glucose(folder, "010"),
    glucose(folder, "008"),
    fitbitHeartRate(folder, "8877689391"),
    fitbitHourly(folder, "8877689391"),
    fitbitWeight(folder, "8877689391"),
    fitbitHourly(folder, "2026352035"),
    fitbitSleep(folder, "2026352035"),
  ];
}

function main(folder: string | undefined): void {
  if (!folder) throw new Error("usage: node demo/convert.ts <folder of the original data>");
  const target = fileURLToPath(new URL("./recordings/", import.meta.url));
  mkdirSync(target, { recursive: true });
  let total = 0;
  for (const recording of recordings(folder)) {
    for (const { metric } of [...recording.points, ...recording.waveforms])
      if (!metricById(metric)) throw new Error(`${metric} is not in the catalogue`);
    const bytes = encodeRecording(recording);
    writeFileSync(join(target, `${recording.name}.vwr`), bytes);
    total += bytes.length;
    console.log(`${recording.name}: ${bytes.length} bytes`);
  }
  console.log(`${total} bytes in all`);
}

if (import.meta.main) main(process.argv[2]);
