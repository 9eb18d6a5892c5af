/**
 * The batch: what a device measured, in one canonical CBOR form (docs/envelope.md §3).
 *
 * It is a pure function of its columns, so that the leaf under a signed block can be rebuilt bit
 * for bit from stored columns; therefore the decoder refuses whatever the encoder would not write.
 * Labels are those of SenML (RFC 8428 §6): 0 name (here the MDC code), 2 value, 6 time, -3 base
 * time; 16 exponent, 17 quality and 18 rate are ours. Waveforms are typed arrays (RFC 8746).
 * Past 400 lines, because encoder and decoder mirror each other rule by rule.
 */
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import { ALL_QUALITY } from "../vitals/quality.ts";
import { CborReader, CborWriter, MAJOR } from "./cbor.ts";

/** Samples of one metric at one resolution. Value = mantissa × 10^exponent. */
export interface PointColumn {
  /** IEEE 11073-10101 code, 32 bits: partition × 65536 + term. */
  mdc: number;
  /** -12 to 12. */
  exponent: number;
  /** Device clock, milliseconds, each later than the one before. */
  timesMs: number[];
  /** Signed 32-bit integers, one for each time. */
  mantissas: number[];
  /** Quality bits set by the device (vitals/quality.ts), one number for each time. */
  quality: number[];
}

/** An unbroken run of a waveform. Value n is at start + n / rate. */
export interface WaveformRun {
  mdc: number;
  /** Device clock of the first value, milliseconds. */
  startMs: number;
  /** Values per second as a fraction, each part 1 to 2^32 - 1. */
  rate: { numerator: number; denominator: number };
  exponent: number;
  values: Int32Array;
  /** Quality bits that hold for the whole run. */
  quality: number;
}

/** What one envelope carries of measurements: at least one column or run. */
export interface Batch {
  /** This device's counter: +1 for each envelope, never reused. */
  sequence: number;
  /** Device clock when sealed, milliseconds. */
  clockMs: number;
  /** UTC = device clock + offset, milliseconds, as far as the device knew. */
  offsetMs: number;
  /** Ascending by mdc, then exponent; no pair twice. */
  points: PointColumn[];
  /** Ascending by mdc, then start; no pair twice. */
  waveforms: WaveformRun[];
}

/** The format's number, first in every batch. */
export const BATCH_VERSION = 1;

const TIME_MAX = 2 ** 52;
const SEQUENCE_MAX = 2 ** 52;
const MDC_MAX = 0xffff_ffff;
const EXPONENT_MAX = 12;
const INT32_MIN = -0x8000_0000;
const INT32_MAX = 0x7fff_ffff;
const RATE_MAX = 0xffff_ffff;
const COLUMNS_MAX = 256;

const LABEL = { name: 0, value: 2, time: 6, exponent: 16, quality: 17, rate: 18, baseTime: -3 };
/** RFC 8746 §2: little-endian signed integers of 1, 2 and 4 bytes. */
const TAG_SINT8 = 72;
const TAG_SINT16 = 77;
const TAG_SINT32 = 78;

const writer = new CborWriter(4_096);

/** Encodes a batch in its one canonical form.
 * @returns at most `limits.batchBytesMax` bytes.
 * @throws Problem "batch-refused" for numbers out of bounds, wrong order, doubled metrics, or past
 * the limits. */
export function encodeBatch(batch: Batch): Uint8Array {
  writer.at = 0;
  whole(batch.sequence, 1, SEQUENCE_MAX);
  whole(batch.clockMs, 0, TIME_MAX);
  whole(batch.offsetMs, -TIME_MAX, TIME_MAX);
  const columns = batch.points.length + batch.waveforms.length;
  if (columns === 0) malformed("a batch without samples");
  if (columns > COLUMNS_MAX) malformed("too many columns");
  writer.array(6);
  writer.int(BATCH_VERSION);
  writer.int(batch.sequence);
  writer.int(batch.clockMs);
  writer.int(batch.offsetMs);
  let samples = 0;
  writer.array(batch.points.length);
  for (let i = 0; i < batch.points.length; i++) {
    const column = batch.points[i]!;
    if (i > 0) pointOrder(batch.points[i - 1]!, column);
    samples += column.timesMs.length;
    if (samples > limits.batchSamplesMax) malformed("too many samples");
    encodeColumn(column, batch.clockMs);
  }
  let values = 0;
  writer.array(batch.waveforms.length);
  for (let i = 0; i < batch.waveforms.length; i++) {
    const run = batch.waveforms[i]!;
    if (i > 0) runOrder(batch.waveforms[i - 1]!, run);
    values += run.values.length;
    if (values > limits.batchWaveformValuesMax) malformed("too many waveform values");
    encodeRun(run, batch.clockMs);
  }
  if (writer.at > limits.batchBytesMax) malformed("too many bytes");
  return writer.take();
}

