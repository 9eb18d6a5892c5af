/** Waveform runs of one series: how they are combined, cut and packed. A run is never cut in two. */
import { limits } from "../limits.ts";
import type { ByteReader, ByteWriter } from "./bytes.ts";
import { OriginList, type Origins, readOrigins, writeOrigins } from "./origins.ts";

export interface Rate {
  readonly numerator: number;
  readonly denominator: number;
}

export interface Run {
  /** UTC of the first value; value n is at start + n / rate. */
  readonly startMs: number;
  readonly values: Int32Array;
  readonly quality: number;
  readonly marks: number;
  /** Index into the origins beside it. */
  readonly origin: number;
}

export interface Runs {
  readonly kind: "waveform";
  /** Values, all runs together. */
  readonly count: number;
  readonly rate: Rate;
  /** Ascending by start. */
  readonly runs: readonly Run[];
  readonly origins: Origins;
}

export const runsFrom = (content: Runs): number => content.runs[0]!.startMs;
/** UTC of the newest value, rounded up. */
export function runsTo(content: Runs): number {
  let newest = Number.NEGATIVE_INFINITY;
  for (const run of content.runs) newest = Math.max(newest, runEndMs(run, content.rate));
  return newest;
}
export function runEndMs(run: Run, rate: Rate): number {
  return Math.ceil(
    run.startMs + ((run.values.length - 1) * 1_000 * rate.denominator) / rate.numerator,
  );
}

export function combineRuns(parts: readonly Runs[]): Runs {
  if (parts.length === 1) return parts[0]!;
  const all = parts.flatMap((part) => part.runs.map((run) => ({ run, part })));
  all.sort((a, b) => a.run.startMs - b.run.startMs); // stable: equal starts keep their order
  return rebuilt(all, parts[0]!.rate);
}

/** The runs from index `from` up to `to`. */
export function sliceRuns(content: Runs, from: number, to: number): Runs {
  const chosen = content.runs.slice(from, to).map((run) => ({ run, part: content }));
  return rebuilt(chosen, content.rate);
}

function rebuilt(chosen: readonly { run: Run; part: Runs }[], rate: Rate): Runs {
  const origins = new OriginList();
  const known = new Map<Runs, Map<number, number>>();
  let count = 0;
  const runs = chosen.map(({ run, part }) => {
    let mapped = known.get(part);
    if (!mapped) {
      mapped = new Map();
      known.set(part, mapped);
    }
    let origin = mapped.get(run.origin);
    if (origin === undefined) {
      origin = origins.copy(part.origins, run.origin);
      mapped.set(run.origin, origin);
    }
    count += run.values.length;
    return { ...run, origin };
  });
  return { kind: "waveform", count, rate, runs, origins: origins.build() };
}

export function writeRunContent(writer: ByteWriter, content: Runs): void {
  writer.uint(content.rate.numerator);
  writer.uint(content.rate.denominator);
  writer.uint(content.runs.length);
  let beforeMs = 0;
  for (const run of content.runs) {
    writer.int(run.startMs - beforeMs);
    beforeMs = runEndMs(run, content.rate);
    writer.uint(run.values.length);
    writer.uint(run.quality);
    writer.uint(run.marks);
    writer.uint(run.origin);
  }
  writeOrigins(writer, content.origins, firstStarts(content.runs, content.origins.count));
  let before = 0;
  for (const run of content.runs) {
    for (const value of run.values) {
      writer.int(value - before);
      before = value;
    }
  }
}

export function readRunContent(reader: ByteReader): Runs {
  const rate = { numerator: reader.uint(), denominator: reader.uint() };
  const heads: Omit<Run, "values">[] = [];
  const lengths: number[] = [];
  let beforeMs = 0;
  let count = 0;
  for (let left = reader.count(limits.segmentSamplesMax); left > 0; left--) {
    const startMs = beforeMs + reader.int();
    const length = reader.count(limits.segmentSamplesMax - count);
    beforeMs = Math.ceil(startMs + ((length - 1) * 1_000 * rate.denominator) / rate.numerator);
    count += length;
    lengths.push(length);
    heads.push({
      startMs,
      quality: reader.uint(),
      marks: reader.uint(),
      origin: reader.uint(),
    });
  }
  const origins = readOrigins(reader, (known) => firstStarts(heads, known));
  let before = 0;
  const runs = heads.map((head, i) => {
    const values = new Int32Array(lengths[i]!);
    for (let n = 0; n < values.length; n++) {
      before += reader.int();
      values[n] = before;
    }
    return { ...head, values };
  });
  return { kind: "waveform", count, rate, runs, origins };
}

function firstStarts(
  runs: readonly { startMs: number; origin: number }[],
  origins: number,
): Float64Array {
  const first = new Float64Array(origins);
  for (let i = runs.length - 1; i >= 0; i--) first[runs[i]!.origin] = runs[i]!.startMs;
  return first;
}
