/** Code systems and profiles that our resources name, once each. */
export const SYSTEM = {
  loinc: "http://loinc.org",
  /** ISO/IEEE 11073-10101 nomenclature, as HL7 terminology names it. */
  mdc: "urn:iso:std:iso:11073:10101",
  ucum: "http://unitsofmeasure.org",
  observationCategory: "http://terminology.hl7.org/CodeSystem/observation-category",
  dataAbsentReason: "http://terminology.hl7.org/CodeSystem/data-absent-reason",
  /** Ours: where a reading came from. */
  origin: "https://vitalward.example/fhir/CodeSystem/origin",
  /** Ours: categories that FHIR's list lacks. */
  category: "https://vitalward.example/fhir/CodeSystem/category",
  /** Ours: coded states of event metrics. */
  state: "https://vitalward.example/fhir/CodeSystem/state",
  /** Ours: what is known against a reading. */
  quality: "https://vitalward.example/fhir/StructureDefinition/quality",
} as const;

const PROFILE_BASE = "http://hl7.org/fhir/StructureDefinition/";
export const PROFILE = {
  vitalSigns: `${PROFILE_BASE}vitalsigns`,
  heartRate: `${PROFILE_BASE}heartrate`,
  respiratoryRate: `${PROFILE_BASE}resprate`,
  oxygenSaturation: `${PROFILE_BASE}oxygensat`,
  bodyTemperature: `${PROFILE_BASE}bodytemp`,
  bodyWeight: `${PROFILE_BASE}bodyweight`,
  bodyHeight: `${PROFILE_BASE}bodyheight`,
  headCircumference: `${PROFILE_BASE}headcircum`,
  bodyMassIndex: `${PROFILE_BASE}bmi`,
  bloodPressure: `${PROFILE_BASE}bp`,
} as const;

/** `system|code`, the form tokens are searched in (FHIR R4 §3.1.1.4.10). */
export function token(system: string, code: string): string {
  return `${system}|${code}`;
}
