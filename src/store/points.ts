/**
 * Point samples of one series as columns: how they are combined, cut and packed.
 * Packed: count | times | mantissas | quality | marks | envelope of each | envelopes.
 */
import { limits } from "../limits.ts";
import { type ByteReader, type ByteWriter, readRuns, writeRuns } from "./bytes.ts";
import { OriginList, type Origins, readOrigins, writeOrigins } from "./origins.ts";

export interface Points {
  readonly kind: "points";
  readonly count: number;
  /** UTC, ascending; the device's time is this minus its envelope's offset. */
  readonly timesMs: Float64Array;
  readonly mantissas: Int32Array;
  readonly quality: Uint16Array;
  readonly marks: Uint16Array;
  readonly originOf: Uint32Array;
  readonly origins: Origins;
}

export const pointsFrom = (points: Points): number => points.timesMs[0]!;
export const pointsTo = (points: Points): number => points.timesMs[points.count - 1]!;

export function emptyPoints(count: number, origins: Origins): Points {
  return {
    kind: "points",
    count,
    timesMs: new Float64Array(count),
    mantissas: new Int32Array(count),
    quality: new Uint16Array(count),
    marks: new Uint16Array(count),
    originOf: new Uint32Array(count),
    origins,
  };
}

/** Joins several, ascending by time; equal times keep the order of the parts. */
export function combinePoints(parts: readonly Points[]): Points {
  if (parts.length === 1) return parts[0]!;
  const origins = new OriginList();
  const total = parts.reduce((sum, part) => sum + part.count, 0);
  const timesMs = new Float64Array(total);
  const partOf = new Uint32Array(total);
  const indexOf = new Uint32Array(total);
  let at = 0;
  let ascending = true;
  for (const [p, part] of parts.entries()) {
    for (let i = 0; i < part.count; i++, at++) {
      timesMs[at] = part.timesMs[i]!;
      partOf[at] = p;
      indexOf[at] = i;
      if (at > 0 && timesMs[at]! < timesMs[at - 1]!) ascending = false;
    }
  }
  const order = Uint32Array.from({ length: total }, (_, i) => i);
  if (!ascending) order.sort((a, b) => timesMs[a]! - timesMs[b]! || a - b);
  const known = parts.map((part) => new Int32Array(part.origins.count).fill(-1));
  const out = emptyPoints(total, origins.build());
  for (let i = 0; i < total; i++) {
    const from = order[i]!;
    const p = partOf[from]!;
    const part = parts[p]!;
    const index = indexOf[from]!;
    out.timesMs[i] = timesMs[from]!;
    out.mantissas[i] = part.mantissas[index]!;
    out.quality[i] = part.quality[index]!;
    out.marks[i] = part.marks[index]!;
    const origin = part.originOf[index]!;
    if (known[p]![origin] === -1) known[p]![origin] = origins.copy(part.origins, origin);
    out.originOf[i] = known[p]![origin]!;
  }
  return { ...out, origins: origins.build() };
}

/** The samples from index `from` up to `to`, with the envelopes they need. */
export function slicePoints(points: Points, from: number, to: number): Points {
  if (from === 0 && to === points.count) return points;
  const origins = new OriginList();
  const known = new Int32Array(points.origins.count).fill(-1);
  const originOf = points.originOf.slice(from, to);
  for (let i = 0; i < originOf.length; i++) {
    const origin = originOf[i]!;
    if (known[origin] === -1) known[origin] = origins.copy(points.origins, origin);
    originOf[i] = known[origin]!;
  }
  return {
    kind: "points",
    count: to - from,
    timesMs: points.timesMs.slice(from, to),
    mantissas: points.mantissas.slice(from, to),
    quality: points.quality.slice(from, to),
    marks: points.marks.slice(from, to),
    originOf,
    origins: origins.build(),
  };
}

/** Index of the first sample at or after `timeMs`. */
export function firstAtOrAfter(timesMs: Float64Array, timeMs: number): number {
  let low = 0;
  let high = timesMs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (timesMs[middle]! < timeMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function writePoints(writer: ByteWriter, points: Points): void {
  const { count, timesMs, mantissas } = points;
  writer.uint(count);
  const interval = count > 1 ? timesMs[1]! - timesMs[0]! : 0;
  writer.int(timesMs[0]!);
  writer.int(interval);
  for (let i = 1; i < count; i++) writer.int(timesMs[i]! - timesMs[i - 1]! - interval);
  let before = 0;
  for (let i = 0; i < count; i++) {
    writer.int(mantissas[i]! - before);
    before = mantissas[i]!;
  }
  writeRuns(writer, points.quality);
  writeRuns(writer, points.marks);
  writeSteps(writer, points.originOf);
  writeOrigins(writer, points.origins, firstTimes(points, points.origins.count));
}

export function readPoints(reader: ByteReader): Points {
  const count = reader.count(limits.segmentSamplesMax);
  const timesMs = new Float64Array(count);
  const mantissas = new Int32Array(count);
  let timeMs = reader.int();
  const interval = reader.int();
  if (count > 0) timesMs[0] = timeMs;
  for (let i = 1; i < count; i++) {
    timeMs += reader.int() + interval;
    timesMs[i] = timeMs;
  }
  let before = 0;
  for (let i = 0; i < count; i++) {
    before += reader.int();
    mantissas[i] = before;
  }
  const quality = new Uint16Array(count);
  readRuns(reader, quality);
  const marks = new Uint16Array(count);
  readRuns(reader, marks);
  const originOf = readSteps(reader, count);
  const columns = { timesMs, originOf, count };
  const origins = readOrigins(reader, (known) => firstTimes(columns, known));
  return { kind: "points", count, timesMs, mantissas, quality, marks, originOf, origins };
}

/** UTC of the first sample of each envelope. */
function firstTimes(
  points: { timesMs: Float64Array; originOf: Uint32Array; count: number },
  origins: number,
): Float64Array {
  const first = new Float64Array(origins);
  for (let i = points.count - 1; i >= 0; i--) first[points.originOf[i]!] = points.timesMs[i]!;
  return first;
}

/** Envelope indexes mostly grow by 0 or 1: runs of equal steps. */
function writeSteps(writer: ByteWriter, indexes: Uint32Array): void {
  const steps = new Int32Array(indexes.length);
  for (let i = 1; i < indexes.length; i++) steps[i] = indexes[i]! - indexes[i - 1]!;
  if (indexes.length > 0) steps[0] = indexes[0]!;
  writeRuns(writer, steps);
}

function readSteps(reader: ByteReader, count: number): Uint32Array {
  const steps = new Int32Array(count);
  readRuns(reader, steps);
  const indexes = new Uint32Array(count);
  let index = 0;
  for (let i = 0; i < count; i++) {
    index += steps[i]!;
    indexes[i] = index;
  }
  return indexes;
}
