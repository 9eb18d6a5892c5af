/**
 * What a metric is. The definitions themselves stand one group a file beside this one; the
 * catalogue that collects them is `metric.ts`.
 */

/** The compartment a metric's samples are kept and released in. */
export type Category =
  | "vital-signs"
  | "waveform"
  | "laboratory"
  | "activity"
  | "medication"
  | "environment";

/** One coded state of an event metric, as FHIR will show it. */
export interface State {
  code: string;
  display: string;
}

/** One thing that can be measured. The key is `mdc`: two MDC codes can share one LOINC code. */
export interface Metric {
  /** IEEE 11073-10101 code in its 32-bit form, `partition << 16 | term`. */
  mdc: number;
  /** Reference identifier of that code, such as `MDC_ECG_HEART_RATE`. */
  id: string;
  /**
   * LOINC code. Where FHIR R4 fixes one for a vital sign, that one. Where LOINC has no code for
   * the very thing, the nearest official code and `loincBroader`.
   */
  loinc: string;
  /**
   * `loinc` names only the study or panel this belongs to (a waveform, say). Such a code must not
   * stand alone as Observation.code: a reader would take the samples for something else.
   */
  loincBroader?: true;
  /** More precise LOINC codes that may stand beside `loinc` (method named). */
  loincAlso?: readonly string[];
  /** What people read, English; other languages come from the message catalogue by `id`. */
  display: string;
  /** UCUM code, case-sensitive. */
  unit: string;
  category: Category;
  kind: "numeric" | "waveform" | "event";
  /** Resolution is 10^exponent of `unit`; a value is `mantissa × 10^exponent`. */
  exponent: number;
  /** Outside of this a value is kept and marked *implausible*; both ends are plausible. */
  plausible: { low: number; high: number };
  /** Expected time between samples (waveforms: between runs), ms. Stale is twice that. */
  intervalMs: number;
  /** For coded events: what each mantissa (exponent 0) means. */
  states?: Readonly<Record<number, State>>;
  /** Typical rate of a waveform, samples per second. */
  samplesPerSecond?: number;
}

/** Builds the 32-bit form of an 11073-10101 code, as ISO/IEEE 11073-20601 transmits it. */
export function mdcCode(partition: number, term: number): number {
  return partition * 0x10000 + term;
}

/** Partitions of ISO/IEEE 11073-10101 that the catalogue uses. */
export const partition = {
  /** Supervisory control and acquisition: physiological measurements. */
  scada: 2,
  /** Personal health device, disease management. */
  phdDiseaseManagement: 128,
  /** Personal health device, health and fitness. */
  phdHealthAndFitness: 129,
  /** Personal health device, aging independently. */
  phdAgingIndependently: 130,
  /** Manufacturer-specific codes: used where the standard has no term. Ids begin VITALWARD_. */
  private: 1024,
} as const;
