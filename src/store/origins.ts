/**
 * Which envelope each stored sample came in: with this column a batch can be rebuilt bit for bit,
 * however often its samples were merged with others.
 */
import { limits } from "../limits.ts";
import { type ByteReader, type ByteWriter, readRuns, writeRuns } from "./bytes.ts";

/** Columns with one entry per envelope, in the order in which samples first name them. */
export interface Origins {
  readonly count: number;
  /** Hex ids of the sessions that occur. */
  readonly sessions: readonly string[];
  readonly sessionOf: Uint16Array;
  readonly sequences: Float64Array;
  /** Device clock when sealed, and its distance from UTC, as received. */
  readonly clockMs: Float64Array;
  readonly offsetMs: Float64Array;
  readonly receivedMs: Float64Array;
  /** Point samples and waveform runs of the whole batch: tells when all of it is found. */
  readonly units: Uint16Array;
}

/** Fills origins one by one. */
export class OriginList {
  readonly sessions: string[] = [];
  readonly #sessionIndex = new Map<string, number>();
  readonly sessionOf: number[] = [];
  readonly sequences: number[] = [];
  readonly clockMs: number[] = [];
  readonly offsetMs: number[] = [];
  readonly receivedMs: number[] = [];
  readonly units: number[] = [];

  add(
    sessionId: string,
    sequence: number,
    clockMs: number,
    offsetMs: number,
    receivedMs: number,
    units: number,
  ): number {
    let index = this.#sessionIndex.get(sessionId);
    if (index === undefined) {
      index = this.sessions.push(sessionId) - 1;
      this.#sessionIndex.set(sessionId, index);
    }
    this.sessionOf.push(index);
    this.sequences.push(sequence);
    this.clockMs.push(clockMs);
    this.offsetMs.push(offsetMs);
    this.receivedMs.push(receivedMs);
    return this.units.push(units) - 1;
  }
  copy(from: Origins, i: number): number {
    return this.add(
      from.sessions[from.sessionOf[i]!]!,
      from.sequences[i]!,
      from.clockMs[i]!,
      from.offsetMs[i]!,
      from.receivedMs[i]!,
      from.units[i]!,
    );
  }
  build(): Origins {
    return {
      count: this.sequences.length,
      sessions: this.sessions,
      sessionOf: Uint16Array.from(this.sessionOf),
      sequences: Float64Array.from(this.sequences),
      clockMs: Float64Array.from(this.clockMs),
      offsetMs: Float64Array.from(this.offsetMs),
      receivedMs: Float64Array.from(this.receivedMs),
      units: Uint16Array.from(this.units),
    };
  }
}

/** @param firstMs UTC of the first sample of each envelope here: the sealing time lies near it. */
export function writeOrigins(writer: ByteWriter, o: Origins, firstMs: Float64Array): void {
  writer.uint(o.count);
  writer.uint(o.sessions.length);
  for (const session of o.sessions) writer.hex(session);
  writeRuns(writer, o.sessionOf);
  writeRuns(writer, o.units);
  let before = 0;
  for (let i = 0; i < o.count; i++) {
    writer.int(o.sequences[i]! - before - 1);
    before = o.sequences[i]!;
  }
  before = 0;
  for (let i = 0; i < o.count; i++) {
    writer.int(o.offsetMs[i]! - before);
    before = o.offsetMs[i]!;
  }
  for (let i = 0; i < o.count; i++) writer.int(o.clockMs[i]! + o.offsetMs[i]! - firstMs[i]!);
  for (let i = 0; i < o.count; i++) {
    writer.int(o.receivedMs[i]! - o.clockMs[i]! - o.offsetMs[i]!);
  }
}

/** @param firstMsOf the same numbers as in writing; called once `count` is known. */
export function readOrigins(
  reader: ByteReader,
  firstMsOf: (count: number) => Float64Array,
): Origins {
  const count = reader.count(limits.segmentSamplesMax);
  const sessions: string[] = [];
  for (let left = reader.count(count); left > 0; left--) sessions.push(reader.hex());
  const sessionOf = new Uint16Array(count);
  readRuns(reader, sessionOf);
  const units = new Uint16Array(count);
  readRuns(reader, units);
  const sequences = new Float64Array(count);
  const offsetMs = new Float64Array(count);
  const clockMs = new Float64Array(count);
  const receivedMs = new Float64Array(count);
  let before = 0;
  for (let i = 0; i < count; i++) {
    before += reader.int() + 1;
    sequences[i] = before;
  }
  before = 0;
  for (let i = 0; i < count; i++) {
    before += reader.int();
    offsetMs[i] = before;
  }
  const firstMs = firstMsOf(count);
  for (let i = 0; i < count; i++) clockMs[i] = reader.int() + firstMs[i]! - offsetMs[i]!;
  for (let i = 0; i < count; i++) receivedMs[i] = reader.int() + clockMs[i]! + offsetMs[i]!;
  return { count, sessions, sessionOf, sequences, clockMs, offsetMs, receivedMs, units };
}
