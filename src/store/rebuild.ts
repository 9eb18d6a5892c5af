/** Puts a device's batches together again from stored columns, bit-exact, however they were merged. */
import { Permit } from "../access/permit.ts";
import type { Batch, PointColumn, WaveformRun } from "../envelope/batch.ts";
import { unavailable } from "../postgres/pool.ts";
import { mark } from "../vitals/quality.ts";
import type { Content } from "./content.ts";
import { segmentItems } from "./items.ts";
import { makePlan, monthsWithData, type Reading, type SeriesPlan } from "./plan.ts";
import type { Points } from "./points.ts";
import { fetchSegments, openGroup } from "./read.ts";
import type { Runs } from "./runs.ts";
import type { SeriesKey } from "./series.ts";
import type { BatchRange } from "./store.ts";

/** What was found of one envelope. Two of one number (a fork) differ in what they say of clocks. */
export interface FoundEnvelope {
  readonly sessionId: string;
  readonly sequence: number;
  readonly clockMs: number;
  readonly offsetMs: number;
  readonly receivedMs: number;
  /** Point samples and runs of the whole batch, and how many are found. */
  readonly units: number;
  found: number;
  /** Every mark that any of its samples has. */
  marks: number;
  readonly points: Map<string, { column: PointColumn; at: { timeMs: number; i: number }[] }>;
  readonly waveforms: WaveformRun[];
}

const EVERYTHING = { fromMs: Number.NEGATIVE_INFINITY, toMs: Number.POSITIVE_INFINITY };

/** @see Store.rebuildBatches */
export async function rebuild(
  o: Reading,
  permit: Permit,
  of: BatchRange,
): Promise<Map<number, Batch>> {
  Permit.check(permit);
  const envelopes = new Map<string, FoundEnvelope>();
  try {
    for (const month of (await monthsWithData(o, permit.patientId)).reverse()) {
      const plan = await makePlan(o, permit, [month], EVERYTHING);
      for (const series of plan.series.values()) {
        const contents = await contentsOf(o, permit, series, ({ low, high }) => {
          return low <= of.toSequence && of.fromSequence <= high;
        });
        const wanted = (sessionId: string, sequence: number) =>
          sessionId === of.sessionId && of.fromSequence <= sequence && sequence <= of.toSequence;
        for (const content of contents) collectEnvelopes(series.key, content, wanted, envelopes);
      }
      // A batch may hold samples of months far apart, so only having all of it ends the search.
      if (isComplete(envelopes, of)) break;
    }
  } catch (error) {
    throw unavailable(error) ?? error;
  }
  const batches = new Map<number, Batch>();
  for (const envelope of byPreference(envelopes)) {
    if (!batches.has(envelope.sequence)) batches.set(envelope.sequence, batchOf(envelope));
  }
  return batches;
}

function isComplete(envelopes: ReadonlyMap<string, FoundEnvelope>, of: BatchRange): boolean {
  const whole = new Set(byPreference(envelopes).map(({ sequence }) => sequence));
  return whole.size === of.toSequence - of.fromSequence + 1;
}

/** Those of which everything is there; where a number has two, first the one that is no fork. */
function byPreference(envelopes: ReadonlyMap<string, FoundEnvelope>): FoundEnvelope[] {
  const whole = [...envelopes.values()].filter(({ found, units }) => found === units);
  return whole.sort((a, b) => (a.marks & mark.fork) - (b.marks & mark.fork));
}

/** Fresh contents of a series, and its segments that may hold what is wanted. */
export async function contentsOf(
  o: Reading,
  permit: Permit,
  series: SeriesPlan,
  mayHold: (sequences: { readonly low: number; readonly high: number }) => boolean,
): Promise<Content[]> {
  const items = segmentItems(series.shelves).filter(({ segment }) =>
    mayHold(segment!.entry.sequences),
  );
  const sealed = await fetchSegments(o, permit.patientId, items);
  const contents = [...series.fresh];
  for (const item of items) {
    const { content, gaps } = openGroup(o, permit, series, [item], sealed);
    for (const _ of gaps) o.noteUnreadable();
    if (content) contents.push(content);
  }
  return contents;
}

