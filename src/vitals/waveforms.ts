/**
 * Waveforms other than the ECG. LOINC has no codes for their samples: each names the measurement it
 * belongs to and is marked `loincBroader`.
 */
import { type Metric, mdcCode, partition } from "./definition.ts";

const waveform = {
  loincBroader: true,
  category: "waveform",
  kind: "waveform",
  intervalMs: 5_000,
  samplesPerSecond: 125,
} as const;

/** Photoplethysmogram (PPG). It has no unit of its own: light received, scaled by the oximeter. */
export const plethysmogram: Metric = {
  ...waveform,
  mdc: mdcCode(partition.scada, 19380),
  id: "MDC_PULS_OXIM_PLETH",
  loinc: "59408-5",
  display: "Pulse waveform (PPG)",
  unit: "1",
  exponent: -5,
  plausible: { low: -100, high: 100 },
};

/** Pressure in an artery, by line. */
export const arterialPressure: Metric = {
  ...waveform,
  mdc: mdcCode(partition.scada, 18964),
  id: "MDC_PRESS_BLD_ART_ABP",
  loinc: "76214-6",
  display: "Arterial pressure waveform",
  unit: "mm[Hg]",
  exponent: -1,
  plausible: { low: -50, high: 400 },
};

/** Impedance of the chest, which follows breathing. */
export const respirationImpedance: Metric = {
  ...waveform,
  mdc: mdcCode(partition.scada, 20708),
  id: "MDC_IMPED_TTHOR",
  loinc: "9279-1",
  display: "Respiration waveform (chest impedance)",
  unit: "Ohm",
  exponent: -3,
  plausible: { low: -5000, high: 5000 },
};

/** The same without calibration: scaled to 0…1, or in an amplifier's own units. */
export const normalisedRespiration: Metric = {
  ...waveform,
  mdc: mdcCode(partition.private, 20708),
  id: "VITALWARD_IMPED_TTHOR_NORMALISED",
  loinc: "9279-1",
  display: "Respiration waveform (normalised)",
  unit: "1",
  exponent: -5,
  plausible: { low: -100, high: 100 },
};
