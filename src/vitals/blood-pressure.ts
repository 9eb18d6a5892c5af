/**
 * Blood pressure: systolic, diastolic and mean, by cuff and from an arterial line. In FHIR they are
 * components of one blood-pressure Observation (85354-9) and therefore carry that profile's codes;
 * the codes that name the method stand beside them.
 */
import { type Metric, mdcCode, partition } from "./definition.ts";

const pressure = {
  unit: "mm[Hg]",
  category: "vital-signs",
  kind: "numeric",
  exponent: 0,
} as const;

const cuff = { ...pressure, intervalMs: 3_600_000 } as const;
const line = { ...pressure, intervalMs: 5_000 } as const;

export const cuffSystolic: Metric = {
  ...cuff,
  mdc: mdcCode(partition.scada, 18949),
  id: "MDC_PRESS_BLD_NONINV_SYS",
  loinc: "8480-6",
  loincAlso: ["76534-7"],
  display: "Systolic blood pressure (cuff)",
  plausible: { low: 30, high: 300 },
};

export const cuffDiastolic: Metric = {
  ...cuff,
  mdc: mdcCode(partition.scada, 18950),
  id: "MDC_PRESS_BLD_NONINV_DIA",
  loinc: "8462-4",
  loincAlso: ["76535-4"],
  display: "Diastolic blood pressure (cuff)",
  plausible: { low: 10, high: 200 },
};

export const cuffMean: Metric = {
  ...cuff,
  mdc: mdcCode(partition.scada, 18951),
  id: "MDC_PRESS_BLD_NONINV_MEAN",
  loinc: "8478-0",
  loincAlso: ["76536-2"],
  display: "Mean blood pressure (cuff)",
  plausible: { low: 20, high: 250 },
};

export const arterialSystolic: Metric = {
  ...line,
  mdc: mdcCode(partition.scada, 18965),
  id: "MDC_PRESS_BLD_ART_ABP_SYS",
  loinc: "8480-6",
  loincAlso: ["76215-3"],
  display: "Systolic blood pressure (arterial line)",
  plausible: { low: 0, high: 350 },
};

export const arterialDiastolic: Metric = {
  ...line,
  mdc: mdcCode(partition.scada, 18966),
  id: "MDC_PRESS_BLD_ART_ABP_DIA",
  loinc: "8462-4",
  loincAlso: ["76213-8"],
  display: "Diastolic blood pressure (arterial line)",
  plausible: { low: 0, high: 250 },
};

export const arterialMean: Metric = {
  ...line,
  mdc: mdcCode(partition.scada, 18967),
  id: "MDC_PRESS_BLD_ART_ABP_MEAN",
  loinc: "8478-0",
  loincAlso: ["76214-6"],
  display: "Mean blood pressure (arterial line)",
  plausible: { low: 0, high: 300 },
};
