/** Batches and contents for our vectors: each form once, and each refusal once. */
import { type Batch, encodeBatch } from "../../src/envelope/batch.ts";
import { type Content, encodeContent } from "../../src/envelope/content.ts";
import { hex, sha256 } from "./chance.ts";

export const CLOCK_MS = 1_760_000_000_000;

export const oneSample: Batch = {
  sequence: 1,
  clockMs: CLOCK_MS,
  offsetMs: 0,
  points: [{ mdc: 147842, exponent: 0, timesMs: [CLOCK_MS - 250], mantissas: [72], quality: [0] }],
  waveforms: [],
};

const columns: Batch = {
  sequence: 2,
  clockMs: CLOCK_MS + 10_000,
  offsetMs: -3_600_000,
  points: [
    {
      mdc: 147842,
      exponent: 0,
      timesMs: [1, 2, 3, 4, 5].map((s) => CLOCK_MS + s * 1_000),
      mantissas: [72, 73, 73, 75, 74],
      quality: [0, 0, 0, 0, 0],
    },
    {
      mdc: 150344,
      exponent: -1,
      timesMs: [CLOCK_MS + 1_000, CLOCK_MS + 2_500, CLOCK_MS + 9_000],
      mantissas: [368, 369, -3],
      quality: [0, 1, 6],
    },
    { mdc: 150456, exponent: 0, timesMs: [CLOCK_MS], mantissas: [97], quality: [2] },
  ],
  waveforms: [],
};

const waveforms: Batch = {
  sequence: 3,
  clockMs: CLOCK_MS + 11_000,
  offsetMs: 12,
  points: [],
  waveforms: [
    {
      mdc: 131329,
      startMs: CLOCK_MS + 10_000,
      rate: { numerator: 360, denominator: 1 },
      exponent: -3,
      values: Int32Array.from([0, 5, -5, 127, -128]),
      quality: 0,
    },
    {
      mdc: 131330,
      startMs: CLOCK_MS + 10_000,
      rate: { numerator: 125, denominator: 2 },
      exponent: 0,
      values: Int32Array.from([300, -300, 32_767]),
      quality: 1,
    },
    {
      mdc: 131331,
      startMs: CLOCK_MS + 10_500,
      rate: { numerator: 1, denominator: 1 },
      exponent: 2,
      values: Int32Array.from([70_000, -1]),
      quality: 0,
    },
  ],
};

/** A canonical batch with one thing changed; the decoder must say no. */
const refusals: readonly [why: string, bytes: string][] = [
  ["a byte follows the end", `${hex(encodeBatch(oneSample))}00`],
  ["another version", swap("860101", "860201")],
  ["no sample", swap("81a3001a000241820218482238f980", "8080")],
  ["the number is not in its shortest form", swap("860101", "86011801")],
  ["sequence 0", swap("860101", "860100")],
  ["an array of indefinite length", `9f${hex(encodeBatch(oneSample)).slice(2)}ff`],
  ["exponent 0 is written", swap("22 38f9", "1000 22 38f9", "a3", "a4")],
  ["quality 0 is written", swap("22 38f9", "1100 22 38f9", "a3", "a4")],
  ["a value as a float", swap("021848", "02f95480")],
  ["an unknown label", swap("22 38f9", "1300 22 38f9", "a3", "a4")],
  ["labels out of order", swap("a3001a00024182021848", "a3021848001a00024182")],
  ["one value in an array", swap("021848", "02811848")],
];

function swap(from: string, to: string, from2?: string, to2 = ""): string {
  const bytes = hex(encodeBatch(oneSample));
  const wanted = from.replaceAll(" ", "");
  if (!bytes.includes(wanted)) throw new Error(`vectors: ${wanted} is not in ${bytes}`);
  const changed = bytes.replace(wanted, to.replaceAll(" ", ""));
  if (from2 !== undefined && !changed.includes(from2)) throw new Error(`vectors: no ${from2}`);
  return from2 === undefined ? changed : changed.replace(from2, to2);
}

/** Batches as JSON has them: values as plain arrays. */
const plain = (batch: Batch) => ({
  ...batch,
  waveforms: batch.waveforms.map((run) => ({ ...run, values: [...run.values] })),
});

export function batchVectors() {
  const named = { "one sample": oneSample, columns, waveforms };
  const contents: Record<string, Content> = {
    "first of the first session": {
      sequence: 1,
      batch: oneSample,
      saltKey: new Uint8Array(sha256("salt key")),
    },
    "gaps and what came before": {
      sequence: 41,
      gaps: [
        { from: 3, to: 9, reason: "spool-full" },
        { from: 10, to: 10, reason: "damaged" },
        { from: 12, to: 40, reason: "withdrawn" },
      ],
      previous: {
        sessionId: "00112233445566778899aabbccddeeff",
        lastSequence: 40,
        head: new Uint8Array(sha256("head")),
      },
    },
    "the close": { sequence: 2 ** 32, close: true },
  };
  return {
    about: "docs/envelope.md §3, §4. A refused batch is refused with batch-refused.",
    batches: Object.entries(named).map(([name, batch]) => ({
      name,
      batch: plain(batch),
      bytes: hex(encodeBatch(batch)),
    })),
    refused: refusals.map(([why, bytes]) => ({ why, bytes })),
    contents: Object.entries(contents).map(([name, content]) => ({
      name,
      bytes: hex(encodeContent(content)),
    })),
  };
}
