/**
 * `samples.json`, the form in which people and scripts write readings down (docs/device-engineer.md):
 * decimal values by metric id or MDC code, times in ISO 8601 or epoch milliseconds.
 */
import type { PointColumn, WaveformRun } from "../envelope/batch.ts";
import { type Metric, metricById, metricByMdc } from "../vitals/metric.ts";
import { quality } from "../vitals/quality.ts";
import type { Measured } from "./sealing.ts";

const EXPONENT_LEAST = -12;

/** Parses the text of a samples file.
 * @param nowMs the time of samples that name none.
 * @throws Error that says which entry is wrong, without its value. */
export function parseSamples(text: string, nowMs: number): Measured {
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch {
    throw new Error("samples: the file is not JSON");
  }
  const { points = [], waveforms = [], ...rest } = recordOf(file, "the file");
  refuseRest(rest, "the file");
  const columns = new Map<string, Sample[]>();
  for (const [i, entry] of listOf(points, "points").entries()) {
    const sample = sampleOf(entry, `points[${i}]`, nowMs);
    const key = `${sample.mdc}/${sample.exponent}`;
    columns.set(key, [...(columns.get(key) ?? []), sample]);
  }
  const runs = listOf(waveforms, "waveforms").map((w, i) => runOf(w, `waveforms[${i}]`, nowMs));
  if (columns.size + runs.length === 0) throw new Error("samples: the file holds no sample");
  return { points: [...columns.values()].map(columnOf), waveforms: runs };
}

interface Sample {
  mdc: number;
  exponent: number;
  atMs: number;
  mantissa: number;
  quality: number;
}

function columnOf(samples: readonly Sample[]): PointColumn {
  const sorted = [...samples].sort((a, b) => a.atMs - b.atMs);
  return {
    mdc: sorted[0]!.mdc,
    exponent: sorted[0]!.exponent,
    timesMs: sorted.map((s) => s.atMs),
    mantissas: sorted.map((s) => s.mantissa),
    quality: sorted.map((s) => s.quality),
  };
}

function sampleOf(entry: unknown, where: string, nowMs: number): Sample {
  const { metric, value, at, quality: flags, ...rest } = recordOf(entry, where);
  refuseRest(rest, where);
  const known = metricOf(metric, where);
  if (typeof value !== "number" || !Number.isFinite(value)) fail(where, "value is no number");
  const { exponent, mantissa } = scaled(value, known.exponent, where);
  return {
    mdc: known.mdc,
    exponent,
    mantissa,
    atMs: timeOf(at, nowMs, where),
    quality: qualityOf(flags, where),
  };
}

/** The value as an integer at the metric's resolution, or finer where its digits ask for it. */
function scaled(value: number, exponent: number, where: string) {
  const [digits = "", power = "0"] = value.toString().split("e");
  const fraction = digits.split(".")[1] ?? "";
  const needed = Math.min(exponent, Number(power) - fraction.length);
  if (needed < EXPONENT_LEAST) fail(where, "value has too many digits");
  const whole = Number(digits.replace(".", ""));
  const mantissa = whole * 10 ** (Number(power) - fraction.length - needed);
  if (!Number.isSafeInteger(mantissa)) fail(where, "value has too many digits");
  return { exponent: needed, mantissa: mantissa + 0 };
}

function runOf(entry: unknown, where: string, nowMs: number): WaveformRun {
  const { metric, start, rate, exponent, values, quality: flags, ...rest } = recordOf(entry, where);
  refuseRest(rest, where);
  const known = metricOf(metric, where);
  const [numerator, denominator] = Array.isArray(rate) ? rate : [rate, 1];
  if (!Number.isInteger(numerator) || !Number.isInteger(denominator)) {
    fail(where, "rate is neither a whole number nor two");
  }
  const numbers = listOf(values, `${where}.values`);
  if (!numbers.every((v) => Number.isInteger(v))) fail(where, "values are not all whole numbers");
  return {
    mdc: known.mdc,
    startMs: timeOf(start, nowMs, where),
    rate: { numerator, denominator },
    exponent: Number.isInteger(exponent) ? (exponent as number) : known.exponent,
    values: Int32Array.from(numbers as number[]),
    quality: qualityOf(flags, where),
  };
}

function metricOf(metric: unknown, where: string): Metric {
  const known =
    typeof metric === "number"
      ? metricByMdc(metric)
      : typeof metric === "string"
        ? metricById(metric)
        : undefined;
  return known ?? fail(where, "metric is not in the catalogue");
}

function timeOf(at: unknown, nowMs: number, where: string): number {
  if (at === undefined) return Math.floor(nowMs);
  const timeMs = typeof at === "string" ? Date.parse(at) : at;
  if (typeof timeMs !== "number" || !Number.isSafeInteger(timeMs)) {
    return fail(where, "a time is neither ISO 8601 nor epoch milliseconds");
  }
  return timeMs;
}

function qualityOf(flags: unknown, where: string): number {
  let bits = 0;
  for (const flag of listOf(flags ?? [], `${where}.quality`)) {
    if (typeof flag !== "string" || !Object.hasOwn(quality, flag)) {
      fail(where, "a quality flag is not known");
    }
    bits |= quality[flag as keyof typeof quality];
  }
  return bits;
}

function recordOf(value: unknown, where: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return fail(where, "an object is expected");
  }
  return value as Record<string, unknown>;
}

function listOf(value: unknown, where: string): unknown[] {
  return Array.isArray(value) ? value : fail(where, "a list is expected");
}

function refuseRest(rest: Record<string, unknown>, where: string): void {
  const [name] = Object.keys(rest);
  if (name !== undefined) fail(where, `${JSON.stringify(name)} is not known`);
}

function fail(where: string, what: string): never {
  throw new Error(`samples: ${where}: ${what}`);
}
