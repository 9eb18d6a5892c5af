import { type Metric, mdcCode, partition } from "./definition.ts";

/** Weight of the body, from a scale. */
export const bodyWeight: Metric = {
  mdc: mdcCode(partition.scada, 57664),
  id: "MDC_MASS_BODY_ACTUAL",
  loinc: "29463-7",
  display: "Body weight",
  unit: "kg",
  category: "vital-signs",
  kind: "numeric",
  exponent: -1,
  plausible: { low: 0.3, high: 500 },
  intervalMs: 24 * 3_600_000,
};
