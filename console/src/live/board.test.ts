import assert from "node:assert/strict";
import { test } from "node:test";
import { quality } from "../../../src/vitals/quality.ts";
import type { Reading, WardPatient } from "../../../src/ward/schema.ts";
import { Board } from "./board.ts";
import { emptySpark, withReading } from "./spark.ts";

const MINUTE = 60_000;
const reading = (o: Partial<Reading> = {}): Reading => ({
  mdc: 147842,
  mantissa: 72,
  exponent: 0,
  timeMs: 100 * MINUTE,
  deviceId: "d",
  sessionId: "s",
  sequence: 7,
  quality: 0,
  marks: 0,
  signed: false,
  ...o,
});
const patient: WardPatient = {
  id: "p",
  name: "Test",
  ward: "A",
  bed: "1",
  birthDate: "1950-01-01",
  ageYears: 76,
  sex: "female",
  devices: [],
  readings: [reading()],
  sparklines: [],
  waveforms: [],
  restartedMs: null,
};
function boardWith(): Board {
  const board = new Board();
  board.take({ nowMs: 0, patients: [patient], withheld: 0 });
  return board;
}

test("a late reading never replaces a newer one", () => {
  const board = boardWith();
  board.hear({
    type: "readings",
    patientId: "p",
    readings: [reading({ timeMs: 99 * MINUTE, mantissa: 40 })],
  });
  assert.equal(board.patient("p")?.latest.get(147842)?.mantissa, 72);
});

test("a reading becomes signed when a block covers its batch, and not before", () => {
  const board = boardWith();
  board.hear({ type: "signed", patientId: "p", sessionId: "s", through: 6 });
  assert.equal(board.patient("p")?.latest.get(147842)?.signed, false);
  board.hear({ type: "signed", patientId: "p", sessionId: "other", through: 9 });
  assert.equal(board.patient("p")?.latest.get(147842)?.signed, false);
  board.hear({ type: "signed", patientId: "p", sessionId: "s", through: 7 });
  assert.equal(board.patient("p")?.latest.get(147842)?.signed, true);
});

test("withdrawn access leaves nothing of the record on the page", () => {
  const board = boardWith();
  board.hear({ type: "withdrawn", patientId: "p" });
  assert.equal(board.patient("p")?.latest.size, 0);
  assert.equal(board.patient("p")?.isWithdrawn, true);
});

test("a recording's restart is remembered with its time", () => {
  const board = boardWith();
  const restart = reading({ timeMs: 101 * MINUTE, quality: quality.recordingRestarts });
  board.hear({ type: "readings", patientId: "p", readings: [restart] });
  assert.equal(board.patient("p")?.facts.restartedMs, 101 * MINUTE);
});

test("only the listeners of the patient who changed are told", () => {
  const board = boardWith();
  const told: string[] = [];
  board.subscribe("p", () => told.push("p"));
  board.subscribe("q", () => told.push("q"));
  board.hear({ type: "readings", patientId: "p", readings: [reading()] });
  board.hear({ type: "readings", patientId: "q", readings: [reading()] });
  assert.deepEqual(told, ["p"]);
});

test("a sparkline keeps lowest and highest of a minute, and minutes without readings stay empty", () => {
  let spark = emptySpark(reading());
  spark = withReading(spark, reading({ mantissa: 60 }));
  spark = withReading(spark, reading({ mantissa: 90 }));
  assert.deepEqual([spark.lows.at(-1), spark.highs.at(-1)], [60, 90]);
  spark = withReading(spark, reading({ timeMs: 103 * MINUTE, mantissa: 70 }));
  assert.deepEqual(spark.lows.slice(-4), [60, null, null, 70]);
  assert.equal(spark.lows.length, 60);
});
