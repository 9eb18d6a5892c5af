/**
 * The form in which samples are first stored: one row holds what one group commit brought for one
 * patient, category and month, envelope by envelope. Merging turns it into series (content.ts).
 */
import type { Batch, PointColumn, WaveformRun } from "../envelope/batch.ts";
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import { metricByMdc } from "../vitals/metric.ts";
import { mark } from "../vitals/quality.ts";
import { ByteReader, ByteWriter, dashed, readRuns, writeRuns } from "./bytes.ts";
import type { Content } from "./content.ts";
import { OriginList } from "./origins.ts";
import { combinePoints, emptyPoints, type Points } from "./points.ts";
import type { Run } from "./runs.ts";
import { type SeriesKey, seriesName, type WaveformKey } from "./series.ts";

const FORMAT = 1;
const POINTS = 0;
const WAVEFORM = 1;

/** One envelope's share of one row: some of its columns and runs. */
export interface ArrivalPart {
  readonly envelope: ArrivalSource;
  /** Point samples and waveform runs of the whole batch, over all rows it went to. */
  readonly units: number;
  readonly points: readonly PointSlice[];
  readonly waveforms: readonly WaveformRun[];
}

/** What an arrival keeps of its envelope. */
export interface ArrivalSource {
  readonly patientId: string;
  readonly deviceId: string;
  readonly sessionId: string;
  readonly batch: Batch;
  readonly marks: number;
  readonly receivedMs: number;
}

/** A column, or the part of it that lies in one month. */
export interface PointSlice {
  readonly column: PointColumn;
  readonly from: number;
  readonly to: number;
}

const writer = new ByteWriter(65_536);

/** @returns the packed row, valid until the next call. */
export function packArrival(parts: readonly ArrivalPart[]): Buffer {
  writer.reset();
  writer.uint(FORMAT);
  const sources = new Map<string, number>();
  const named: ArrivalSource[] = [];
  for (const { envelope } of parts) {
    if (sources.has(envelope.sessionId)) continue;
    sources.set(envelope.sessionId, sources.size);
    named.push(envelope);
  }
  writer.uint(named.length);
  for (const { sessionId, deviceId } of named) {
    writer.hex(sessionId);
    writer.hex(deviceId);
  }
  writer.uint(parts.length);
  for (const part of parts) writePart(part, sources.get(part.envelope.sessionId)!);
  return writer.view();
}

function writePart(part: ArrivalPart, source: number): void {
  const { batch, marks, receivedMs } = part.envelope;
  writer.uint(source);
  writer.uint(batch.sequence);
  writer.uint(batch.clockMs);
  writer.int(batch.offsetMs);
  writer.int(receivedMs - batch.clockMs - batch.offsetMs);
  writer.uint(part.units);
  writer.uint(part.points.length + part.waveforms.length);
  for (const slice of part.points) writeSlice(slice, marks, batch.clockMs);
  for (const run of part.waveforms) {
    writer.uint(WAVEFORM);
    writer.uint(run.mdc);
    writer.int(run.exponent);
    writer.uint(run.rate.numerator);
    writer.uint(run.rate.denominator);
    writer.int(run.startMs - batch.clockMs);
    writer.uint(run.quality);
    writer.uint(marks);
    writer.uint(run.values.length);
    let before = 0;
    for (const value of run.values) {
      writer.int(value - before);
      before = value;
    }
  }
}

function writeSlice({ column, from, to }: PointSlice, marks: number, clockMs: number): void {
  writer.uint(POINTS);
  writer.uint(column.mdc);
  writer.int(column.exponent);
  writer.uint(to - from);
  let before = clockMs;
  for (let i = from; i < to; i++) {
    writer.int(column.timesMs[i]! - before);
    before = column.timesMs[i]!;
  }
  before = 0;
  for (let i = from; i < to; i++) {
    writer.int(column.mantissas[i]! - before);
    before = column.mantissas[i]!;
  }
  const isWhole = from === 0 && to === column.timesMs.length;
  writeRuns(writer, isWhole ? column.quality : column.quality.slice(from, to));
  writeMarks(column, from, to, marks);
}

