import { type Metric, mdcCode, partition } from "./definition.ts";

/**
 * A dose was dispensed (ISO/IEEE 11073-10472, medication monitor), or known to be left. What was in
 * it stands in the patient's medication resources, never in the telemetry. LOINC 29549-3 is the
 * *medication administered* section.
 */
export const medicationEvent: Metric = {
  mdc: mdcCode(partition.phdAgingIndependently, 13312),
  id: "MDC_AI_MED_DISPENSED_FIXED",
  loinc: "29549-3",
  loincBroader: true,
  display: "Medication",
  unit: "1",
  category: "medication",
  kind: "event",
  exponent: 0,
  plausible: { low: 0, high: 2 },
  intervalMs: 24 * 3_600_000,
  states: {
    0: { code: "missed", display: "Dose not taken" },
    1: { code: "dispensed", display: "Dose dispensed" },
    2: { code: "taken", display: "Dose taken" },
  },
};
