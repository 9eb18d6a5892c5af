import { type Metric, mdcCode, partition } from "./definition.ts";

/** Breaths a minute. 0 is plausible: it is what a monitor shows while it finds no breath. */
export const respirationRate: Metric = {
  mdc: mdcCode(partition.scada, 20490),
  id: "MDC_RESP_RATE",
  loinc: "9279-1",
  display: "Respiration rate",
  unit: "/min",
  category: "vital-signs",
  kind: "numeric",
  exponent: 0,
  plausible: { low: 0, high: 150 },
  intervalMs: 5_000,
};

/** Breaths a minute from the impedance of the chest, as a bedside monitor measures them. */
export const respirationRateImpedance: Metric = {
  ...respirationRate,
  mdc: mdcCode(partition.scada, 20506),
  id: "MDC_TTHOR_RESP_RATE",
  display: "Respiration rate (chest impedance)",
};