/** Adds "implausible" where the catalogue says so; a measured value is never thrown away. */
function writeMarks(column: PointColumn, from: number, to: number, marks: number): void {
  const { low, high } = plausibleMantissas(column.mdc, column.exponent);
  let run = 0;
  let current = -1;
  for (let i = from; i < to; i++) {
    const value = column.mantissas[i]!;
    const bits = value < low || value > high ? marks | mark.implausible : marks;
    if (bits === current) run += 1;
    else {
      if (run > 0) {
        writer.int(current);
        writer.uint(run);
      }
      current = bits;
      run = 1;
    }
  }
  writer.int(current);
  writer.uint(run);
}

const plausible = new Map<number, { low: number; high: number }>();
const EXPONENTS = 64;

/** The catalogue's plausible range as mantissas of that exponent. */
function plausibleMantissas(mdc: number, exponent: number): { low: number; high: number } {
  const name = mdc * EXPONENTS + exponent;
  const known = plausible.get(name);
  if (known) return known;
  const metric = metricByMdc(mdc);
  const range = metric?.plausible ?? {
    low: Number.NEGATIVE_INFINITY,
    high: Number.POSITIVE_INFINITY,
  };
  const scale = 10 ** exponent;
  const slack = 1e-9; // 10^exponent is not exact; the ends themselves are plausible
  const found = { low: range.low / scale - slack, high: range.high / scale + slack };
  if (metric) plausible.set(name, found);
  return found;
}

/** The contents of one row by series, in the order of arrival.
 * @throws Problem "sealed-data-damaged". */
export function unpackArrival(bytes: Uint8Array, into: SeriesCollector): void {
  const reader = new ByteReader(bytes);
  if (reader.uint() !== FORMAT) throw new Problem("sealed-data-damaged");
  const sources: { sessionId: string; deviceId: string }[] = [];
  for (let left = reader.uint(); left > 0; left--) {
    sources.push({ sessionId: reader.hex(), deviceId: dashed(reader.hex()) });
  }
  for (let left = reader.uint(); left > 0; left--) {
    const source = sources[reader.uint()];
    if (!source) throw new Problem("sealed-data-damaged");
    const sequence = reader.uint();
    const clockMs = reader.uint();
    const offsetMs = reader.int();
    const receivedMs = reader.int() + clockMs + offsetMs;
    const units = reader.uint();
    const origin = { ...source, sequence, clockMs, offsetMs, receivedMs, units };
    for (let columnsLeft = reader.uint(); columnsLeft > 0; columnsLeft--) {
      if (reader.uint() === POINTS) readSlice(reader, origin, into);
      else readRun(reader, origin, into);
    }
  }
}

interface Origin {
  readonly deviceId: string;
  readonly sessionId: string;
  readonly sequence: number;
  readonly clockMs: number;
  readonly offsetMs: number;
  readonly receivedMs: number;
  readonly units: number;
}

function readSlice(reader: ByteReader, origin: Origin, into: SeriesCollector): void {
  const mdc = reader.uint();
  const exponent = reader.int();
  const count = reader.uint();
  const series = into.points({ kind: "points", mdc, exponent, deviceId: origin.deviceId });
  const originIndex = series.origins.add(
    origin.sessionId,
    origin.sequence,
    origin.clockMs,
    origin.offsetMs,
    origin.receivedMs,
    origin.units,
  );
  let timeMs = origin.clockMs + origin.offsetMs;
  for (let i = 0; i < count; i++) {
    timeMs += reader.int();
    series.timesMs.push(timeMs);
    series.originOf.push(originIndex);
  }
  let value = 0;
  for (let i = 0; i < count; i++) {
    value += reader.int();
    series.mantissas.push(value);
  }
  const bits = new Uint16Array(count);
  readRuns(reader, bits);
  for (const quality of bits) series.quality.push(quality);
  readRuns(reader, bits);
  for (const marks of bits) series.marks.push(marks);
}

