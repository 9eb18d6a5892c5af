import { type Metric, mdcCode, partition } from "./definition.ts";

/**
 * Beats a minute that reach the finger, from a pulse oximeter. It shares LOINC 8867-4 with the
 * heart rate, because FHIR R4's heart-rate profile fixes that code; the MDC codes differ, and the
 * two values do too when beats do not carry a pulse.
 */
export const pulseRate: Metric = {
  mdc: mdcCode(partition.scada, 18458),
  id: "MDC_PULS_OXIM_PULS_RATE",
  loinc: "8867-4",
  loincAlso: ["8889-8"],
  display: "Pulse rate",
  unit: "/min",
  category: "vital-signs",
  kind: "numeric",
  exponent: 0,
  plausible: { low: 0, high: 350 },
  intervalMs: 5_000,
};

/** Beats a minute as a wearable reports them, every few seconds to minutes. */
export const wearableHeartRate: Metric = {
  mdc: mdcCode(partition.phdHealthAndFitness, 114),
  id: "MDC_HF_HR",
  loinc: "8867-4",
  display: "Heart rate (wearable)",
  unit: "/min",
  category: "vital-signs",
  kind: "numeric",
  exponent: 0,
  plausible: { low: 0, high: 350 },
  intervalMs: 60_000,
};
