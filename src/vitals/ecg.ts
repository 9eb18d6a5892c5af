/**
 * ECG leads. 11073-10101 gives each lead a term; the unit of those is the millivolt. Recordings
 * that were scaled to 0…1 have lost the millivolt, and saying otherwise would make an amplitude up:
 * they have metrics of their own, in the private partition under the same term number, unit `1`.
 *
 * LOINC has no code for the samples of one lead; 11524-6 is the ECG study they belong to.
 */
import { type Metric, mdcCode, partition } from "./definition.ts";

/** Leads by name, and their term in partition 2. */
export const ecgLeadTerms = {
  I: 257,
  II: 258,
  III: 317,
  AVR: 318,
  AVL: 319,
  AVF: 320,
  V: 323,
  V1: 259,
  V2: 260,
  V3: 261,
  V4: 262,
  V5: 263,
  V6: 264,
  MCL: 331,
  MCL1: 332,
} as const;

export type EcgLead = keyof typeof ecgLeadTerms;

const lead = {
  loinc: "11524-6",
  loincBroader: true,
  category: "waveform",
  kind: "waveform",
  intervalMs: 5_000,
} as const;

function millivolts(name: EcgLead): Metric {
  return {
    ...lead,
    mdc: mdcCode(partition.scada, ecgLeadTerms[name]),
    id: `MDC_ECG_ELEC_POTL_${name}`,
    display: `ECG lead ${shown(name)}`,
    unit: "mV",
    exponent: -3,
    plausible: { low: -20, high: 20 },
    samplesPerSecond: 360,
  };
}

function normalised(name: EcgLead): Metric {
  return {
    ...lead,
    mdc: mdcCode(partition.private, ecgLeadTerms[name]),
    id: `VITALWARD_ECG_ELEC_POTL_${name}_NORMALISED`,
    display: `ECG lead ${shown(name)} (normalised)`,
    unit: "1",
    exponent: -5,
    plausible: { low: -10, high: 10 },
    samplesPerSecond: 125,
  };
}

/** `AVR` is written aVR on every ECG. */
function shown(name: EcgLead): string {
  return name.replace(/^AV(?=[RLF]$)/, "aV");
}

const names = Object.keys(ecgLeadTerms) as EcgLead[];

/** Each lead in millivolts. MLII (modified limb lead II) is sent as lead II, its nearest term. */
export const ecgLeads: readonly Metric[] = names.map(millivolts);

/** Each lead of a recording that was scaled to 0…1. */
export const normalisedEcgLeads: readonly Metric[] = names.map(normalised);