function encodeColumn(column: PointColumn, clockMs: number): void {
  const { timesMs, mantissas, quality } = column;
  const count = timesMs.length;
  if (count === 0 || mantissas.length !== count || quality.length !== count) {
    malformed("columns of unequal length or empty");
  }
  whole(column.mdc, 1, MDC_MAX);
  whole(column.exponent, -EXPONENT_MAX, EXPONENT_MAX);
  whole(timesMs[0]!, 0, TIME_MAX);
  const interval = count === 1 ? 0 : evenInterval(timesMs);
  const level = sameQuality(quality);
  writer.map(3 + (count > 1 ? 1 : 0) + (column.exponent !== 0 ? 1 : 0) + (level === 0 ? 0 : 1));
  writer.int(LABEL.name);
  writer.int(column.mdc);
  writer.int(LABEL.value);
  if (count > 1) writer.array(count);
  for (let i = 0; i < count; i++) writer.int(whole(mantissas[i]!, INT32_MIN, INT32_MAX));
  if (count > 1) {
    writer.int(LABEL.time);
    if (interval > 0) writer.int(interval);
    else {
      writer.array(count - 1);
      for (let i = 1; i < count; i++) writer.int(timesMs[i]! - timesMs[i - 1]!);
    }
  }
  writeExponentAndQuality(column.exponent, level, quality);
  writer.int(LABEL.baseTime);
  writer.int(timesMs[0]! - clockMs);
}

function writeExponentAndQuality(exponent: number, level: number, quality: number[]): void {
  if (exponent !== 0) {
    writer.int(LABEL.exponent);
    writer.int(exponent);
  }
  if (level === 0) return;
  writer.int(LABEL.quality);
  if (level > 0) {
    writer.int(level);
    return;
  }
  writer.array(quality.length);
  for (const bits of quality) writer.int(bits);
}

/** The one interval between all times, or 0 if they differ. */
function evenInterval(timesMs: number[]): number {
  const first = timesMs[1]! - timesMs[0]!;
  let even = true;
  for (let i = 1; i < timesMs.length; i++) {
    const step = timesMs[i]! - timesMs[i - 1]!;
    whole(timesMs[i]!, 0, TIME_MAX);
    if (step <= 0) malformed("times are not ascending");
    if (step !== first) even = false;
  }
  return even ? first : 0;
}

/** The one quality that all samples have, or -1 if they differ. */
function sameQuality(quality: number[]): number {
  const first = quality[0]!;
  let same = true;
  for (const bits of quality) {
    whole(bits, 0, ALL_QUALITY);
    if (bits !== first) same = false;
  }
  return same ? first : -1;
}

function encodeRun(run: WaveformRun, clockMs: number): void {
  whole(run.mdc, 1, MDC_MAX);
  whole(run.startMs, 0, TIME_MAX);
  whole(run.exponent, -EXPONENT_MAX, EXPONENT_MAX);
  whole(run.quality, 0, ALL_QUALITY);
  whole(run.rate.numerator, 1, RATE_MAX);
  whole(run.rate.denominator, 1, RATE_MAX);
  if (run.values.length === 0) malformed("a waveform without values");
  writer.map(4 + (run.exponent !== 0 ? 1 : 0) + (run.quality !== 0 ? 1 : 0));
  writer.int(LABEL.name);
  writer.int(run.mdc);
  writer.int(LABEL.value);
  encodeValues(run.values);
  writeExponentAndQuality(run.exponent, run.quality, []);
  writer.int(LABEL.rate);
  writer.array(2);
  writer.int(run.rate.numerator);
  writer.int(run.rate.denominator);
  writer.int(LABEL.baseTime);
  writer.int(run.startMs - clockMs);
}

/** Bytes that each value needs: the smallest of 1, 2 and 4 that holds them all. */
function widthOf(values: Int32Array): number {
  let low = 0;
  let high = 0;
  for (const value of values) {
    if (value < low) low = value;
    else if (value > high) high = value;
  }
  if (low >= -0x80 && high <= 0x7f) return 1;
  return low >= -0x8000 && high <= 0x7fff ? 2 : 4;
}

