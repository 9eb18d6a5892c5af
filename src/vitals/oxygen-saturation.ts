import { type Metric, mdcCode, partition } from "./definition.ts";

/** Oxygen saturation of arterial blood by pulse oximetry. FHIR R4 fixes 2708-6 for the profile. */
export const oxygenSaturation: Metric = {
  mdc: mdcCode(partition.scada, 19384),
  id: "MDC_PULS_OXIM_SAT_O2",
  loinc: "2708-6",
  loincAlso: ["59408-5"],
  display: "Oxygen saturation (SpO2)",
  unit: "%",
  category: "vital-signs",
  kind: "numeric",
  exponent: 0,
  plausible: { low: 0, high: 100 },
  intervalMs: 5_000,
};
