/** Puts a device's batch together again from stored columns, bit-exact, however they were merged. */
import { Permit } from "../access/permit.ts";
import type { Batch, PointColumn, WaveformRun } from "../envelope/batch.ts";
import { unavailable } from "../postgres/pool.ts";
import { Problem } from "../problems.ts";
import { mark } from "../vitals/quality.ts";
import type { Content } from "./content.ts";
import { segmentItems } from "./items.ts";
import { makePlan, monthsWithData, type Reading, type SeriesPlan } from "./plan.ts";
import { fetchSegments, openGroup } from "./read.ts";
import type { SeriesKey } from "./series.ts";

/** What was found of one envelope. Two of one number (a fork) differ in what they say of clocks. */
interface Found {
  readonly clockMs: number;
  readonly offsetMs: number;
  readonly units: number;
  isFork: boolean;
  found: number;
  readonly points: Map<string, PointColumn[]>;
  readonly waveforms: WaveformRun[];
}

/** @see Store.rebuildBatch */
export async function rebuild(
  o: Reading,
  permit: Permit,
  of: { readonly sessionId: string; readonly sequence: number },
): Promise<Batch> {
  Permit.check(permit);
  const envelopes = new Map<string, Found>();
  const everything = { fromMs: Number.NEGATIVE_INFINITY, toMs: Number.POSITIVE_INFINITY };
  try {
    for (const month of (await monthsWithData(o, permit.patientId)).reverse()) {
      const plan = await makePlan(o, permit, [month], everything);
      for (const series of plan.series.values()) {
        for (const content of await contentsWith(o, permit, series, of.sequence)) {
          collect(series.key, content, of, envelopes);
        }
      }
      const whole = best(envelopes);
      if (whole) return batchOf(whole, of.sequence);
    }
  } catch (error) {
    throw unavailable(error) ?? error;
  }
  throw new Problem("not-found");
}

async function contentsWith(
  o: Reading,
  permit: Permit,
  series: SeriesPlan,
  sequence: number,
): Promise<Content[]> {
  const items = segmentItems(series.shelves).filter(({ segment }) => {
    const { low, high } = segment!.entry.sequences;
    return low <= sequence && sequence <= high;
  });
  const sealed = await fetchSegments(o, permit.patientId, items);
  const contents = [...series.fresh];
  for (const item of items) {
    const { content, gaps } = openGroup(o, permit, series, [item], sealed);
    for (const _ of gaps) o.noteUnreadable();
    if (content) contents.push(content);
  }
  return contents;
}

function collect(
  key: SeriesKey,
  content: Content,
  of: { readonly sessionId: string; readonly sequence: number },
  envelopes: Map<string, Found>,
): void {
  const { origins } = content;
  for (let origin = 0; origin < origins.count; origin++) {
    if (origins.sequences[origin] !== of.sequence) continue;
    if (origins.sessions[origins.sessionOf[origin]!] !== of.sessionId) continue;
    const clockMs = origins.clockMs[origin]!;
    const offsetMs = origins.offsetMs[origin]!;
    const units = origins.units[origin]!;
    const name = `${clockMs} ${offsetMs} ${units} ${origins.receivedMs[origin]}`;
    let found = envelopes.get(name);
    if (!found) {
      found = {
        clockMs,
        offsetMs,
        units,
        isFork: false,
        found: 0,
        points: new Map(),
        waveforms: [],
      };
      envelopes.set(name, found);
    }
    if (content.kind === "points") collectPoints(key, content, origin, found);
    else collectRuns(key, content, origin, found);
  }
}

function collectPoints(
  key: SeriesKey,
  content: Content & { kind: "points" },
  origin: number,
  found: Found,
): void {
  const column: PointColumn = {
    mdc: key.mdc,
    exponent: key.exponent,
    timesMs: [],
    mantissas: [],
    quality: [],
  };
  for (let i = 0; i < content.count; i++) {
    if (content.originOf[i] !== origin) continue;
    column.timesMs.push(content.timesMs[i]! - found.offsetMs);
    column.mantissas.push(content.mantissas[i]!);
    column.quality.push(content.quality[i]!);
    if (content.marks[i]! & mark.fork) found.isFork = true;
  }
  if (column.timesMs.length === 0) return;
  const name = `${key.mdc} ${key.exponent}`;
  const columns = found.points.get(name) ?? [];
  columns.push(column);
  found.points.set(name, columns);
  found.found += column.timesMs.length;
}

function collectRuns(
  key: SeriesKey,
  content: Content & { kind: "waveform" },
  origin: number,
  found: Found,
): void {
  for (const run of content.runs) {
    if (run.origin !== origin) continue;
    if (run.marks & mark.fork) found.isFork = true;
    found.waveforms.push({
      mdc: key.mdc,
      startMs: run.startMs - found.offsetMs,
      rate: { ...content.rate },
      exponent: key.exponent,
      values: run.values,
      quality: run.quality,
    });
    found.found += 1;
  }
}

/** The first whole one; one that is no fork where there is a choice. */
function best(envelopes: Map<string, Found>): Found | undefined {
  const whole = [...envelopes.values()].filter(({ found, units }) => found === units);
  return whole.find(({ isFork }) => !isFork) ?? whole[0];
}

/** Parts of a column that was cut at a month's end, or in merging, joined again. */
function batchOf(found: Found, sequence: number): Batch {
  const points = [...found.points.values()].map((columns) => {
    const sorted = columns.toSorted((a, b) => a.timesMs[0]! - b.timesMs[0]!);
    const first = sorted[0]!;
    return {
      ...first,
      timesMs: sorted.flatMap((column) => column.timesMs),
      mantissas: sorted.flatMap((column) => column.mantissas),
      quality: sorted.flatMap((column) => column.quality),
    };
  });
  points.sort((a, b) => a.mdc - b.mdc || a.exponent - b.exponent);
  const waveforms = found.waveforms.toSorted((a, b) => a.mdc - b.mdc || a.startMs - b.startMs);
  const { clockMs, offsetMs } = found;
  return { sequence, clockMs, offsetMs, points, waveforms };
}
