/** What a segment holds, whichever its kind: combine, cut, pack. */
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import { ByteReader, ByteWriter } from "./bytes.ts";
import {
  combinePoints,
  type Points,
  pointsFrom,
  pointsTo,
  readPoints,
  slicePoints,
  writePoints,
} from "./points.ts";
import {
  combineRuns,
  type Runs,
  readRunContent,
  runsFrom,
  runsTo,
  sliceRuns,
  writeRunContent,
} from "./runs.ts";

export type Content = Points | Runs;

export function fromOf(content: Content): number {
  return content.kind === "points" ? pointsFrom(content) : runsFrom(content);
}
export function toOf(content: Content): number {
  return content.kind === "points" ? pointsTo(content) : runsTo(content);
}

/** Joins contents of one series, ascending in time. */
export function combine(parts: readonly Content[]): Content {
  const [first] = parts;
  if (!first) throw new RangeError("nothing to combine");
  if (first.kind === "points") return combinePoints(parts as Points[]);
  return combineRuns(parts as Runs[]);
}

/** Parts that may be cut apart: samples, or whole runs. */
export function unitsOf(content: Content): number {
  return content.kind === "points" ? content.count : content.runs.length;
}
export function unitTimeMs(content: Content, i: number): number {
  return content.kind === "points" ? content.timesMs[i]! : content.runs[i]!.startMs;
}
export function slice(content: Content, from: number, to: number): Content {
  if (content.kind === "points") return slicePoints(content, from, to);
  return from === 0 && to === content.runs.length ? content : sliceRuns(content, from, to);
}

/** Lowest and highest sequence number in it. */
export function sequencesOf(content: Content): { low: number; high: number } {
  let low = Number.POSITIVE_INFINITY;
  let high = 0;
  for (const sequence of content.origins.sequences) {
    if (sequence < low) low = sequence;
    if (sequence > high) high = sequence;
  }
  return { low, high };
}

const FORMAT = { points: 1, waveform: 2 } as const;
const PLAIN = 0;
const ZSTD = 1;
/** Past any segment's packed size: 65,536 samples of at most 60 bytes. */
const UNPACKED_MAX = 16 * 2 ** 20;
const writer = new ByteWriter(65_536);
const COMPRESSION = {
  points: { params: { [constants.ZSTD_c_compressionLevel]: 6 } },
  waveform: { params: { [constants.ZSTD_c_compressionLevel]: 3 } },
} as const;

/** @returns format(1) | compression(1) | packed columns, compressed where that is smaller. */
export function pack(content: Content): Buffer {
  writer.reset();
  if (content.kind === "points") writePoints(writer, content);
  else writeRunContent(writer, content);
  const plain = writer.view();
  const small = zstdCompressSync(plain, COMPRESSION[content.kind]);
  const isSmaller = small.length < plain.length;
  const head = Uint8Array.of(FORMAT[content.kind], isSmaller ? ZSTD : PLAIN);
  return Buffer.concat([head, isSmaller ? small : plain]);
}

/** @throws Problem "sealed-data-damaged" for a format that this version does not know. */
export function unpack(bytes: Uint8Array): Content {
  const [format, compression] = bytes;
  const body = bytes.subarray(2);
  const reader = new ByteReader(compression === ZSTD ? inflated(body) : body);
  if (format === FORMAT.points) return readPoints(reader);
  if (format === FORMAT.waveform) return readRunContent(reader);
  throw new Problem("sealed-data-damaged");
}

function inflated(body: Uint8Array): Buffer {
  try {
    return zstdDecompressSync(body, { maxOutputLength: UNPACKED_MAX });
  } catch (cause) {
    throw new Problem("sealed-data-damaged", { cause });
  }
}

/** Packs a content as segments that are at most full, oldest first. */
export function packAll(content: Content): { content: Content; packed: Buffer }[] {
  const packed = content.count <= limits.segmentSamplesMax ? pack(content) : undefined;
  const units = unitsOf(content);
  if (packed && (packed.length <= limits.segmentBytesFull || units === 1)) {
    return [{ content, packed }];
  }
  const parts = packed
    ? Math.ceil((packed.length * 1.1) / limits.segmentBytesFull)
    : Math.ceil(content.count / limits.segmentSamplesMax);
  const each = Math.ceil(units / Math.max(2, Math.min(parts, units)));
  const out: { content: Content; packed: Buffer }[] = [];
  for (let from = 0; from < units; from += each) {
    out.push(...packAll(slice(content, from, Math.min(units, from + each))));
  }
  return out;
}
