import assert from "node:assert/strict";
import { test } from "node:test";
import type { WaveRun } from "../../../src/ward/schema.ts";
import { PX_PER_SECOND, Strip } from "./strip.ts";

interface Stroke {
  readonly fromX: number;
  readonly toX: number;
}

/** A canvas that remembers each stroke between two points. */
function drawingOn(width: number) {
  const strokes: Stroke[] = [];
  let at = 0;
  const context = {
    setTransform() {},
    clearRect() {},
    beginPath() {},
    stroke() {},
    moveTo(x: number) {
      at = x;
    },
    lineTo(x: number) {
      strokes.push({ fromX: at, toX: x });
      at = x;
    },
  };
  const canvas = { getContext: () => context } as unknown as HTMLCanvasElement;
  const strip = new Strip(canvas, { unit: "1", colours: { trace: "", doubted: "" } });
  strip.resize(width, 100, 1);
  return { strip, strokes };
}

const RATE = 125;
const run = (startMs: number, seconds: number): WaveRun => ({
  mdc: 131330,
  deviceId: "d",
  startMs,
  rate: { numerator: RATE, denominator: 1 },
  exponent: 0,
  values: Array.from({ length: seconds * RATE }, (_, n) => Math.round(100 * Math.sin(n / 20))),
  quality: 0,
  sessionId: "s",
  sequence: 1,
});

/** No stroke may reach further than from one sample to the next. */
function onlyNeighbours(strokes: readonly Stroke[]): void {
  assert.ok(strokes.length > 100, "something was drawn");
  const longest = (PX_PER_SECOND / RATE) * 1.5;
  for (const { fromX, toX } of strokes) {
    assert.ok(toX - fromX > 0 && toX - fromX <= longest, `a stroke from ${fromX} to ${toX}`);
  }
}

test("stored and live runs that overlap, out of order and around the corner, are joined by no false stroke", () => {
  const { strip, strokes } = drawingOn(700);
  const t0 = 1_700_000_000_000;
  let nowMs = t0;
  for (let second = 0; second < 30; second += 1) {
    strip.take(run(t0 + second * 1000, 1), nowMs + 1_200);
    // Stored pieces are cut elsewhere than live ones and come in between.
    strip.takePast([run(t0 - 9_504, 7), run(t0 - 2_504 - second * 8, second + 3)]);
    for (let frame = 0; frame < 60; frame += 1) {
      nowMs += 1000 / 60;
      strip.frame(nowMs);
    }
  }
  onlyNeighbours(strokes);
});

test("a gap in what was measured stays empty", () => {
  const { strip, strokes } = drawingOn(1_400);
  const t0 = 1_700_000_000_000;
  strip.take(run(t0, 2), t0 + 2_000);
  strip.take(run(t0 + 5_000, 2), t0 + 7_000);
  for (let nowMs = t0 + 2_000; nowMs < t0 + 12_000; nowMs += 16) strip.frame(nowMs);
  onlyNeighbours(strokes);
  const drawn = strokes.reduce((sum, { fromX, toX }) => sum + toX - fromX, 0);
  assert.ok(Math.abs(drawn - 4 * PX_PER_SECOND) < 0.1 * PX_PER_SECOND, `${drawn} px drawn`);
});

test("what is here already is not drawn twice", () => {
  const { strip, strokes } = drawingOn(1_400);
  const t0 = 1_700_000_000_000;
  strip.takePast([run(t0, 4)]);
  strip.take(run(t0 + 3_000, 2), t0 + 5_000);
  strip.takePast([run(t0 + 1_000, 4)]);
  for (let nowMs = t0 + 3_000; nowMs < t0 + 12_000; nowMs += 16) strip.frame(nowMs);
  const last = strokes.slice(-5 * RATE);
  const starts = new Set(last.map(({ fromX }) => fromX.toFixed(3)));
  assert.equal(starts.size, last.length);
});
