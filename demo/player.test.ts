import assert from "node:assert/strict";
import { test } from "node:test";
import { type Clock, playLive, playPasts } from "./player.ts";
import { readRecording } from "./recording.ts";
import { due, type Measured, past, trackOf } from "./schedule.ts";

/** A clock whose time only passes in waits. */
class StepClock implements Clock {
  time = 1_790_000_000_000;
  /** Extra time the next wait takes: a machine that sleeps. */
  late = 0;
  nowMs(): number {
    return this.time;
  }
  async wait(ms: number): Promise<void> {
    this.time += ms + this.late;
    this.late = 0;
  }
}

const monitor = trackOf(
  readRecording("bidmc-41"),
  ["MDC_ECG_HEART_RATE", "MDC_TTHOR_RESP_RATE"],
  1,
);
const sensor = trackOf(readRecording("glucose-008"), ["MDC_CONC_GLU_ISF"], 1);

function samplesOf(parts: Measured[]): string[] {
  return parts.flatMap(({ points }) =>
    points.flatMap(({ mdc, timesMs }) => timesMs.map((timeMs) => `${mdc} ${timeMs}`)),
  );
}

test("a player measures each second what the recording held, from its anchor on", async () => {
  const clock = new StepClock();
  const anchorMs = clock.time;
  const stop = new AbortController();
  const parts: Measured[] = [];
  await playLive({
    track: monitor,
    anchorMs,
    fromMs: anchorMs - 1,
    clock,
    signal: stop.signal,
    measure: async (measured) => {
      parts.push(measured);
      if (parts.length === 1_000) stop.abort();
    },
  });
  const expected = due(monitor, anchorMs, anchorMs - 1, clock.time);
  assert.deepEqual(samplesOf(parts).sort(), samplesOf([expected]).sort());
  assert.equal(parts.length, 1_000);
});

test("a started-again player goes on from now, and does not make up for the time it was away", async () => {
  const clock = new StepClock();
  const anchorMs = clock.time - 10_000_000;
  const stop = new AbortController();
  let first: Measured | undefined;
  await playLive({
    track: monitor,
    anchorMs,
    clock,
    signal: stop.signal,
    measure: async (measured) => {
      first = measured;
      stop.abort();
    },
  });
  for (const timeMs of first?.points[0]?.timesMs ?? []) assert.ok(timeMs > 1_790_000_000_000);
  assert.equal(first?.points[0]?.timesMs.length, 1);
});

test("after the machine slept, the player leaves the gap a gap", async () => {
  const clock = new StepClock();
  const anchorMs = clock.time;
  const stop = new AbortController();
  const times: number[] = [];
  await playLive({
    track: monitor,
    anchorMs,
    clock,
    signal: stop.signal,
    measure: async ({ points }) => {
      times.push(...(points[0]?.timesMs ?? []));
      if (times.length === 5) clock.late = 600_000;
      if (times.length > 10) stop.abort();
    },
  });
  const gaps = times.slice(1).map((timeMs, n) => timeMs - (times[n] as number));
  assert.ok(gaps.some((gap) => gap > 590_000));
  assert.equal(gaps.filter((gap) => gap !== 1_000).length, 1);
});

test("pasts go up in turns, each piece taken just before it is measured", async () => {
  const clock = new StepClock();
  const anchorMs = clock.time;
  const story: string[] = [];
  const upload = (name: string, track: typeof monitor, done: number, readyAfter: number) => {
    let asked = 0;
    return {
      track,
      anchorMs,
      done,
      isReady: () => ++asked > readyAfter,
      take: (piece: number) => void story.push(`${name} ${piece} taken`),
      measure: async () => void story.push(`${name} measured`),
    };
  };
  const pieces = past(sensor, anchorMs).length;
  assert.equal(pieces, 3);
  await playPasts({
    uploads: [upload("glucose", sensor, 1, 0), upload("monitor", monitor, 0, 1)],
    clock,
    signal: new AbortController().signal,
  });
  assert.deepEqual(story, [
    "glucose 1 taken",
    "glucose measured",
    "glucose 2 taken",
    "glucose measured",
    "monitor 0 taken",
    "monitor measured",
  ]);
});

test("a past that is done is not uploaded again", async () => {
  const clock = new StepClock();
  await playPasts({
    uploads: [
      {
        track: sensor,
        anchorMs: clock.time,
        done: past(sensor, clock.time).length,
        isReady: () => true,
        take: () => assert.fail(),
        measure: () => assert.fail(),
      },
    ],
    clock,
    signal: new AbortController().signal,
  });
});
