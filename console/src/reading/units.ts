/** Values as people read them: the stored UCUM unit turned into the preferred one, at the last moment, for the eye only. */
import { type Metric, metricByMdc } from "../../../src/vitals/metric.ts";
import type { Preferences } from "../../../src/ward/schema.ts";
import { number, type Style } from "../time/format.ts";

export interface Shown {
  value: number;
  /** Decimals to write. */
  digits: number;
  /** As people write it ("°C"), not UCUM. */
  unit: string;
}

interface Conversion {
  unit: string;
  digits: number;
  convert: (value: number) => number;
}

/** mg/dL per mmol/L of glucose: molar mass 180.156 g/mol, divided by 10. */
const MG_DL_PER_MMOL_L = 18.0156;
/** Exact: international yard and pound agreement, 1959. */
const KG_PER_LB = 0.45359237;

const same = (value: number) => value;

/** UCUM unit → preferred unit → how. The same unit twice sets the decimals only. */
const CONVERSIONS: Record<string, Record<string, Conversion>> = {
  "mg/dL": {
    "mg/dL": { unit: "mg/dL", digits: 0, convert: same },
    "mmol/L": { unit: "mmol/L", digits: 1, convert: (v) => v / MG_DL_PER_MMOL_L },
  },
  "mmol/L": {
    "mmol/L": { unit: "mmol/L", digits: 1, convert: same },
    "mg/dL": { unit: "mg/dL", digits: 0, convert: (v) => v * MG_DL_PER_MMOL_L },
  },
  Cel: {
    Cel: { unit: "°C", digits: 1, convert: same },
    "[degF]": { unit: "°F", digits: 1, convert: (v) => (v * 9) / 5 + 32 },
  },
  kg: {
    kg: { unit: "kg", digits: 1, convert: same },
    "[lb_av]": { unit: "lb", digits: 1, convert: (v) => v / KG_PER_LB },
  },
};

/** UCUM codes that people write otherwise. */
const WRITTEN: Record<string, string> = {
  "{beats}/min": "/min",
  "{breaths}/min": "/min",
  "mm[Hg]": "mmHg",
  "{steps}": "steps",
  "{score}": "",
  "ug/m3": "µg/m³",
  "1": "",
  Cel: "°C",
  "[ppm]": "ppm",
};

/** The units a person may choose, as UCUM. */
export type Units = Pick<Preferences, "glucoseUnit" | "temperatureUnit" | "weightUnit">;

function conversionOf(metric: Metric, units: Units): Conversion | undefined {
  const options = CONVERSIONS[metric.unit];
  const wanted = [units.glucoseUnit, units.temperatureUnit, units.weightUnit].find(
    (unit) => options?.[unit] !== undefined,
  );
  return wanted === undefined ? undefined : options?.[wanted];
}

/** What to write for a stored value. */
export function shown(metric: Metric, mantissa: number, exponent: number, units: Units): Shown {
  const conversion = conversionOf(metric, units);
  const value = exponent < 0 ? mantissa / 10 ** -exponent : mantissa * 10 ** exponent;
  if (conversion !== undefined) {
    return { value: conversion.convert(value), digits: conversion.digits, unit: conversion.unit };
  }
  return {
    value,
    // As fine as the catalogue says that it means anything; the exact value is in the proof and in FHIR.
    digits: Math.max(0, Math.min(3, -metric.exponent)),
    unit: WRITTEN[metric.unit] ?? metric.unit,
  };
}

/** As `shown`, for a value already in the metric's own unit: axes, reference ranges. */
export function shownValue(metric: Metric, value: number, units: Units): number {
  return conversionOf(metric, units)?.convert(value) ?? value;
}

/** The unit as people write it. */
export function unitOf(metric: Metric, units: Units): string {
  return conversionOf(metric, units)?.unit ?? WRITTEN[metric.unit] ?? metric.unit;
}

/** "37.2", "asleep"; without the unit. */
export function valueText(
  metric: Metric,
  mantissa: number,
  exponent: number,
  units: Units,
  style: Style,
): string {
  if (metric.kind === "event") {
    return metric.states?.[mantissa]?.display ?? String(mantissa);
  }
  const what = shown(metric, mantissa, exponent, units);
  return number(what.value, what.digits, style);
}

/** Text of a reading with its unit: "37.2 °C". */
export function readingText(
  mdc: number,
  mantissa: number,
  exponent: number,
  units: Units,
  style: Style,
): string {
  const metric = metricByMdc(mdc);
  if (metric === undefined) return String(mantissa);
  const unit = metric.kind === "event" ? "" : unitOf(metric, units);
  return `${valueText(metric, mantissa, exponent, units, style)}${unit === "" ? "" : ` ${unit}`}`;
}

/** "85/77": each part with an exponent of its own, whatever the other's is. */
export function pressureText(
  metric: Metric,
  parts: readonly { mantissa: number; exponent: number }[],
  units: Units,
  style: Style,
): string {
  return parts
    .map((part) => valueText(metric, part.mantissa, part.exponent, units, style))
    .join("/");
}
