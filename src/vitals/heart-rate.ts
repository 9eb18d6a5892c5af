import { type Metric, mdcCode, partition } from "./definition.ts";

/** Beats a minute, from the electrical activity of the heart (ECG). */
export const heartRate: Metric = {
  mdc: mdcCode(partition.scada, 16770),
  id: "MDC_ECG_HEART_RATE",
  loinc: "8867-4",
  display: "Heart rate",
  unit: "/min",
  category: "vital-signs",
  kind: "numeric",
  exponent: 0,
  plausible: { low: 0, high: 350 },
  intervalMs: 5_000,
};
