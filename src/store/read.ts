/** Reading: manifests, then segments, then chunks; the permit is checked at every opening. */
import { Permit } from "../access/permit.ts";
import { limits } from "../limits.ts";
import { unavailable } from "../postgres/pool.ts";
import type { SeriesChunk } from "./chunk.ts";
import { type Content, combine, unpack } from "./content.ts";
import { clusters, freshItems, type Item, segmentItems } from "./items.ts";
import { associated } from "./lane.ts";
import {
  categoriesFor,
  type Gap,
  gapFor,
  makePlan,
  monthsInRange,
  monthsWithData,
  type PlanRange,
  type Reading,
  type SeriesPlan,
  type ShelfPlan,
} from "./plan.ts";
import { chunksOf, unreadableChunk } from "./project.ts";
import { seriesName } from "./series.ts";
import type { TimeRange } from "./store.ts";
import { segmentsOf } from "./tables.ts";

/** @see Store.read */
export async function* readSeries(
  o: Reading,
  permit: Permit,
  range: TimeRange,
): AsyncGenerator<SeriesChunk> {
  Permit.check(permit);
  if (categoriesFor(permit, range.mdcs).length === 0) return;
  const plan = await planOf(o, permit, range);
  for (const gap of plan.gaps) {
    const fromMs = Math.max(gap.fromMs, range.fromMs);
    const toMs = Math.min(gap.toMs, range.toMs);
    if (fromMs < toMs) yield unreadableChunk(gap.key, fromMs, toMs);
  }
  const series = [...plan.series.values()].sort((a, b) => a.key.mdc - b.key.mdc);
  for (const one of series) yield* readOne(o, permit, one, range);
}

async function planOf(o: Reading, permit: Permit, range: PlanRange) {
  try {
    const months = monthsInRange(await monthsWithData(o, permit.patientId), range);
    return await makePlan(o, permit, months, range);
  } catch (error) {
    throw unavailable(error) ?? error;
  }
}

const REPLANS_MAX = 3;

/** One series; when merging moved a segment away meanwhile, the rest is planned again from there. */
async function* readOne(
  o: Reading,
  permit: Permit,
  planned: SeriesPlan,
  range: TimeRange,
): AsyncGenerator<SeriesChunk> {
  let series: SeriesPlan | undefined = planned;
  let fromMs = range.fromMs;
  for (let replans = 0; series; replans++) {
    const resume: number | undefined = yield* readClusters(
      o,
      permit,
      series,
      { fromMs, toMs: range.toMs },
      replans < REPLANS_MAX,
    );
    if (resume === undefined) return;
    fromMs = Math.max(fromMs, resume);
    const again = await planOf(o, permit, { mdcs: [planned.key.mdc], fromMs, toMs: range.toMs });
    series = again.series.get(seriesName(planned.key));
  }
}

/** @returns where to go on after a new plan, or undefined at the end. */
async function* readClusters(
  o: Reading,
  permit: Permit,
  series: SeriesPlan,
  range: { fromMs: number; toMs: number },
  mayReplan: boolean,
): AsyncGenerator<SeriesChunk, number | undefined> {
  const groups = clustersOf(series).filter((group) =>
    group.some((item) => item.fromMs < range.toMs && item.toMs >= range.fromMs),
  );
  for (let at = 0; at < groups.length; ) {
    const batch: Item[][] = [];
    let fetched = 0;
    while (at < groups.length && (batch.length === 0 || fetched < limits.segmentsFetchedMax)) {
      batch.push(groups[at]!);
      fetched += groups[at]!.length;
      at += 1;
    }
    const sealed = await fetchSegments(o, permit.patientId, batch.flat());
    for (const group of batch) {
      const isMoved = group.some(({ segment }) => segment && !sealed.get(segmentName(segment)));
      if (isMoved && mayReplan) return group[0]!.fromMs;
      const { content, gaps } = openGroup(o, permit, series, group, sealed);
      for (const gap of gaps) {
        o.noteUnreadable();
        yield unreadableChunk(gap.key, gap.fromMs, gap.toMs);
      }
      if (content) yield* chunksOf(series.key, content, range.fromMs, range.toMs);
    }
  }
  return undefined;
}

/** A series' segments and fresh contents, what overlaps together. */
export function clustersOf(series: SeriesPlan): Item[][] {
  const segments = segmentItems(series.shelves);
  if (series.fresh.length === 0) return clusters(segments);
  const fresh = freshItems(combine(series.fresh), segments);
  return clusters([...segments, ...fresh]);
}

type SegmentOf = NonNullable<Item["segment"]>;

export function segmentName({ shelf, entry }: SegmentOf): string {
  return `${shelf.id} ${entry.number}`;
}

export async function fetchSegments(
  o: Pick<Reading, "database">,
  patientId: string,
  items: readonly Item[],
): Promise<Map<string, Buffer>> {
  const byShelf = new Map<ShelfPlan, number[]>();
  for (const { segment } of items) {
    if (!segment) continue;
    const numbers = byShelf.get(segment.shelf);
    if (numbers) numbers.push(segment.entry.number);
    else byShelf.set(segment.shelf, [segment.entry.number]);
  }
  const { pool, tenantId } = o.database;
  const found = new Map<string, Buffer>();
  try {
    for (const [shelf, numbers] of byShelf) {
      const at = { tenantId, patientId, shelfId: shelf.id };
      for (const [number, sealed] of await segmentsOf(pool, at, numbers)) {
        found.set(`${shelf.id} ${number}`, sealed);
      }
    }
  } catch (error) {
    throw unavailable(error) ?? error;
  }
  return found;
}

/** Opens what overlaps and joins it; what does not open is a gap. */
export function openGroup(
  o: Pick<Reading, "vault">,
  permit: Permit,
  series: Pick<SeriesPlan, "key">,
  group: readonly Item[],
  sealed: ReadonlyMap<string, Buffer>,
): { content: Content | undefined; gaps: Gap[] } {
  const contents: Content[] = [];
  const gaps: Gap[] = [];
  for (const item of group) {
    if (item.content) contents.push(item.content);
    if (!item.segment) continue;
    const { fromMs, toMs } = item;
    const gap = { key: series.key, fromMs, toMs: toMs + 1 };
    const bytes = sealed.get(segmentName(item.segment));
    if (!bytes) {
      gaps.push(gap);
      continue;
    }
    try {
      contents.push(openSegment(o, permit, item.segment, bytes));
    } catch (error) {
      gaps.push(gapFor(error, gap));
    }
  }
  return { content: contents.length > 0 ? combine(contents) : undefined, gaps };
}

export function openSegment(
  o: Pick<Reading, "vault">,
  permit: Permit,
  { shelf, entry }: SegmentOf,
  sealed: Uint8Array,
): Content {
  const { patientId, category, monthIndex } = shelf.lane;
  const aad = segmentAssociated(shelf.id, entry);
  return unpack(o.vault.open(permit, patientId, category, monthIndex, aad, sealed));
}

/** Associated data of a segment: shelf (patient, series, month), number and time range. */
export function segmentAssociated(
  shelfId: string,
  entry: { readonly number: number; readonly fromMs: number; readonly toMs: number },
): Buffer {
  return associated("segment", shelfId, entry.number, entry.fromMs, entry.toMs);
}
