import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { quality } from "../src/vitals/quality.ts";
import { readRecording } from "./recording.ts";
import { due, type Measured, nextDueMs, past, type Track, trackOf } from "./schedule.ts";
import { DEVICES } from "./ward.ts";

const anchorMs = 1_790_000_000_000;

function trackFor(key: string): Track {
  const found = DEVICES.find(({ device }) => device.key === key);
  assert.ok(found, key);
  const { recording, metrics, pace } = found.device;
  return trackOf(readRecording(recording), metrics, pace);
}

/** Every sample as "mdc time value": order and grouping do not matter. */
function samples(all: Measured[]): string[] {
  return all
    .flatMap(({ points, waveforms }) => [
      ...points.flatMap(({ mdc, timesMs, mantissas }) =>
        timesMs.map((timeMs, n) => `${mdc} ${timeMs} ${mantissas[n]}`),
      ),
      ...waveforms.flatMap(({ mdc, startMs, rate, values }) =>
        Array.from(values, (value, n) => {
          const timeMs = startMs + (n * 1_000 * rate.denominator) / rate.numerator;
          return `${mdc} ${timeMs.toFixed(3)} ${value}`;
        }),
      ),
    ])
    .sort();
}

test("the past holds every sample of the recording once, before the anchor, unmarked", () => {
  for (const { device } of DEVICES) {
    const track = trackFor(device.key);
    const pieces = past(track, anchorMs);
    for (const series of track.points) {
      const columns = pieces.flatMap(({ points }) =>
        points.filter(({ mdc }) => mdc === series.mdc),
      );
      const first = anchorMs - track.loopMs;
      const times = columns.flatMap(({ timesMs }) => timesMs.map((timeMs) => timeMs - first));
      assert.deepEqual(times, Array.from(series.timesMs), device.key);
      assert.deepEqual(
        columns.flatMap(({ mantissas }) => mantissas),
        Array.from(series.mantissas),
      );
      assert.ok(columns.every((column) => column.quality.every((bits) => bits === quality.none)));
    }
    for (const series of track.waveforms) {
      const runs = pieces.flatMap(({ waveforms }) =>
        waveforms.filter(({ mdc }) => mdc === series.mdc),
      );
      let nextMs = anchorMs - track.loopMs;
      for (const { startMs, values, quality: bits } of runs) {
        assert.equal(startMs, nextMs, device.key);
        assert.equal(bits, quality.none);
        nextMs += (values.length * 1_000 * series.rate.denominator) / series.rate.numerator;
      }
      assert.deepEqual(Int32Array.from(runs.flatMap(({ values }) => [...values])), series.values);
    }
  }
});

test("every piece of the past fits an envelope", () => {
  for (const { device } of DEVICES)
    for (const { points, waveforms } of past(trackFor(device.key), anchorMs)) {
      const values = waveforms.reduce((sum, run) => sum + run.values.length, 0);
      const single = points.reduce((sum, column) => sum + column.timesMs.length, 0);
      assert.ok(values * 4 + single * 12 < 60_000, device.key);
    }
});

test("hourly rows of the past are an hour apart, and live a minute", () => {
  const track = trackFor("challenge-p103073-patient-monitor");
  const times = past(track, anchorMs).flatMap(({ points }) => points[0]?.timesMs ?? []);
  assert.ok(times.length > 30);
  for (let n = 1; n < times.length; n++)
    assert.equal(((times[n] as number) - (times[n - 1] as number)) % 3_600_000, 0);
  const live = due(track, anchorMs, anchorMs - 1, anchorMs + 10 * 60_000);
  for (const timeMs of live.points[0]?.timesMs ?? []) assert.equal((timeMs - anchorMs) % 60_000, 0);
});

test("however the time is cut, each sample is due once", () => {
  const keys = ["bidmc-01-monitor", "mitdb-207-ecg", "glucose-008-sensor", "mimicdb-037-line"];
  const tracks = keys.map(trackFor);
  fc.assert(
    fc.property(
      fc.constantFrom(...tracks),
      fc.array(fc.integer({ min: 1, max: 4_000 }), { minLength: 1, maxLength: 12 }),
      fc.integer({ min: -1_000, max: 2_000 }),
      (track, steps, offset) => {
        // Around the end of a round, where the first samples of the next come in.
        let at = anchorMs + track.loopMs - 5_000 + offset;
        const from = at;
        const parts: Measured[] = [];
        for (const step of steps) {
          parts.push(due(track, anchorMs, at, at + step));
          at += step;
        }
        assert.deepEqual(samples(parts), samples([due(track, anchorMs, from, at)]));
      },
    ),
    { numRuns: 60 },
  );
});

test("the first sample of each series in each round says that the recording restarts, and no other", () => {
  const track = trackFor("bidmc-41-monitor");
  const live = due(track, anchorMs, anchorMs - 1, anchorMs + 3 * track.loopMs - 1);
  for (const column of live.points) {
    assert.equal(column.timesMs.length, 3 * 481);
    const marked = column.timesMs.filter((_, n) => column.quality[n] === quality.recordingRestarts);
    assert.deepEqual(
      marked,
      [0, 1, 2].map((round) => anchorMs + round * track.loopMs),
    );
  }
});

test("a waveform plays its second run after two seconds, and its restart is marked for one run", () => {
  const track = trackFor("mitdb-201-ecg");
  const runs = (from: number, to: number) => due(track, anchorMs, anchorMs + from, anchorMs + to);
  assert.equal(runs(-1, 999).waveforms.length, 0);
  const first = runs(-1, 1_000).waveforms;
  assert.deepEqual(
    first.map((run) => [run.startMs, run.values.length, run.quality]),
    [
      [anchorMs, 360, quality.recordingRestarts],
      [anchorMs, 360, quality.recordingRestarts],
    ],
  );
  assert.deepEqual(
    runs(1_000, 2_000).waveforms.map((run) => [run.startMs, run.quality]),
    [
      [anchorMs + 1_000, quality.none],
      [anchorMs + 1_000, quality.none],
    ],
  );
  // The last run of a round is due at the very moment the next round begins.
  const last = runs(track.loopMs - 1, track.loopMs).waveforms;
  assert.deepEqual(
    last.map((run) => run.startMs),
    [anchorMs + 599_000, anchorMs + 599_000],
  );
});

test("nothing is due between the moments that are announced as next", () => {
  for (const key of [
    "glucose-010-sensor",
    "fitbit-8877689391-heart",
    "challenge-p107865-thermometer",
  ]) {
    const track = trackFor(key);
    let at = anchorMs - 1;
    for (let n = 0; n < 20; n++) {
      const next = nextDueMs(track, anchorMs, at);
      assert.deepEqual(due(track, anchorMs, at, Math.ceil(next) - 1).points, [], key);
      assert.equal(due(track, anchorMs, at, Math.ceil(next)).points.length > 0, true, key);
      at = Math.ceil(next);
    }
  }
});

test("a value missing in the original is not due, neither live nor in the past", () => {
  const track = trackFor("bidmc-25-oximeter");
  const live = due(track, anchorMs, anchorMs - 1, anchorMs);
  assert.deepEqual(live, { points: [], waveforms: [] });
});
