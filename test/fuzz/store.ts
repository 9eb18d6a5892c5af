/**
 * Fuzzes what the store reads back: altered sealed bytes never open; and even what opened is decoded
 * within bounds, to typed columns or to the one refusal.
 */
import assert from "node:assert/strict";
import { systemClock } from "../../src/clock.ts";
import { Problem } from "../../src/problems.ts";
import { packArrival, SeriesCollector, unpackArrival } from "../../src/store/arrivals.ts";
import { pack, unpack } from "../../src/store/content.ts";
import {
  packDirectory,
  packListing,
  unpackDirectory,
  unpackListing,
} from "../../src/store/lane.ts";
import { OriginList } from "../../src/store/origins.ts";
import { emptyPoints } from "../../src/store/points.ts";
import { xaesKey } from "../../src/vault/xaes.ts";

export const nowMs = 1_700_000_000_000;
const deviceId = "0190a0b0-0000-7000-8000-000000000001";
const sessionId = "00112233445566778899aabbccddeeff";

export function origins() {
  const list = new OriginList();
  list.add(sessionId, 7, nowMs, 5, nowMs + 40, 1);
  list.add(sessionId, 8, nowMs + 1_000, 5, nowMs + 1_040, 1);
  return list.build();
}
const points = emptyPoints(40, origins());
for (let i = 0; i < points.count; i++) {
  points.timesMs[i] = nowMs + i * 1_000;
  points.mantissas[i] = 70 + (i % 5);
  points.originOf[i] = i < 20 ? 0 : 1;
}
const rate = { numerator: 360, denominator: 1 };
const run0 = {
  startMs: nowMs,
  values: Int32Array.from([1, -4, 900]),
  quality: 0,
  marks: 0,
  origin: 0,
};
const run1 = { ...run0, startMs: nowMs + 1_000, origin: 1 };
const waves = { kind: "waveform", count: 6, rate, runs: [run0, run1], origins: origins() } as const;

const column = { mdc: 147842, exponent: 0, timesMs: [nowMs], mantissas: [72], quality: [0] };
const wave = { mdc: 131329, startMs: nowMs, rate, exponent: -3, values: run0.values, quality: 0 };
const batch = { sequence: 7, clockMs: nowMs, offsetMs: 0, points: [column], waveforms: [wave] };
const envelope = { patientId: deviceId, deviceId, sessionId, batch, marks: 0, receivedMs: nowMs };
const arrival = packArrival([
  { envelope, points: [{ column, from: 0, to: 1 }], waveforms: [wave], units: 2 },
]);
const key = { kind: "points", mdc: 147842, exponent: 0, deviceId } as const;
const shelf = { key, period: 600, version: 3, fromMs: nowMs, toMs: nowMs + 5 };
const segment = {
  number: 1,
  fromMs: nowMs,
  toMs: nowMs + 9,
  samples: 4,
  bytes: 99,
  sequences: { low: 1, high: 4 },
};

const vaultKey = xaesKey(new Uint8Array(32).fill(4), (count) => systemClock.random(count));
const aad = Buffer.from("segment 1");
const opened: readonly Buffer[] = [
  pack(points),
  pack(waves),
  arrival,
  packDirectory([shelf, { ...shelf, key: { ...key, kind: "waveform", rate } }]),
  packListing({ next: 2, segments: [segment] }),
].map((bytes) => Buffer.from(bytes));
const sealed = opened.map((bytes) => Buffer.from(vaultKey.seal(aad, bytes)));
const trueSeals = new Set(sealed.map((bytes) => bytes.toString("hex")));

export const seeds: readonly Uint8Array[] = [...opened, ...sealed];

/** Decodes; true when it was taken. */
export function isTaken(decode: () => unknown): boolean {
  try {
    decode();
    return true;
  } catch (error) {
    if (error instanceof Problem && error.code === "sealed-data-damaged") return false;
    throw error;
  }
}

export function run(bytes: Uint8Array): void {
  const found = vaultKey.open(aad, bytes);
  if (found) assert.ok(trueSeals.has(Buffer.from(bytes).toString("hex")), "altered bytes opened");
  isTaken(() => {
    const content = unpack(bytes);
    if (content.kind === "points") assert.equal(content.mantissas.length, content.count);
  });
  isTaken(() => unpackArrival(bytes, new SeriesCollector()));
  isTaken(() => unpackDirectory(bytes));
  isTaken(() => unpackListing(bytes));
}
