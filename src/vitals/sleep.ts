import { type Metric, mdcCode, partition } from "./definition.ts";

/** Time asleep in one night. */
export const sleepDuration: Metric = {
  mdc: mdcCode(partition.phdHealthAndFitness, 1004),
  id: "MDC_HF_ACT_SLEEP",
  loinc: "93832-4",
  display: "Time asleep",
  unit: "min",
  category: "activity",
  kind: "numeric",
  exponent: 0,
  plausible: { low: 0, high: 1440 },
  intervalMs: 24 * 3_600_000,
};

/**
 * Sleep stage from the sample's time on, until the next. 11073-10101 has no term for it, so the code
 * is private; LOINC has durations only. The states are those of HL7's Personal Health Record guide
 * (CodeSystem sleep-analysis-codes).
 */
export const sleepStage: Metric = {
  mdc: mdcCode(partition.private, 1),
  id: "VITALWARD_SLEEP_STAGE",
  loinc: "93832-4",
  loincBroader: true,
  display: "Sleep stage",
  unit: "1",
  category: "activity",
  kind: "event",
  exponent: 0,
  plausible: { low: 0, high: 5 },
  intervalMs: 30 * 60_000,
  states: {
    0: { code: "awake", display: "Awake" },
    1: { code: "asleepCore", display: "Light sleep" },
    2: { code: "asleepDeep", display: "Deep sleep" },
    3: { code: "asleepREM", display: "REM sleep" },
    4: { code: "asleepUnspecified", display: "Asleep" },
    5: { code: "inBed", display: "In bed" },
  },
};