function readRun(reader: ByteReader, origin: Origin, into: SeriesCollector): void {
  const mdc = reader.uint();
  const exponent = reader.int();
  const rate = { numerator: reader.uint(), denominator: reader.uint() };
  const { deviceId } = origin;
  const series = into.waveform({ kind: "waveform", mdc, exponent, deviceId, rate });
  const originIndex = series.origins.add(
    origin.sessionId,
    origin.sequence,
    origin.clockMs,
    origin.offsetMs,
    origin.receivedMs,
    origin.units,
  );
  const startMs = origin.clockMs + origin.offsetMs + reader.int();
  const quality = reader.uint();
  const marks = reader.uint();
  const values = new Int32Array(reader.count(limits.batchWaveformValuesMax));
  let value = 0;
  for (let i = 0; i < values.length; i++) {
    value += reader.int();
    values[i] = value;
  }
  series.runs.push({ startMs, values, quality, marks, origin: originIndex });
}

interface GrowingPoints {
  readonly timesMs: number[];
  readonly mantissas: number[];
  readonly quality: number[];
  readonly marks: number[];
  readonly originOf: number[];
  readonly origins: OriginList;
}

interface GrowingRuns {
  readonly runs: Run[];
  readonly origins: OriginList;
}

/** Gathers the contents of many rows, series by series. */
export class SeriesCollector {
  readonly #points = new Map<string, { key: SeriesKey; growing: GrowingPoints }>();
  readonly #runs = new Map<string, { key: WaveformKey; growing: GrowingRuns }>();
  readonly #wanted: (key: SeriesKey) => boolean;
  constructor(wanted: (key: SeriesKey) => boolean = () => true) {
    this.#wanted = wanted;
  }

  points(key: SeriesKey): GrowingPoints {
    const name = seriesName(key);
    let found = this.#points.get(name);
    if (!found) {
      const growing = {
        timesMs: [],
        mantissas: [],
        quality: [],
        marks: [],
        originOf: [],
        origins: new OriginList(),
      };
      found = { key, growing };
      this.#points.set(name, found);
    }
    return found.growing;
  }

  waveform(key: WaveformKey): GrowingRuns {
    const name = seriesName(key);
    let found = this.#runs.get(name);
    if (!found) {
      found = { key, growing: { runs: [], origins: new OriginList() } };
      this.#runs.set(name, found);
    }
    return found.growing;
  }

  /** Each wanted series with all its samples, ascending in time. */
  contents(): { key: SeriesKey; content: Content }[] {
    const out: { key: SeriesKey; content: Content }[] = [];
    for (const { key, growing } of this.#points.values()) {
      if (this.#wanted(key)) out.push({ key, content: sortedPoints(growing) });
    }
    for (const { key, growing } of this.#runs.values()) {
      if (!this.#wanted(key)) continue;
      const runs = growing.runs.toSorted((a, b) => a.startMs - b.startMs);
      const count = runs.reduce((sum, run) => sum + run.values.length, 0);
      const origins = growing.origins.build();
      out.push({ key, content: { kind: "waveform", count, rate: key.rate, runs, origins } });
    }
    return out;
  }
}

function sortedPoints(growing: GrowingPoints): Points {
  const points: Points = {
    ...emptyPoints(0, growing.origins.build()),
    count: growing.timesMs.length,
    timesMs: Float64Array.from(growing.timesMs),
    mantissas: Int32Array.from(growing.mantissas),
    quality: Uint16Array.from(growing.quality),
    marks: Uint16Array.from(growing.marks),
    originOf: Uint32Array.from(growing.originOf),
  };
  for (let i = 1; i < points.count; i++) {
    if (points.timesMs[i]! < points.timesMs[i - 1]!) {
      return combinePoints([points, emptyPoints(0, new OriginList().build())]);
    }
  }
  return points;
}
