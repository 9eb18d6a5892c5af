/**
 * Why one asks: HL7 v3 PurposeOfUse, the part of code system v3-ActReason below that concept, as FHIR
 * R4 publishes it. A consent for a purpose holds for all that is below it ("TREAT" for "ETREAT").
 */
export const PURPOSE_SYSTEM = "http://terminology.hl7.org/CodeSystem/v3-ActReason";

/** Code → the code above it; "PurposeOfUse" is the top and no purpose itself. */
export const PURPOSE_PARENTS = {
  HMARKT: "PurposeOfUse",
  HOPERAT: "PurposeOfUse",
  CAREMGT: "HOPERAT",
  DONAT: "HOPERAT",
  FRAUD: "HOPERAT",
  GOV: "HOPERAT",
  HACCRED: "HOPERAT",
  HCOMPL: "HOPERAT",
  HDECD: "HOPERAT",
  HDIRECT: "HOPERAT",
  HDM: "HOPERAT",
  HLEGAL: "HOPERAT",
  HOUTCOMS: "HOPERAT",
  HPRGRP: "HOPERAT",
  HQUALIMP: "HOPERAT",
  HSYSADMIN: "HOPERAT",
  LABELING: "HSYSADMIN",
  METAMGT: "HSYSADMIN",
  MEMADMIN: "HOPERAT",
  MILCDM: "HOPERAT",
  PATADMIN: "HOPERAT",
  PATSFTY: "HOPERAT",
  PERFMSR: "HOPERAT",
  RECORDMGT: "HOPERAT",
  SYSDEV: "HOPERAT",
  HTEST: "SYSDEV",
  TRAIN: "HOPERAT",
  HPAYMT: "PurposeOfUse",
  CLMATTCH: "HPAYMT",
  COVAUTH: "HPAYMT",
  COVERAGE: "HPAYMT",
  ELIGDTRM: "COVERAGE",
  ELIGVER: "COVERAGE",
  ENROLLM: "COVERAGE",
  MILDCRG: "COVERAGE",
  REMITADV: "HPAYMT",
  HRESCH: "PurposeOfUse",
  BIORCH: "HRESCH",
  CLINTRCH: "HRESCH",
  CLINTRCHNPC: "CLINTRCH",
  CLINTRCHPC: "CLINTRCH",
  PRECLINTRCH: "CLINTRCH",
  DSRCH: "HRESCH",
  POARCH: "HRESCH",
  TRANSRCH: "HRESCH",
  PATRQT: "PurposeOfUse",
  FAMRQT: "PATRQT",
  PWATRNY: "PATRQT",
  SUPNWK: "PATRQT",
  PUBHLTH: "PurposeOfUse",
  DISASTER: "PUBHLTH",
  THREAT: "PUBHLTH",
  TREAT: "PurposeOfUse",
  CLINTRL: "TREAT",
  COC: "TREAT",
  ETREAT: "TREAT",
  BTG: "ETREAT",
  ERTREAT: "ETREAT",
  POPHLTH: "TREAT",
} as const satisfies Record<string, string>;

export type PurposeOfUse = keyof typeof PURPOSE_PARENTS;
export const PURPOSES = Object.keys(PURPOSE_PARENTS) as [PurposeOfUse, ...PurposeOfUse[]];

export function isPurpose(code: string): code is PurposeOfUse {
  return Object.hasOwn(PURPOSE_PARENTS, code);
}

/** The purpose and all above it, nearest first. */
export function purposeAndAbove(purpose: PurposeOfUse): PurposeOfUse[] {
  const chain: PurposeOfUse[] = [];
  for (let code: string = purpose; isPurpose(code); code = PURPOSE_PARENTS[code]) chain.push(code);
  return chain;
}
