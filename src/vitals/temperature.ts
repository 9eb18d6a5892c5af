import { type Metric, mdcCode, partition } from "./definition.ts";

/** Body temperature, site not told. */
export const bodyTemperature: Metric = {
  mdc: mdcCode(partition.scada, 19292),
  id: "MDC_TEMP_BODY",
  loinc: "8310-5",
  display: "Body temperature",
  unit: "Cel",
  category: "vital-signs",
  kind: "numeric",
  exponent: -1,
  plausible: { low: 20, high: 46 },
  intervalMs: 4 * 3_600_000,
};
