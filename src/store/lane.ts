/**
 * A lane is what one patient has in one category and month: arrivals, and shelves of segments. Its
 * row is the manifest; changed in the transaction that changes what it lists, and sealed, so that
 * removing, doubling or rolling back a stored part shows on reading.
 */
import { createHash } from "node:crypto";
import { Problem } from "../problems.ts";
import type { Sealer } from "../vault/seal.ts";
import type { Category } from "../vitals/metric.ts";
import { ByteReader, ByteWriter, dashed } from "./bytes.ts";
import type { SeriesKey } from "./series.ts";

export interface LaneName {
  readonly patientId: string;
  readonly category: Category;
  readonly monthIndex: number;
  /** Keyed hash as a UUID: the row's name; says nothing. */
  readonly id: string;
}

/** What the manifest states. */
export interface LaneState {
  firstArrival: number;
  nextArrival: number;
  version: number;
  /** Sealed; as in the row. */
  directory: Uint8Array;
}

export interface LaneRow {
  readonly lane: string;
  readonly month: number;
  readonly first_arrival: number;
  readonly next_arrival: number;
  readonly version: number;
  readonly directory: Buffer;
  readonly seal: Buffer;
}

export function laneName(
  sealer: Sealer,
  patientId: string,
  category: Category,
  monthIndex: number,
): LaneName {
  const id = uuidOf(sealer.label(patientId, `lane\0${category}\0${monthIndex}`));
  return { patientId, category, monthIndex, id };
}

/** The keyed hash under which one series stands on one shelf. */
export function shelfId(sealer: Sealer, lane: LaneName, key: SeriesKey, period: number): string {
  const rate = key.rate ? `${key.rate.numerator}/${key.rate.denominator}` : "";
  const what = [key.kind, key.mdc, key.exponent, key.deviceId, rate, period].join("\0");
  return uuidOf(sealer.label(lane.patientId, `shelf\0${lane.id}\0${what}`));
}

function uuidOf(label: Buffer): string {
  return dashed(label.toString("hex"));
}

/** Associated data of everything sealed here: kind | name | numbers. */
export function associated(kind: string, id: string, ...numbers: readonly number[]): Buffer {
  return Buffer.from(`${kind}/1\0${id}\0${numbers.join("\0")}`, "latin1");
}

const sealWriter = new ByteWriter(256);

/** The keyed hash of a manifest's row. */
export function laneSeal(sealer: Sealer, lane: LaneName, state: LaneState): Buffer {
  sealWriter.reset();
  sealWriter.hex(lane.id);
  sealWriter.uint(state.firstArrival);
  sealWriter.uint(state.nextArrival);
  sealWriter.uint(state.version);
  // The directory is itself sealed for this lane and version; its tag stands for all of it.
  sealWriter.raw(state.directory.subarray(Math.max(0, state.directory.length - 16)));
  return sealer.authenticate(lane.patientId, sealWriter.view());
}

/** @throws Problem "series-damaged" when the row is not as this store wrote it. */
export function checkedState(sealer: Sealer, lane: LaneName, row: LaneRow): LaneState {
  const state = {
    firstArrival: row.first_arrival,
    nextArrival: row.next_arrival,
    version: row.version,
    directory: row.directory,
  };
  if (row.month !== lane.monthIndex || !laneSeal(sealer, lane, state).equals(row.seal)) {
    throw new Problem("series-damaged");
  }
  return state;
}

export function digestOf(seals: readonly Buffer[]): Buffer {
  const hash = createHash("sha256");
  for (const seal of seals) hash.update(seal);
  return hash.digest();
}

/** One series on one shelf, as the directory lists it. */
export interface ShelfEntry {
  readonly key: SeriesKey;
  readonly period: number;
  readonly version: number;
  /** Over all its segments, for choosing; UTC. */
  readonly fromMs: number;
  readonly toMs: number;
}

export function packDirectory(shelves: readonly ShelfEntry[]): Buffer {
  const writer = new ByteWriter(64 + shelves.length * 48);
  writer.uint(shelves.length);
  for (const { key, period, version, fromMs, toMs } of shelves) {
    writer.uint(key.kind === "points" ? 0 : 1);
    writer.uint(key.mdc);
    writer.int(key.exponent);
    writer.hex(key.deviceId);
    if (key.rate) {
      writer.uint(key.rate.numerator);
      writer.uint(key.rate.denominator);
    }
    writer.int(period);
    writer.uint(version);
    writer.int(fromMs);
    writer.uint(toMs - fromMs);
  }
  return writer.view();
}

export function unpackDirectory(bytes: Uint8Array): ShelfEntry[] {
  const reader = new ByteReader(bytes);
  const shelves: ShelfEntry[] = [];
  for (let left = reader.uint(); left > 0; left--) {
    const kind = reader.uint() === 0 ? "points" : "waveform";
    const base = {
      kind,
      mdc: reader.uint(),
      exponent: reader.int(),
      deviceId: reader.uuid(),
    } as const;
    const key: SeriesKey =
      kind === "points"
        ? base
        : { ...base, rate: { numerator: reader.uint(), denominator: reader.uint() } };
    const period = reader.int();
    const version = reader.uint();
    const fromMs = reader.int();
    shelves.push({ key, period, version, fromMs, toMs: fromMs + reader.uint() });
  }
  return shelves;
}

/** One segment as its shelf lists it. */
export interface SegmentEntry {
  readonly number: number;
  readonly fromMs: number;
  readonly toMs: number;
  readonly samples: number;
  /** Packed bytes, before sealing. */
  readonly bytes: number;
  readonly sequences: { readonly low: number; readonly high: number };
}

export interface Listing {
  /** The next segment's number; never reused. */
  readonly next: number;
  /** Ascending and disjoint in time. */
  readonly segments: readonly SegmentEntry[];
}

export function packListing(listing: Listing): Buffer {
  const writer = new ByteWriter(64 + listing.segments.length * 24);
  writer.uint(listing.next);
  writer.uint(listing.segments.length);
  let number = 0;
  let timeMs = 0;
  let sequence = 0;
  for (const entry of listing.segments) {
    writer.int(entry.number - number);
    writer.int(entry.fromMs - timeMs);
    writer.uint(entry.toMs - entry.fromMs);
    writer.uint(entry.samples);
    writer.uint(entry.bytes);
    writer.int(entry.sequences.low - sequence);
    writer.uint(entry.sequences.high - entry.sequences.low);
    number = entry.number;
    timeMs = entry.toMs;
    sequence = entry.sequences.high;
  }
  return writer.view();
}

export function unpackListing(bytes: Uint8Array): Listing {
  const reader = new ByteReader(bytes);
  const next = reader.uint();
  const segments: SegmentEntry[] = [];
  let number = 0;
  let timeMs = 0;
  let sequence = 0;
  for (let left = reader.uint(); left > 0; left--) {
    number += reader.int();
    const fromMs = timeMs + reader.int();
    timeMs = fromMs + reader.uint();
    const samples = reader.uint();
    const packed = reader.uint();
    const low = sequence + reader.int();
    sequence = low + reader.uint();
    const sequences = { low, high: sequence };
    segments.push({ number, fromMs, toMs: timeMs, samples, bytes: packed, sequences });
  }
  return { next, segments };
}

export const EMPTY_LISTING: Listing = { next: 1, segments: [] };