function encodeValues(values: Int32Array): void {
  const width = widthOf(values);
  writer.tag(width === 1 ? TAG_SINT8 : width === 2 ? TAG_SINT16 : TAG_SINT32);
  writer.head(MAJOR.bytes, values.length * width);
  writer.reserve(values.length * width);
  const { view } = writer;
  let at = writer.at;
  for (const value of values) {
    if (width === 2) view.setInt16(at, value, true);
    else if (width === 1) view.setInt8(at, value);
    else view.setInt32(at, value, true);
    at += width;
  }
  writer.at = at;
}

/** Decodes a batch and refuses every form that `encodeBatch` would not have written.
 * @throws Problem "batch-refused". */
export function decodeBatch(bytes: Uint8Array): Batch {
  if (bytes.length > limits.batchBytesMax) malformed("too many bytes");
  const reader = new CborReader(bytes, "batch-refused");
  reader.array(6, 6);
  reader.expect(BATCH_VERSION);
  const sequence = reader.int(1, SEQUENCE_MAX);
  const clockMs = reader.int(0, TIME_MAX);
  const offsetMs = reader.int(-TIME_MAX, TIME_MAX);
  const points: PointColumn[] = [];
  const budget = { samples: limits.batchSamplesMax, values: limits.batchWaveformValuesMax };
  for (let left = reader.array(0, COLUMNS_MAX); left > 0; left--) {
    const column = decodeColumn(reader, clockMs, budget);
    const before = points[points.length - 1];
    if (before !== undefined) pointOrder(before, column);
    points.push(column);
  }
  const waveforms: WaveformRun[] = [];
  for (let left = reader.array(0, COLUMNS_MAX); left > 0; left--) {
    const run = decodeRun(reader, clockMs, budget);
    const before = waveforms[waveforms.length - 1];
    if (before !== undefined) runOrder(before, run);
    waveforms.push(run);
  }
  reader.end();
  const columns = points.length + waveforms.length;
  if (columns === 0) malformed("a batch without samples");
  if (columns > COLUMNS_MAX) malformed("too many columns");
  return { sequence, clockMs, offsetMs, points, waveforms };
}

interface Budget {
  samples: number;
  values: number;
}

function decodeColumn(reader: CborReader, clockMs: number, budget: Budget): PointColumn {
  let pairs = reader.map(3, 6);
  reader.expect(LABEL.name);
  const mdc = reader.int(1, MDC_MAX);
  reader.expect(LABEL.value);
  const mantissas: number[] = [];
  let count = 1;
  if (reader.peek() === MAJOR.array) count = reader.array(2, limits.batchSamplesMax);
  budget.samples -= count;
  if (budget.samples < 0) malformed("too many samples");
  for (let i = 0; i < count; i++) mantissas.push(reader.int(INT32_MIN, INT32_MAX));
  pairs -= 3;
  let steps: number[] | number = 0;
  if (count > 1) {
    reader.expect(LABEL.time);
    steps = decodeSteps(reader, count);
    pairs -= 1;
  }
  let label = reader.int(LABEL.baseTime, LABEL.rate);
  let exponent = 0;
  if (label === LABEL.exponent) {
    exponent = nonZero(reader, reader.int(-EXPONENT_MAX, EXPONENT_MAX));
    label = reader.int(LABEL.baseTime, LABEL.rate);
    pairs -= 1;
  }
  const quality: number[] = [];
  if (label === LABEL.quality) {
    decodeQuality(reader, count, quality);
    label = reader.int(LABEL.baseTime, LABEL.rate);
    pairs -= 1;
  } else {
    for (let i = 0; i < count; i++) quality.push(0);
  }
  if (label !== LABEL.baseTime || pairs !== 0) reader.refuse("labels missing or out of order");
  const firstMs = clockMs + reader.int(-TIME_MAX, TIME_MAX);
  const timesMs = timesFrom(firstMs, steps, count);
  return { mdc, exponent, timesMs, mantissas, quality };
}

function decodeSteps(reader: CborReader, count: number): number[] | number {
  if (reader.peek() !== MAJOR.array) return reader.int(1, TIME_MAX);
  reader.array(count - 1, count - 1);
  const steps: number[] = [];
  let even = true;
  for (let i = 1; i < count; i++) {
    const step = reader.int(1, TIME_MAX);
    if (i > 1 && step !== steps[0]) even = false;
    steps.push(step);
  }
  if (even) reader.refuse("even intervals are written as one number");
  return steps;
}

