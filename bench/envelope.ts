/** Sealing and opening whole envelopes, and the batch codec against a general CBOR library. */
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { decode, encode } from "cborg";
import { type Batch, decodeBatch, encodeBatch } from "../src/envelope/batch.ts";
import { acceptOpening, DeviceSession } from "../src/envelope/session.ts";
import { AES_256_GCM, CHACHA20_POLY1305, type Suite } from "../src/envelope/suites.ts";
import { type BenchCase, faster, median } from "./measure.ts";

const HEART_RATE = 147_842;
const NOW_MS = 1_790_000_000_000;
const chance = { random: (bytes: number) => new Uint8Array(randomBytes(bytes)) };
/** What the design asks one core for: the reference of the opening cases. */
const OPENS_WANTED = 20_000;

export async function* cases(): AsyncIterable<BenchCase> {
  const shapes: [string, (sequence: number) => Batch][] = [
    ["1-sample", (n) => pointBatch(n, 1)],
    ["60-sample", (n) => pointBatch(n, 60)],
    ["waveform", waveformBatch],
  ];
  for (const [name, make] of shapes) yield* codec(name, make(1_000));
  for (const suite of [AES_256_GCM, CHACHA20_POLY1305]) {
    for (const [name, make] of shapes) yield opens(`open ${name}, ${suite.name}`, suite, make);
  }
}

function pointBatch(sequence: number, count: number): Batch {
  const timesMs = Array.from({ length: count }, (_, i) => NOW_MS - (count - i) * 1_000);
  const mantissas = timesMs.map((_, i) => 70 + (i % 9));
  const quality = timesMs.map(() => 0);
  const points = [{ mdc: HEART_RATE, exponent: 0, timesMs, mantissas, quality }];
  return { sequence, clockMs: NOW_MS, offsetMs: 0, points, waveforms: [] };
}

function waveformBatch(sequence: number): Batch {
  const values = Int32Array.from({ length: 360 }, (_, i) => Math.round(500 * Math.sin(i / 20)));
  const rate = { numerator: 360, denominator: 1 };
  const run = { mdc: 131_329, startMs: NOW_MS - 1_000, rate, exponent: -3, values, quality: 0 };
  return { sequence, clockMs: NOW_MS, offsetMs: 0, points: [], waveforms: [run] };
}

function* codec(name: string, batch: Batch): Iterable<BenchCase> {
  const bytes = encodeBatch(batch);
  const general = decode(bytes, { useMaps: true, tags: typedArrays });
  const plain = encode(general);
  yield faster(`encode ${name} (${bytes.length} B)`, "batches/s", () => void encodeBatch(batch), {
    name: "batches/s cborg",
    work: () => void encode(general),
  });
  yield faster(`decode ${name} (${bytes.length} B)`, "batches/s", () => void decodeBatch(bytes), {
    name: "batches/s cborg",
    work: () => void decode(plain, { useMaps: true }),
  });
}

const typedArrays = Object.fromEntries(
  [72, 77, 78].map((tag) => [tag, (content: () => unknown) => content()]),
);

/** Opens per second of one core, everything a door pays: parse, find the epoch, decrypt, decode. */
function opens(name: string, suite: Suite, make: (sequence: number) => Batch): BenchCase {
  const device = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const platform = generateKeyPairSync("ed25519");
  const identity = {
    certificateHash: new Uint8Array(32),
    privateKey: device.privateKey,
    platformKey: platform.publicKey,
  };
  const begun = DeviceSession.begin(identity, {
    suite,
    kem: "classical",
    firstSequence: 1,
    nowMs: NOW_MS,
    chance,
  });
  const publicKey = device.publicKey.export({ format: "der", type: "spki" });
  const { session, reply } = acceptOpening(begun.opening, {
    certificateOf: () => ({ deviceId: "bench", publicKey }),
    prekeySecret: () => undefined,
    platformIdentity: { privateKey: platform.privateKey },
    nowMs: NOW_MS,
    storeEpoch: 1,
    chance,
  });
  const sealing = begun.finish(reply);
  const envelopes = Array.from({ length: 10_000 }, (_, i) =>
    sealing.seal({ sequence: i + 1, batch: make(i + 1) }),
  );
  const rates = Array.from({ length: 5 }, () => {
    const start = performance.now();
    for (const envelope of envelopes) session.open(envelope);
    return (envelopes.length * 1_000) / (performance.now() - start);
  });
  const value = median(rates);
  return {
    case: name,
    value,
    unit: "opens/s",
    reference: "opens/s wanted (fixed)",
    referenceValue: OPENS_WANTED,
    ratio: value / OPENS_WANTED,
  };
}
