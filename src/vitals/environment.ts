/** The room around the patient. */
import { type Metric, mdcCode, partition } from "./definition.ts";

const room = {
  category: "environment",
  kind: "numeric",
  intervalMs: 300_000,
} as const;

export const roomTemperature: Metric = {
  ...room,
  mdc: mdcCode(partition.scada, 57436),
  id: "MDC_TEMP_ROOM",
  loinc: "60832-3",
  display: "Room temperature",
  unit: "Cel",
  exponent: -1,
  plausible: { low: -40, high: 70 },
};

/** The term moved from 57960 in drafts to 57732; both stand in published code lists. */
export const roomHumidity: Metric = {
  ...room,
  mdc: mdcCode(partition.scada, 57732),
  id: "MDC_REL_HUMIDITY_AMBIENT",
  loinc: "65643-9",
  display: "Room humidity",
  unit: "%",
  exponent: 0,
  plausible: { low: 0, high: 100 },
};

/** 11073-10101 has no term for room air; LOINC asks about it only as "air contaminant in the home". */
export const carbonDioxide: Metric = {
  ...room,
  mdc: mdcCode(partition.private, 2),
  id: "VITALWARD_ROOM_CO2",
  loinc: "63802-3",
  loincBroader: true,
  display: "Carbon dioxide in room air",
  unit: "[ppm]",
  exponent: 0,
  plausible: { low: 200, high: 40_000 },
};

/** LOINC 106008-6 is PM2.5 of a community over a reporting period: the substance, not this place. */
export const particles: Metric = {
  ...room,
  mdc: mdcCode(partition.private, 3),
  id: "VITALWARD_ROOM_PM25",
  loinc: "106008-6",
  loincBroader: true,
  display: "Fine particles in room air (PM2.5)",
  unit: "ug/m3",
  exponent: 0,
  plausible: { low: 0, high: 1_000 },
};