function timesFrom(firstMs: number, steps: number[] | number, count: number): number[] {
  const timesMs = [whole(firstMs, 0, TIME_MAX)];
  let timeMs = firstMs;
  for (let i = 1; i < count; i++) {
    timeMs += typeof steps === "number" ? steps : steps[i - 1]!;
    timesMs.push(timeMs);
  }
  whole(timeMs, 0, TIME_MAX);
  return timesMs;
}

function decodeQuality(reader: CborReader, count: number, quality: number[]): void {
  if (reader.peek() !== MAJOR.array) {
    const bits = nonZero(reader, reader.int(0, ALL_QUALITY));
    for (let i = 0; i < count; i++) quality.push(bits);
    return;
  }
  reader.array(count, count);
  let same = true;
  for (let i = 0; i < count; i++) {
    quality.push(reader.int(0, ALL_QUALITY));
    if (quality[i] !== quality[0]) same = false;
  }
  if (same) reader.refuse("one quality for all is written as one number");
}

function decodeRun(reader: CborReader, clockMs: number, budget: Budget): WaveformRun {
  let pairs = reader.map(4, 6);
  reader.expect(LABEL.name);
  const mdc = reader.int(1, MDC_MAX);
  reader.expect(LABEL.value);
  const values = decodeValues(reader, budget);
  let label = reader.int(LABEL.baseTime, LABEL.rate);
  let exponent = 0;
  let quality = 0;
  if (label === LABEL.exponent) {
    exponent = nonZero(reader, reader.int(-EXPONENT_MAX, EXPONENT_MAX));
    label = reader.int(LABEL.baseTime, LABEL.rate);
    pairs -= 1;
  }
  if (label === LABEL.quality) {
    quality = nonZero(reader, reader.int(0, ALL_QUALITY));
    label = reader.int(LABEL.baseTime, LABEL.rate);
    pairs -= 1;
  }
  if (label !== LABEL.rate || pairs !== 4) reader.refuse("labels missing or out of order");
  reader.array(2, 2);
  const rate = { numerator: reader.int(1, RATE_MAX), denominator: reader.int(1, RATE_MAX) };
  reader.expect(LABEL.baseTime);
  const startMs = whole(clockMs + reader.int(-TIME_MAX, TIME_MAX), 0, TIME_MAX);
  return { mdc, startMs, rate, exponent, values, quality };
}

function decodeValues(reader: CborReader, budget: Budget): Int32Array {
  const tag = reader.head(MAJOR.tag);
  const width = tag === TAG_SINT8 ? 1 : tag === TAG_SINT16 ? 2 : tag === TAG_SINT32 ? 4 : 0;
  if (width === 0) reader.refuse("a typed array of another kind");
  const packed = reader.byteString(width, limits.batchBytesMax);
  const count = packed.length / width;
  if (!Number.isInteger(count)) reader.refuse("a typed array with a broken last value");
  budget.values -= count;
  if (budget.values < 0) malformed("too many waveform values");
  const view = new DataView(packed.buffer, packed.byteOffset, packed.length);
  const values = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    if (width === 2) values[i] = view.getInt16(i * 2, true);
    else if (width === 1) values[i] = view.getInt8(i);
    else values[i] = view.getInt32(i * 4, true);
  }
  if (widthOf(values) !== width) reader.refuse("a typed array wider than its values need");
  return values;
}

function nonZero(reader: CborReader, value: number): number {
  if (value === 0) reader.refuse("a zero that is left out in the canonical form");
  return value;
}

function pointOrder(before: PointColumn, column: PointColumn): void {
  const order = column.mdc - before.mdc || column.exponent - before.exponent;
  if (order <= 0) malformed("columns out of order or a metric twice");
}

function runOrder(before: WaveformRun, run: WaveformRun): void {
  const order = run.mdc - before.mdc || run.startMs - before.startMs;
  if (order <= 0) malformed("waveforms out of order or a run twice");
}

function whole(value: number, low: number, high: number): number {
  if (!Number.isInteger(value) || value < low || value > high || Object.is(value, -0)) {
    malformed("a number is out of bounds");
  }
  return value;
}

function malformed(detail: string): never {
  throw new Problem("batch-refused", { detail });
}
