/**
 * Adult reference ranges for the eye: a band on a chart and ▲ ▼ beside a number. They are no alarm limits and raise
 * nothing. Vital signs: the band that scores 0 in NEWS2 (Royal College of Physicians, 2017, SpO2 scale 1). Glucose:
 * the consensus target range for continuous monitoring, 70–180 mg/dL (Battelino and others, Diabetes Care 2019).
 */
import type { Metric } from "../../../src/vitals/metric.ts";

export interface Reference {
  low: number;
  high: number;
}

const BY_STEM: readonly [RegExp, Reference, string][] = [
  [/HEART_RATE|PULS_RATE|^MDC_HF_HR$/, { low: 51, high: 90 }, "/min"],
  [/SAT_O2/, { low: 96, high: 100 }, "%"],
  [/RESP_RATE/, { low: 12, high: 20 }, "/min"],
  [/PRESS_.*_SYS$/, { low: 111, high: 219 }, "mm[Hg]"],
  [/TEMP_BODY|^MDC_TEMP$/, { low: 36.1, high: 38 }, "Cel"],
  [/CONC_GLU/, { low: 70, high: 180 }, "mg/dL"],
];

/** In the metric's own unit. */
export function referenceOf(metric: Metric): Reference | undefined {
  const row = BY_STEM.find(([stem]) => stem.test(metric.id));
  if (row === undefined) return undefined;
  if (metric.unit === "mmol/L" && row[2] === "mg/dL") return { low: 3.9, high: 10 };
  return row[1];
}

export type Standing = "above" | "below" | "inside" | "none";

/** Where a value in the metric's own unit stands. */
export function standing(metric: Metric, value: number): Standing {
  const reference = referenceOf(metric);
  if (reference === undefined) return "none";
  if (value < reference.low) return "below";
  return value > reference.high ? "above" : "inside";
}
