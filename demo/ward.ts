/**
 * The demonstration ward: invented people, each with the readings of one recorded person, never
 * mixed. Names, birth dates and beds are made up; birth dates agree with the recorded age where the
 * data set tells it. Which recording shows what: LICENCES.md.
 */

import {
  ACTIVITY,
  type DemoDevice,
  ecgRecorder,
  glucoseSensor,
  hourly,
  MINUTE_NOTE,
  monitor,
  oximeter,
  STANDARD_LEADS,
  wearable,
  withWaveforms,
} from "./ward-device.ts";

/** Where a person is. */
export type Place =
  | { kind: "bed"; ward: string; bed: string }
  /** Monitored from home. */
  | { kind: "home" };

export interface DemoPerson {
  key: string;
  given: string;
  family: string;
  /** YYYY-MM-DD. */
  birthDate: string;
  sex: "female" | "male";
  place: Place;
  /** What there is to see, for whoever shows the ward around. */
  story: string;
  devices: readonly DemoDevice[];
}

/** Every screen of the demonstration says this. */
export const NOTICE = "Recorded people. Not for clinical use.";

/**
 * How long before enrolment a device counts as assigned, ms. Its recorded past, up to 31 days, is
 * uploaded as late data and has to belong to the person.
 */
export const ASSIGNED_BEFORE_MS = 32 * 24 * 3_600_000;

const bed = (ward: string, number: number): Place => ({ kind: "bed", ward, bed: `${number}` });
const home: Place = { kind: "home" };

function person(
  key: string,
  [given, family]: readonly [string, string],
  birthDate: string,
  sex: DemoPerson["sex"],
  place: Place,
  story: string,
  devices: readonly DemoDevice[],
): DemoPerson {
  return { key, given, family, birthDate, sex, place, story, devices };
}

const INTENSIVE = "Intensive care";
const CARDIOLOGY = "Cardiology";
const GENERAL = "General ward";

