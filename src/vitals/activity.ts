/** What a wearable counts. Each value is about the time since the sample before it. */
import { type Metric, mdcCode, partition } from "./definition.ts";

/**
 * Steps. ISO/IEEE 11073-10441 reports them as distance with the unit *step* (MDC_DIM_STEP), so the
 * code is MDC_HF_DISTANCE; a distance in metres would be another metric.
 */
export const steps: Metric = {
  mdc: mdcCode(partition.phdHealthAndFitness, 103),
  id: "MDC_HF_DISTANCE",
  loinc: "55423-8",
  display: "Steps",
  unit: "{steps}",
  category: "activity",
  kind: "numeric",
  exponent: 0,
  plausible: { low: 0, high: 20_000 },
  intervalMs: 60_000,
};

/** Energy used, in kilocalories. LOINC 41981-2 is *calories burned*. */
export const energy: Metric = {
  mdc: mdcCode(partition.phdHealthAndFitness, 119),
  id: "MDC_HF_ENERGY",
  loinc: "41981-2",
  display: "Energy used",
  unit: "kcal",
  category: "activity",
  kind: "numeric",
  exponent: 0,
  plausible: { low: 0, high: 2_500 },
  intervalMs: 60_000,
};

/**
 * Intensity on the maker's scale (Fitbit: 0 sedentary … 3 very active), averaged over the time since
 * the sample before. LOINC's 80493-0 is the activity level as an acceleration: near, not the same.
 */
export const activityIntensity: Metric = {
  mdc: mdcCode(partition.phdHealthAndFitness, 127),
  id: "MDC_HF_ACTIVITY_INTENSITY",
  loinc: "80493-0",
  loincBroader: true,
  display: "Activity intensity",
  unit: "{score}",
  category: "activity",
  kind: "numeric",
  exponent: -2,
  plausible: { low: 0, high: 10 },
  intervalMs: 60_000,
};
