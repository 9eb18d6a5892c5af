/** The devices of the demonstration: what each sends of which recording, how it seals and by which door. */

export interface DemoDevice {
  /** Names the device in the provisioning and in the player's folder; never shown to anyone. */
  key: string;
  kind:
    | "patient-monitor"
    | "pulse-oximeter"
    | "ecg-recorder"
    | "arterial-line"
    | "blood-pressure-monitor"
    | "thermometer"
    | "glucose-sensor"
    | "wearable"
    | "scale";
  /** Words for people. */
  label: string;
  /** Shown beside its readings; empty where there is nothing to say. */
  note: string;
  /** A file of `recordings/`, without its ending. */
  recording: string;
  /** Ids of the catalogue: what this device sends of that recording. */
  metrics: readonly string[];
  /** How much faster than life it is played. Its past keeps the true spacing. */
  pace: 1 | 60;
  /** How its envelopes are sealed: small devices do without AES and the post-quantum share. */
  cipher: "AES-256-GCM" | "ChaCha20-Poly1305";
  keyExchange: "hybrid" | "classical";
  door: "mqtt" | "https";
}

/** Shown beside the readings of a device that plays sixty times faster than life. */
export const FAST_NOTE = "×60 recording";

/** Shown beside the readings of a recording that holds one row a minute: nothing newer is to be expected. */
export const MINUTE_NOTE = "one row a minute";

const strong = { cipher: "AES-256-GCM", keyExchange: "hybrid", door: "mqtt" } as const;
const small = { cipher: "ChaCha20-Poly1305", keyExchange: "classical" } as const;

/** A bedside monitor; with leads, it sends them and the respiration waveform too. */
export function monitor(recording: string, leads: readonly string[] = []): DemoDevice {
  return {
    key: `${recording}-monitor`,
    kind: "patient-monitor",
    label: "Bedside monitor",
    note: "",
    recording,
    metrics: [
      "MDC_ECG_HEART_RATE",
      "MDC_TTHOR_RESP_RATE",
      ...leads.map((lead) => `VITALWARD_ECG_ELEC_POTL_${lead}_NORMALISED`),
      ...(leads.length > 0 ? ["VITALWARD_IMPED_TTHOR_NORMALISED"] : []),
    ],
    pace: 1,
    ...strong,
  };
}

/** A pulse oximeter on the finger, with or without its waveform. */
export function oximeter(recording: string, withWaveform: boolean): DemoDevice {
  return {
    key: `${recording}-oximeter`,
    kind: "pulse-oximeter",
    label: "Pulse oximeter",
    note: "",
    recording,
    metrics: [
      "MDC_PULS_OXIM_SAT_O2",
      "MDC_PULS_OXIM_PULS_RATE",
      ...(withWaveform ? ["MDC_PULS_OXIM_PLETH"] : []),
    ],
    pace: 1,
    ...small,
    door: "mqtt",
  };
}

/** Intensive care with waveforms: a monitor with three ECG leads, and an oximeter. */
export function withWaveforms(recording: string, leads: readonly string[]): DemoDevice[] {
  return [monitor(recording, leads), oximeter(recording, true)];
}

/** Two ECG leads in millivolts, and nothing else. */
export function ecgRecorder(recording: string): DemoDevice {
  return {
    key: `${recording}-ecg`,
    kind: "ecg-recorder",
    label: "ECG recorder",
    note: "",
    recording,
    metrics: ["MDC_ECG_ELEC_POTL_II", "MDC_ECG_ELEC_POTL_V1"],
    pace: 1,
    ...strong,
  };
}

/** A ward patient whose values were written down once an hour. */
export function hourly(recording: string): DemoDevice[] {
  const device = (
    kind: DemoDevice["kind"],
    label: string,
    metrics: string[],
    how: Pick<DemoDevice, "cipher" | "keyExchange" | "door">,
  ): DemoDevice => ({
    key: `${recording}-${kind}`,
    kind,
    label,
    note: FAST_NOTE,
    recording,
    metrics,
    pace: 60,
    ...how,
  });
  return [
    device(
      "patient-monitor",
      "Ward monitor",
      ["MDC_ECG_HEART_RATE", "MDC_RESP_RATE", "MDC_PULS_OXIM_SAT_O2"],
      strong,
    ),
    device(
      "blood-pressure-monitor",
      "Blood pressure monitor",
      ["MDC_PRESS_BLD_NONINV_SYS", "MDC_PRESS_BLD_NONINV_DIA", "MDC_PRESS_BLD_NONINV_MEAN"],
      { ...small, door: "https" },
    ),
    device("thermometer", "Thermometer", ["MDC_TEMP_BODY"], { ...small, door: "https" }),
  ];
}

/** Glucose under the skin, every five minutes. */
export function glucoseSensor(recording: string): DemoDevice {
  return {
    key: `${recording}-sensor`,
    kind: "glucose-sensor",
    label: "Glucose sensor",
    note: "",
    recording,
    metrics: ["MDC_CONC_GLU_ISF"],
    pace: 1,
    ...small,
    door: "https",
  };
}

/** What someone wears at home. */
export function wearable(
  recording: string,
  label: string,
  metrics: readonly string[],
  pace: 1 | 60,
): DemoDevice {
  return {
    key: recording,
    kind: "wearable",
    label,
    note: pace === 60 ? FAST_NOTE : "",
    recording,
    metrics,
    pace,
    ...small,
    door: "https",
  };
}

/** What the activity tracker counts. */
export const ACTIVITY = ["MDC_HF_DISTANCE", "MDC_HF_ENERGY", "MDC_HF_ACTIVITY_INTENSITY"];
/** The ECG leads most of the bedside recordings hold. */
export const STANDARD_LEADS = ["II", "V", "AVR"];