/** Everyone in the ward, in the order of the board. */
export const WARD: readonly DemoPerson[] = [
  person("bidmc-01", ["Henrik", "Solberg"], "1938-05-17", "male", bed(INTENSIVE, 1), "steady", [
    ...withWaveforms("bidmc-01", STANDARD_LEADS),
  ]),
  person(
    "bidmc-05",
    ["Amara", "Okonkwo"],
    "1953-02-08",
    "female",
    bed(INTENSIVE, 2),
    "breathing falls to 3 a minute",
    [...withWaveforms("bidmc-05", STANDARD_LEADS)],
  ),
  person(
    "bidmc-13",
    ["Ngoc Anh", "Tran"],
    "1955-07-30",
    "female",
    bed(INTENSIVE, 3),
    "respiration lost: the monitor finds hardly a breath, then none",
    [...withWaveforms("bidmc-13", STANDARD_LEADS)],
  ),
  person(
    "bidmc-25",
    ["Lucía", "Fernández Rojas"],
    "1952-04-21",
    "female",
    bed(INTENSIVE, 4),
    "fast heart, up to 139 a minute",
    [...withWaveforms("bidmc-25", STANDARD_LEADS)],
  ),
  person(
    "bidmc-45",
    ["Tomasz", "Wiśniewski"],
    "1974-01-12",
    "male",
    bed(INTENSIVE, 5),
    "slow heart, down to 44 a minute",
    [...withWaveforms("bidmc-45", STANDARD_LEADS)],
  ),
  person(
    "bidmc-49",
    ["Samuel", "Adeyemi"],
    "1949-03-03",
    "male",
    bed(INTENSIVE, 6),
    "oxygen saturation 84 to 88 %",
    [...withWaveforms("bidmc-49", ["II", "MCL", "AVR"])],
  ),
  person(
    "bidmc-09",
    ["Farida", "Rahimi"],
    "1962-06-25",
    "female",
    bed(INTENSIVE, 7),
    "steady at 93 % saturation",
    [monitor("bidmc-09"), oximeter("bidmc-09", false)],
  ),
  person(
    "bidmc-21",
    ["Chiara", "Moretti"],
    "1982-08-14",
    "female",
    bed(INTENSIVE, 8),
    "fast heart, 116 to 129 a minute",
    [monitor("bidmc-21"), oximeter("bidmc-21", false)],
  ),
  person(
    "bidmc-33",
    ["Hye-jin", "Park"],
    "1950-01-28",
    "female",
    bed(INTENSIVE, 9),
    "restless breathing, 12 to 31 a minute",
    [monitor("bidmc-33"), oximeter("bidmc-33", false)],
  ),
  person(
    "bidmc-41",
    ["Ingrid", "Bauer"],
    "1953-05-06",
    "female",
    bed(CARDIOLOGY, 1),
    "heart and pulse disagree: beats without a pulse",
    [monitor("bidmc-41"), oximeter("bidmc-41", false)],
  ),
  person(
    "mitdb-201",
    ["Kwame", "Mensah"],
    "1958-02-19",
    "male",
    bed(CARDIOLOGY, 2),
    "atrial fibrillation, junctional and ventricular beats",
    [ecgRecorder("mitdb-201")],
  ),
  person(
    "mitdb-207",
    ["Eleni", "Papadaki"],
    "1937-07-09",
    "female",
    bed(CARDIOLOGY, 3),
    "bundle branch block, runs of ventricular flutter",
    [ecgRecorder("mitdb-207")],
  ),
  person(
    "mimicdb-037",
    ["Rajesh", "Iyer"],
    "1961-10-02",
    "male",
    bed(CARDIOLOGY, 4),
    "arterial line beside the ECG: pressure very low, about 50 over 25",
    [
      {
        ...ecgRecorder("mimicdb-037"),
        label: "ECG and respiration monitor",
        metrics: ["MDC_ECG_ELEC_POTL_MCL1", "VITALWARD_IMPED_TTHOR_NORMALISED"],
      },
      {
        ...ecgRecorder("mimicdb-037"),
        key: "mimicdb-037-line",
        kind: "arterial-line",
        label: "Arterial line",
        metrics: ["MDC_PRESS_BLD_ART_ABP"],
      },
    ],
  ),
  person(
    "mimic-s00001",
    ["Marguerite", "Lefèvre"],
    "1966-03-15",
    "female",
    bed(CARDIOLOGY, 5),
    "32 hours, minute by minute, with cuff pressures and pauses",
    [
      { ...monitor("mimic-s00001"), note: MINUTE_NOTE },
      { ...oximeter("mimic-s00001", false), note: MINUTE_NOTE },
      {
        ...monitor("mimic-s00001"),
        note: MINUTE_NOTE,
        key: "mimic-s00001-cuff",
        kind: "blood-pressure-monitor",
        label: "Blood pressure monitor",
        metrics: [
          "MDC_PRESS_BLD_NONINV_SYS",
          "MDC_PRESS_BLD_NONINV_DIA",
          "MDC_PRESS_BLD_NONINV_MEAN",
        ],
      },
    ],
  ),
  person(
    "challenge-p103073",
    ["Yusra", "Haddad"],
    "1980-04-04",
    "female",
    bed(GENERAL, 1),
    "fever to 40.1 °C, sepsis from hour 32",
    [...hourly("challenge-p103073")],
  ),
  person(
    "challenge-p102173",
    ["Dmitri", "Volkov"],
    "1954-09-11",
    "male",
    bed(GENERAL, 2),
    "three days; sepsis near the end",
    [...hourly("challenge-p102173")],
  ),
  person(
    "challenge-p101956",
    ["Joseph", "Whitehorse"],
    "1952-06-20",
    "male",
    bed(GENERAL, 3),
    "low pressure, sepsis from hour 34",
    [...hourly("challenge-p101956")],
  ),
  person(
    "challenge-p104738",
    ["Mateus", "Carvalho"],
    "1999-05-29",
    "male",
    bed(GENERAL, 4),
    "breathing and heart rise towards sepsis",
    [...hourly("challenge-p104738")],
  ),
  person(
    "challenge-p107865",
    ["Noa", "Ben-David"],
    "1948-01-07",
    "male",
    bed(GENERAL, 5),
    "steady, no sepsis",
    [...hourly("challenge-p107865")],
  ),
  person(
    "glucose-010",
    ["Leilani", "Kahale"],
    "1971-11-13",
    "female",
    home,
    "glucose 49 to 261 mg/dL",
    [glucoseSensor("glucose-010")],
  ),
  person(
    "glucose-008",
    ["Oliver", "Grant"],
    "1968-12-01",
    "male",
    home,
    "glucose with lows to 40 mg/dL",
    [glucoseSensor("glucose-008")],
  ),
  person(
    "fitbit-8877689391",
    ["Björn", "Lindqvist"],
    "1985-08-23",
    "male",
    home,
    "active: heart rate, steps and weight",
    [
      wearable("fitbit-8877689391-heart", "Wrist heart-rate sensor", ["MDC_HF_HR"], 1),
      wearable("fitbit-8877689391-hourly", "Activity tracker", ACTIVITY, 60),
      {
        ...wearable("fitbit-8877689391-weight", "Scale", ["MDC_MASS_BODY_ACTUAL"], 1),
        kind: "scale",
      },
    ],
  ),
  person(
    "fitbit-2026352035",
    ["Thandiwe", "Dlamini"],
    "1992-02-16",
    "female",
    home,
    "steps and sleep",
    [
      wearable("fitbit-2026352035-hourly", "Activity tracker", ACTIVITY, 60),
      wearable("fitbit-2026352035-sleep", "Sleep tracker", ["MDC_HF_ACT_SLEEP"], 1),
    ],
  ),
];

/** Every device of the ward with the person who wears it. */
export const DEVICES: readonly { person: DemoPerson; device: DemoDevice }[] = WARD.flatMap(
  (person) => person.devices.map((device) => ({ person, device })),
);