/** Adds what a content holds of the wanted envelopes. */
export function collectEnvelopes(
  key: SeriesKey,
  content: Content,
  wanted: (sessionId: string, sequence: number) => boolean,
  into: Map<string, FoundEnvelope>,
): void {
  const { origins } = content;
  const byOrigin: (FoundEnvelope | undefined)[] = new Array(origins.count);
  let isAny = false;
  for (let i = 0; i < origins.count; i++) {
    const sessionId = origins.sessions[origins.sessionOf[i]!]!;
    if (!wanted(sessionId, origins.sequences[i]!)) continue;
    byOrigin[i] = envelopeOf(content, i, into);
    isAny = true;
  }
  if (!isAny) return;
  if (content.kind === "points") collectPoints(key, content, byOrigin);
  else collectRuns(key, content, byOrigin);
}

function envelopeOf(
  { origins }: Content,
  i: number,
  into: Map<string, FoundEnvelope>,
): FoundEnvelope {
  const sessionId = origins.sessions[origins.sessionOf[i]!]!;
  const sequence = origins.sequences[i]!;
  const clockMs = origins.clockMs[i]!;
  const offsetMs = origins.offsetMs[i]!;
  const receivedMs = origins.receivedMs[i]!;
  const units = origins.units[i]!;
  const name = [sessionId, sequence, clockMs, offsetMs, receivedMs, units].join(" ");
  let found = into.get(name);
  if (!found) {
    const named = { sessionId, sequence, clockMs, offsetMs, receivedMs, units };
    found = { ...named, found: 0, marks: 0, points: new Map(), waveforms: [] };
    into.set(name, found);
  }
  return found;
}

function collectPoints(
  key: SeriesKey,
  content: Points,
  byOrigin: readonly (FoundEnvelope | undefined)[],
): void {
  const name = `${key.mdc} ${key.exponent}`;
  for (let i = 0; i < content.count; i++) {
    const envelope = byOrigin[content.originOf[i]!];
    if (!envelope) continue;
    let part = envelope.points.get(name);
    if (!part) {
      const { mdc, exponent } = key;
      part = { column: { mdc, exponent, timesMs: [], mantissas: [], quality: [] }, at: [] };
      envelope.points.set(name, part);
    }
    const { column, at } = part;
    const timeMs = content.timesMs[i]! - envelope.offsetMs;
    at.push({ timeMs, i: at.length });
    column.timesMs.push(timeMs);
    column.mantissas.push(content.mantissas[i]!);
    column.quality.push(content.quality[i]!);
    envelope.marks |= content.marks[i]!;
    envelope.found += 1;
  }
}

function collectRuns(
  key: SeriesKey,
  content: Runs,
  byOrigin: readonly (FoundEnvelope | undefined)[],
): void {
  for (const run of content.runs) {
    const envelope = byOrigin[run.origin];
    if (!envelope) continue;
    envelope.marks |= run.marks;
    envelope.found += 1;
    envelope.waveforms.push({
      mdc: key.mdc,
      startMs: run.startMs - envelope.offsetMs,
      rate: { ...content.rate },
      exponent: key.exponent,
      values: run.values,
      quality: run.quality,
    });
  }
}

/** The canonical order: columns by metric, samples by time, however they were found. */
export function batchOf(envelope: FoundEnvelope): Batch {
  const points = [...envelope.points.values()].map(({ column, at }) => {
    const order = at.toSorted((a, b) => a.timeMs - b.timeMs);
    return {
      ...column,
      timesMs: order.map(({ timeMs }) => timeMs),
      mantissas: order.map(({ i }) => column.mantissas[i]!),
      quality: order.map(({ i }) => column.quality[i]!),
    };
  });
  points.sort((a, b) => a.mdc - b.mdc || a.exponent - b.exponent);
  const waveforms = envelope.waveforms.toSorted((a, b) => a.mdc - b.mdc || a.startMs - b.startMs);
  const { sequence, clockMs, offsetMs } = envelope;
  return { sequence, clockMs, offsetMs, points, waveforms };
}
