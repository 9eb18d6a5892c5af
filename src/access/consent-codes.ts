/** The codes by which a FHIR Consent names categories and metrics, and what each means here exactly. */
import { METRICS } from "../vitals/metric.ts";
import { COMPARTMENTS, type Compartment } from "./permit.ts";

export interface Coding {
  readonly system: string;
  readonly code: string;
}

const OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category";
const RESOURCE_TYPES = "http://hl7.org/fhir/resource-types";
const OWN_CATEGORY = "https://vitalward.example/fhir/CodeSystem/category";
const LOINC = "http://loinc.org";
const MDC = "urn:iso:std:iso:11073:10101";

/** The coding that Observations of the category carry; demographics are the Patient resource. */
export const CLASS_OF: Readonly<Record<Compartment, Coding>> = {
  "vital-signs": { system: OBSERVATION_CATEGORY, code: "vital-signs" },
  laboratory: { system: OBSERVATION_CATEGORY, code: "laboratory" },
  activity: { system: OBSERVATION_CATEGORY, code: "activity" },
  waveform: { system: OBSERVATION_CATEGORY, code: "procedure" },
  medication: { system: OBSERVATION_CATEGORY, code: "therapy" },
  environment: { system: OWN_CATEGORY, code: "environment" },
  demographics: { system: RESOURCE_TYPES, code: "Patient" },
};

/** The categories a `class` means; undefined for one that is not kept here. */
export function categoriesOfClass(coding: Coding): Compartment[] | undefined {
  if (coding.system === RESOURCE_TYPES && coding.code === "Observation") {
    return COMPARTMENTS.filter((one) => one !== "demographics");
  }
  const found = COMPARTMENTS.filter(
    (one) => CLASS_OF[one].system === coding.system && CLASS_OF[one].code === coding.code,
  );
  return found.length === 0 ? undefined : found;
}

/** The coding of one metric alone. @param code its MDC code, decimal. */
export function codingOfMetric(code: string): Coding {
  return { system: MDC, code };
}

/** LOINC 85354-9, the blood pressure panel: it stands for its parts. */
const PANEL_CODE = "85354-9";

/** The metrics (MDC codes, decimal) whose Observations carry this code; undefined for a code that no
 * Observation of ours carries. A LOINC code that is broader than the metric is none of these. */
export function metricsOfCode({ system, code }: Coding): string[] | undefined {
  const found = METRICS.filter((metric) => {
    if (system === MDC) return String(metric.mdc) === code;
    if (system !== LOINC) return false;
    if (code === PANEL_CODE)
      return /^MDC_PRESS_BLD_(?:NONINV|ART_ABP)_(?:SYS|DIA|MEAN)$/.test(metric.id);
    if (metric.loincBroader === true) return false;
    return metric.loinc === code || (metric.loincAlso ?? []).includes(code);
  });
  return found.length === 0 ? undefined : found.map((metric) => String(metric.mdc)).sort();
}
