/** How a metric of the catalogue is said in FHIR: code, category, profile. */
import type { CodeableConcept, Coding } from "@medplum/fhirtypes";
import { type Category, METRICS, type Metric, metricById } from "../vitals/metric.ts";
import { PROFILE, SYSTEM, token } from "./systems.ts";

/** A panel joins samples of one device and one instant; FHIR's blood-pressure profile asks for it. */
export interface Panel {
  /** The metric whose code names the panel's id; also its first component. */
  readonly systolic: Metric;
  readonly diastolic: Metric;
  readonly mean: Metric;
}

export const PANELS: readonly Panel[] = [
  panel("MDC_PRESS_BLD_NONINV_SYS", "MDC_PRESS_BLD_NONINV_DIA", "MDC_PRESS_BLD_NONINV_MEAN"),
  panel("MDC_PRESS_BLD_ART_ABP_SYS", "MDC_PRESS_BLD_ART_ABP_DIA", "MDC_PRESS_BLD_ART_ABP_MEAN"),
];

function panel(systolic: string, diastolic: string, mean: string): Panel {
  const metric = (id: string) => {
    const found = metricById(id);
    if (found === undefined) throw new Error(`the catalogue has no ${id}`);
    return found;
  };
  return { systolic: metric(systolic), diastolic: metric(diastolic), mean: metric(mean) };
}

const panelByMdc = new Map(
  PANELS.flatMap((one) =>
    [one.systolic, one.diastolic, one.mean].map((metric) => [metric.mdc, one] as const),
  ),
);

/** The panel a metric is a component of. */
export function panelOf(mdc: number): Panel | undefined {
  return panelByMdc.get(mdc);
}

/** LOINC 85354-9, the code that profile bp fixes. */
export const BLOOD_PRESSURE: Coding = {
  system: SYSTEM.loinc,
  code: "85354-9",
  display: "Blood pressure panel with all children optional",
};

export function mdcCoding(metric: Metric): Coding {
  return { system: SYSTEM.mdc, code: String(metric.mdc), display: metric.id };
}

/** The code of a metric: LOINC where LOINC has one that fits, then the method's own, then MDC. */
export function codeOf(metric: Metric): CodeableConcept {
  const loinc = metric.loincBroader === true ? [] : [metric.loinc, ...(metric.loincAlso ?? [])];
  const coding: Coding[] = loinc.map((code) => ({ system: SYSTEM.loinc, code }));
  return { coding: [...coding, mdcCoding(metric)], text: metric.display };
}

/** The profiles that a numeric vital sign of this LOINC code conforms to. */
const PROFILE_BY_LOINC: Readonly<Record<string, string>> = {
  "8867-4": PROFILE.heartRate,
  "9279-1": PROFILE.respiratoryRate,
  "2708-6": PROFILE.oxygenSaturation,
  "8310-5": PROFILE.bodyTemperature,
  "29463-7": PROFILE.bodyWeight,
  "8302-2": PROFILE.bodyHeight,
  "9843-4": PROFILE.headCircumference,
  "39156-5": PROFILE.bodyMassIndex,
  "85354-9": PROFILE.bloodPressure,
};

/** What an Observation with one of these codes must conform to (FHIR R4, vital signs). */
export function profilesOf(loinc: readonly string[]): string[] {
  return loinc.flatMap((code) => PROFILE_BY_LOINC[code] ?? []);
}

const CATEGORY_CODING: Readonly<Record<Category, Coding>> = {
  "vital-signs": {
    system: SYSTEM.observationCategory,
    code: "vital-signs",
    display: "Vital Signs",
  },
  laboratory: { system: SYSTEM.observationCategory, code: "laboratory", display: "Laboratory" },
  activity: { system: SYSTEM.observationCategory, code: "activity", display: "Activity" },
  waveform: { system: SYSTEM.observationCategory, code: "procedure", display: "Procedure" },
  medication: { system: SYSTEM.observationCategory, code: "therapy", display: "Therapy" },
  environment: { system: SYSTEM.category, code: "environment", display: "Environment" },
};

export function categoryCoding(category: Category): Coding {
  return CATEGORY_CODING[category];
}

/** The compartment of an Observation that came in by FHIR: what its category says, or the strictest guess. */
export function compartmentOf(categories: readonly Coding[]): Category {
  for (const [category, coding] of Object.entries(CATEGORY_CODING) as [Category, Coding][]) {
    if (categories.some((one) => one.system === coding.system && one.code === coding.code)) {
      return category;
    }
  }
  return "laboratory";
}

/** Every `system|code` a metric's own Observations can be found by → the metrics. */
const metricsByToken = new Map<string, Set<Metric>>();
for (const metric of METRICS) {
  for (const coding of codeOf(metric).coding ?? []) {
    const key = token(coding.system ?? "", coding.code ?? "");
    const metrics = metricsByToken.get(key) ?? new Set();
    metrics.add(metric);
    metricsByToken.set(key, metrics);
  }
}

/** Whether a `code` parameter's choice means the blood-pressure panel itself. */
export function isPanelToken(value: string): boolean {
  const { system, code } = BLOOD_PRESSURE;
  return value === code || value === token(system ?? "", code ?? "");
}

/** Metrics that a `code` parameter may mean: `system|code`, or `code` alone in any system. */
export function metricsOfToken(value: string): Metric[] {
  if (value.includes("|")) return [...(metricsByToken.get(value) ?? [])];
  const found = new Set<Metric>();
  for (const [key, metrics] of metricsByToken) {
    if (key.endsWith(`|${value}`)) for (const metric of metrics) found.add(metric);
  }
  return [...found];
}

/** Catalogue categories that a `category` parameter means: `system|code`, or `code` alone. */
export function categoriesOfToken(value: string): Category[] {
  return (Object.entries(CATEGORY_CODING) as [Category, Coding][])
    .filter(([, { system, code }]) =>
      value.includes("|") ? value === `${system}|${code}` : value === code,
    )
    .map(([category]) => category);
}
