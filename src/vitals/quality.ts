/**
 * What is known against a sample. Two sets that never mix: *quality* is said by the device and lies
 * under its signature; a *mark* is added by the platform and is never signed by a device.
 */

/** Set by the device; part of the sealed and signed batch. Bits of one unsigned number. */
export const quality = {
  none: 0,
  /** The device itself doubts the value. */
  questionable: 1,
  motion: 2,
  sensorOff: 4,
  /** The device's clock was never set; its times count from an unknown start. */
  clockUnset: 8,
  /** First sample after a recording has been played to its end and begins again. */
  recordingRestarts: 16,
  measuredByHand: 32,
} as const;

/** Set by the platform after admission; bits of one unsigned number. */
export const mark = {
  none: 0,
  implausible: 1,
  futureDated: 2,
  late: 4,
  /** The same sequence number arrived with other content. */
  fork: 8,
  quarantined: 16,
  /** Came in as a FHIR resource, not from an enrolled device. */
  unverifiedOrigin: 32,
  enteredInError: 64,
} as const;

export type QualityFlag = Exclude<keyof typeof quality, "none">;
export type MarkFlag = Exclude<keyof typeof mark, "none">;

/** All bits of `quality`. They have no hole: a number from 0 to this one sets no other bit. */
export const ALL_QUALITY = Object.values(quality).reduce<number>((all, bit) => all | bit, 0);
const ALL_MARKS = Object.values(mark).reduce<number>((all, bit) => all | bit, 0);

/** The names of the set bits, in the order of the bits. Unknown bits are left out. */
export function qualityFlags(bits: number): QualityFlag[] {
  return flagsOf(quality, bits) as QualityFlag[];
}

/** The names of the set bits, in the order of the bits. Unknown bits are left out. */
export function markFlags(bits: number): MarkFlag[] {
  return flagsOf(mark, bits) as MarkFlag[];
}

/** Whether `bits` sets no bit but those above; a batch with others is refused. */
export function isQuality(bits: number): boolean {
  return Number.isInteger(bits) && bits >= 0 && (bits & ~ALL_QUALITY) === 0;
}

/** Whether `bits` sets no bit but those above. */
export function isMark(bits: number): boolean {
  return Number.isInteger(bits) && bits >= 0 && (bits & ~ALL_MARKS) === 0;
}

function flagsOf(table: Readonly<Record<string, number>>, bits: number): string[] {
  return Object.entries(table)
    .filter(([, bit]) => bit !== 0 && (bits & bit) === bit)
    .map(([name]) => name);
}
