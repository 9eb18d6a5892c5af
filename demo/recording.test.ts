import assert from "node:assert/strict";
import { readdirSync, statSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { decodeRecording, encodeRecording, type Recording, readRecording } from "./recording.ts";

const folder = new URL("./recordings/", import.meta.url);
const names = readdirSync(folder).map((file) => file.replace(/\.vwr$/, ""));

/** The value of a point series at a time, as it stood in the original's text. */
function pointAt(name: string, metric: string, timeMs: number): number | undefined {
  const series = readRecording(name).points.find((one) => one.metric === metric);
  assert.ok(series, metric);
  const at = series.timesMs.indexOf(timeMs);
  return at < 0 ? undefined : (series.mantissas[at] as number) / 10 ** -series.exponent;
}

function waveform(name: string, metric: string): (n: number) => number {
  const series = readRecording(name).waveforms.find((one) => one.metric === metric);
  assert.ok(series, metric);
  return (n) => (series.values.at(n) as number) / 10 ** -series.exponent;
}

/** Rows copied by hand from the original files: recording, metric, time in ms, value. */
const rows: [string, string, number, number | undefined][] = [
  // bidmc_01_Numerics.csv: 0,94,93,25,97
  ["bidmc-01", "MDC_ECG_HEART_RATE", 0, 94],
  ["bidmc-01", "MDC_PULS_OXIM_PULS_RATE", 0, 93],
  ["bidmc-01", "MDC_TTHOR_RESP_RATE", 0, 25],
  ["bidmc-01", "MDC_PULS_OXIM_SAT_O2", 0, 97],
  // bidmc_25_Numerics.csv: 0,126,NaN,16,NaN and 1,126,127,16,99
  ["bidmc-25", "MDC_ECG_HEART_RATE", 0, 126],
  ["bidmc-25", "MDC_PULS_OXIM_PULS_RATE", 0, undefined],
  ["bidmc-25", "MDC_PULS_OXIM_SAT_O2", 0, undefined],
  ["bidmc-25", "MDC_PULS_OXIM_SAT_O2", 1_000, 99],
  // bidmc_13_Numerics.csv: 24,67,66,8,100 and 480,67,66,NaN,100
  ["bidmc-13", "MDC_TTHOR_RESP_RATE", 24_000, 8],
  ["bidmc-13", "MDC_TTHOR_RESP_RATE", 480_000, undefined],
  ["bidmc-13", "MDC_PULS_OXIM_SAT_O2", 480_000, 100],
  // p104738.psv, hours 5 and 26: 113|97|39.3|116|85|65|51 and 121|94.5|NaN|120|83|62|46
  ["challenge-p104738", "MDC_TEMP_BODY", 4 * 3_600_000, 39.3],
  ["challenge-p104738", "MDC_PRESS_BLD_NONINV_SYS", 4 * 3_600_000, 116],
  ["challenge-p104738", "MDC_RESP_RATE", 4 * 3_600_000, 51],
  ["challenge-p104738", "MDC_PULS_OXIM_SAT_O2", 25 * 3_600_000, 94.5],
  ["challenge-p104738", "MDC_TEMP_BODY", 25 * 3_600_000, undefined],
  // Dexcom_008.csv: first row 2020-03-14 14:04:53 102.0; 2020-03-15 03:09:51 40.0
  ["glucose-008", "MDC_CONC_GLU_ISF", 0, 102],
  ["glucose-008", "MDC_CONC_GLU_ISF", 13 * 3_600_000 + 4 * 60_000 + 58_000, 40],
  // 3975656n.dat: rows 0 and 1 of HR are 0 (not measured) and 628 (gain 10)
  ["mimic-s00001", "MDC_ECG_HEART_RATE", 0, undefined],
  ["mimic-s00001", "MDC_ECG_HEART_RATE", 60_000, 62.8],
  ["mimic-s00001", "MDC_PRESS_BLD_NONINV_SYS", 65 * 60_000, 131],
  // weightLog: 4/12/2016 6:47:11 AM 85.8000030517578; heartrate_seconds: 6:55:26 71, 6:55:31 70
  ["fitbit-8877689391-weight", "MDC_MASS_BODY_ACTUAL", 0, 85.8],
  ["fitbit-8877689391-heart", "MDC_HF_HR", 0, 71],
  ["fitbit-8877689391-heart", "MDC_HF_HR", 5_000, 70],
  // sleepDay: 4/13/2016 531 minutes asleep
  ["fitbit-2026352035-sleep", "MDC_HF_ACT_SLEEP", 86_400_000, 531],
];

test("values are those of the original rows, and what was missing there is missing here", () => {
  for (const [name, metric, timeMs, value] of rows)
    assert.equal(pointAt(name, metric, timeMs), value, `${name} ${metric} ${timeMs}`);
});

test("BIDMC waveforms keep every digit of the original text", () => {
  // bidmc_01_Signals.csv, first, middle and last row: RESP, PLETH, V, AVR, II
  const columns: [string, number, number, number][] = [
    ["VITALWARD_IMPED_TTHOR_NORMALISED", 0.35386, 0.22776, 0.13783],
    ["MDC_PULS_OXIM_PLETH", 0.43597, 0.52199, 0.40274],
    ["VITALWARD_ECG_ELEC_POTL_V_NORMALISED", 0.52549, 0.4549, 0.49412],
    ["VITALWARD_ECG_ELEC_POTL_AVR_NORMALISED", 0.30392, 0.5451, 0.53529],
    ["VITALWARD_ECG_ELEC_POTL_II_NORMALISED", 0.72549, 0.35882, 0.38039],
  ];
  for (const [metric, first, middle, last] of columns) {
    const value = waveform("bidmc-01", metric);
    assert.deepEqual([value(0), value(30_000), value(-1)], [first, middle, last], metric);
  }
  // bidmc_45_Signals.csv, second row: -0.00048876 in lead II
  assert.equal(waveform("bidmc-45", "VITALWARD_ECG_ELEC_POTL_II_NORMALISED")(1), -0.00048876);
});

test("MIT-BIH counts become exact millivolts", () => {
  // 201.hea: initial values 972 and 982, zero 1024, 200 counts a millivolt
  assert.equal(waveform("mitdb-201", "MDC_ECG_ELEC_POTL_II")(0), (972 - 1024) / 200);
  assert.equal(waveform("mitdb-201", "MDC_ECG_ELEC_POTL_V1")(0), (982 - 1024) / 200);
  // 207.dat, sample 100000 of each lead: 1079 and 1153
  assert.equal(waveform("mitdb-207", "MDC_ECG_ELEC_POTL_II")(100_000), (1079 - 1024) / 200);
  assert.equal(waveform("mitdb-207", "MDC_ECG_ELEC_POTL_V1")(100_000), (1153 - 1024) / 200);
});

test("every converter count of MIMIC 037 can be found again from the physical value", () => {
  // 03700181.dat begins 67 67 67 23 (ECG), -943 (pressure); it ends 374 396 396 418, -1221
  const ecg = waveform("mimicdb-037", "MDC_ECG_ELEC_POTL_MCL1");
  const count = (n: number) => Math.round(ecg(n) * 2963.77);
  assert.deepEqual([0, 1, 2, 3].map(count), [67, 67, 67, 23]);
  assert.deepEqual([-4, -3, -2, -1].map(count), [374, 396, 396, 418]);
  const pressure = waveform("mimicdb-037", "MDC_PRESS_BLD_ART_ABP");
  assert.deepEqual(
    [0, -1].map((n) => Math.round(pressure(n) * 12.84 - 1605)),
    [-943, -1221],
  );
  // Respiration is moved by four frames: frame 4 holds -208.
  assert.equal(waveform("mimicdb-037", "VITALWARD_IMPED_TTHOR_NORMALISED")(0), -208 / 2000);
});

/** Samples of each series in the originals, counted there: nothing added, nothing lost. */
const counts: Record<string, number[]> = {
  "bidmc-01": [481, 481, 468, 468, 60_001, 60_001, 60_001, 60_001, 60_001],
  "bidmc-13": [481, 335, 481, 481, 60_001, 60_001, 60_001, 60_001, 60_001],
  "bidmc-41": [481, 481, 481, 481],
  "mitdb-201": [216_000, 216_000],
  "mimicdb-037": [300_000, 75_000, 74_996],
  "mimic-s00001": [1890, 1573, 1891, 1573, 152, 152, 152],
  "challenge-p103073": [34, 33, 34, 34, 34, 34, 34],
  "challenge-p104738": [24, 24, 24, 23, 23, 23, 7],
  "glucose-010": [2148],
  "glucose-008": [2505],
  "fitbit-8877689391-heart": [17_666],
  "fitbit-8877689391-hourly": [735, 735, 735],
  "fitbit-8877689391-weight": [24],
  "fitbit-2026352035-sleep": [28],
};

test("each recording holds as many samples as its original", () => {
  for (const [name, expected] of Object.entries(counts)) {
    const { points, waveforms } = readRecording(name);
    const found = [
      ...points.map((one) => one.mantissas.length),
      ...waveforms.map((one) => one.values.length),
    ];
    assert.deepEqual(found, expected, name);
  }
});

test("times ascend, end before the loop does, and the files stay below 6 MB together", () => {
  let bytes = 0;
  for (const name of names) {
    bytes += statSync(new URL(`${name}.vwr`, folder)).size;
    const recording = readRecording(name);
    assert.equal(recording.name, name);
    for (const { timesMs } of recording.points) {
      for (let n = 1; n < timesMs.length; n++)
        assert.ok((timesMs[n] as number) > (timesMs[n - 1] as number), name);
      assert.ok((timesMs.at(-1) as number) < recording.loopMs);
    }
    for (const { values, rate, startMs } of recording.waveforms) {
      const endMs = startMs + (values.length * 1000 * rate.denominator) / rate.numerator;
      assert.ok(endMs <= recording.loopMs, name);
    }
  }
  assert.ok(bytes <= 6 * 1_048_576, `${bytes}`);
});

const series = fc.record({
  metric: fc.constant("MDC_ECG_HEART_RATE"),
  exponent: fc.integer({ min: -8, max: 0 }),
  samples: fc.array(fc.tuple(fc.nat(2 ** 40), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }))),
});

test("whatever is packed is unpacked bit for bit", () => {
  fc.assert(
    fc.property(fc.array(series, { maxLength: 4 }), (many) => {
      const recording: Recording = {
        name: "any",
        loopMs: 2 ** 41,
        points: many.map(({ metric, exponent, samples }) => ({
          metric,
          exponent,
          timesMs: Float64Array.from(samples, ([time]) => time),
          mantissas: Int32Array.from(samples, ([, mantissa]) => mantissa),
        })),
        waveforms: many.map(({ metric, exponent, samples }) => ({
          metric,
          exponent,
          rate: { numerator: 360, denominator: 7 },
          startMs: 12,
          values: Int32Array.from(samples, ([, mantissa]) => mantissa),
        })),
      };
      assert.deepEqual(decodeRecording(encodeRecording(recording)), recording);
    }),
    { numRuns: 50 },
  );
});

test("a damaged file is refused and not played", () => {
  const whole = encodeRecording(readRecording("bidmc-41"));
  assert.throws(() => decodeRecording(whole.subarray(0, whole.length - 20)));
  assert.throws(() => decodeRecording(Buffer.concat([Buffer.from("VWR2"), whole.subarray(4)])));
});
