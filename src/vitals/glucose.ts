/** Glucose: by a sensor under the skin, and from a drop of blood. mg/dL throughout; mmol/L is a view. */
import { type Metric, mdcCode, partition } from "./definition.ts";

const glucose = {
  unit: "mg/dL",
  category: "laboratory",
  kind: "numeric",
  exponent: 0,
  plausible: { low: 10, high: 1000 },
} as const;

/** Continuous glucose monitoring: interstitial fluid, every five minutes. */
export const interstitialGlucose: Metric = {
  ...glucose,
  mdc: mdcCode(partition.scada, 29140),
  id: "MDC_CONC_GLU_ISF",
  loinc: "99504-3",
  display: "Glucose (sensor)",
  intervalMs: 300_000,
};

/** Fingertip blood by glucose meter. LOINC 41653-7 is that method's code. */
export const capillaryGlucose: Metric = {
  ...glucose,
  mdc: mdcCode(partition.scada, 29112),
  id: "MDC_CONC_GLU_CAPILLARY_WHOLEBLOOD",
  loinc: "41653-7",
  display: "Glucose (fingertip)",
  intervalMs: 6 * 3_600_000,
};
