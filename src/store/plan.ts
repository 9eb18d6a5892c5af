/**
 * What a read has to open: manifests first, category by category, then only what lies in range.
 * Anything that is not as its manifest says becomes a gap that the reader is told of.
 */
import type { Permit } from "../access/permit.ts";
import type { Database } from "../postgres/database.ts";
import { Problem } from "../problems.ts";
import type { Vault } from "../vault/seal.ts";
import type { Category } from "../vitals/metric.ts";
import { SeriesCollector, unpackArrival } from "./arrivals.ts";
import type { Content } from "./content.ts";
import {
  associated,
  checkedState,
  type LaneName,
  type LaneState,
  type Listing,
  laneName,
  type ShelfEntry,
  shelfId,
  unpackDirectory,
  unpackListing,
} from "./lane.ts";
import { categoryOf, monthStartMs, type SeriesKey, seriesName } from "./series.ts";
import { type ArrivalRow, arrivalsOfLanes, lanesById, listingsOf, monthsOf } from "./tables.ts";

/** What every part of reading needs. */
export interface Reading {
  readonly database: Database;
  readonly vault: Vault;
  /** What this process itself last committed: an older manifest than that was rolled back. */
  readonly known: ReadonlyMap<string, { readonly name: LaneName; readonly state: LaneState }>;
  readonly noteUnreadable: () => void;
}

export interface ShelfPlan {
  readonly lane: LaneName;
  readonly id: string;
  readonly entry: ShelfEntry;
  readonly listing: Listing;
}

export interface SeriesPlan {
  readonly key: SeriesKey;
  readonly category: Category;
  readonly shelves: ShelfPlan[];
  /** Not merged yet. */
  readonly fresh: Content[];
}

export interface Gap {
  /** Undefined: any metric of the category. */
  readonly key: SeriesKey | undefined;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Plan {
  readonly series: ReadonlyMap<string, SeriesPlan>;
  readonly gaps: readonly Gap[];
}

export interface PlanRange {
  readonly mdcs?: readonly number[] | undefined;
  readonly fromMs: number;
  readonly toMs: number;
}

/** Every category that samples have; demographics are Patient's. */
export const CATEGORIES: readonly Category[] = [
  "vital-signs",
  "waveform",
  "laboratory",
  "activity",
  "medication",
  "environment",
];

/** The categories of samples that the permit covers and the question asks for. */
export function categoriesFor(permit: Permit, mdcs: readonly number[] | undefined): Category[] {
  const asked = mdcs && new Set(mdcs.map(categoryOf));
  return CATEGORIES.filter(
    (category) => (asked?.has(category) ?? true) && permit.covers(permit.patientId, category),
  );
}

/** Months that hold anything of this patient, ascending. */
export async function monthsWithData(o: Reading, patientId: string): Promise<number[]> {
  const months = new Set(await monthsOf(o.database.pool, o.database.tenantId, patientId));
  for (const { name } of o.known.values()) {
    if (name.patientId === patientId) months.add(name.monthIndex);
  }
  return [...months].sort((a, b) => a - b);
}

/** The months a range touches; one earlier for a waveform's run that began before it. */
export function monthsInRange(months: readonly number[], range: PlanRange): number[] {
  return months.filter(
    (month) => monthStartMs(month + 2) > range.fromMs && monthStartMs(month) < range.toMs,
  );
}

const ATTEMPTS = 4;

/** Reads manifests, listings and arrivals of those months. Merging may move things meanwhile: what
 * does not fit together is read again, and counts as damage when it still does not. */
export async function makePlan(
  o: Reading,
  permit: Permit,
  months: readonly number[],
  range: PlanRange,
): Promise<Plan> {
  for (let attempt = 1; ; attempt++) {
    const found = await tryPlan(o, permit, months, range);
    if (found.gaps.length === 0) return found;
    if (attempt < ATTEMPTS) continue;
    for (const _ of found.gaps) o.noteUnreadable();
    return found;
  }
}

async function tryPlan(
  o: Reading,
  permit: Permit,
  months: readonly number[],
  range: PlanRange,
): Promise<Plan> {
  const { pool, tenantId } = o.database;
  const { patientId } = permit;
  const gaps: Gap[] = [];
  const wanted = (key: SeriesKey) => range.mdcs?.includes(key.mdc) ?? true;
  const names: LaneName[] = [];
  for (const category of categoriesFor(permit, range.mdcs)) {
    for (const month of months) names.push(laneName(o.vault, patientId, category, month));
  }
  const known = new Map(names.map((name) => [name.id, o.known.get(name.id)?.state]));
  const before = new Map([...known].map(([id, state]) => [id, state && { ...state }]));
  const rows = await lanesById(pool, tenantId, [patientId], [...known.keys()]);
  const lanes: { name: LaneName; state: LaneState }[] = [];
  for (const name of names) {
    const row = rows.find(({ lane }) => lane === name.id);
    const newest = before.get(name.id);
    if (!row) {
      if (newest) gaps.push(monthGap(name));
      continue;
    }
    try {
      const state = checkedState(o.vault, name, row);
      if (newest && isOlder(state, newest)) throw new Problem("series-damaged");
      lanes.push({ name, state });
    } catch (error) {
      gaps.push(gapFor(error, monthGap(name)));
    }
  }
  const series = new Map<string, SeriesPlan>();
  const collected = await openArrivals(o, permit, lanes, gaps);
  for (const { category, collector } of collected) {
    for (const { key, content } of collector.contents()) {
      if (wanted(key)) seriesOf(series, key, category).fresh.push(content);
    }
  }
  const overlaps = (entry: ShelfEntry) =>
    wanted(entry.key) && entry.fromMs < range.toMs && entry.toMs >= range.fromMs;
  await openShelves(o, permit, lanes, overlaps, series, gaps);
  return { series, gaps };
}

function isOlder(state: LaneState, than: LaneState): boolean {
  return state.version < than.version || state.nextArrival < than.nextArrival;
}

function monthGap(name: LaneName): Gap {
  const fromMs = monthStartMs(name.monthIndex);
  return { key: undefined, fromMs, toMs: monthStartMs(name.monthIndex + 1) };
}

/** Damage becomes a gap; anything else (a permit that ended, a database that is away) rises. */
export function gapFor(error: unknown, gap: Gap): Gap {
  if (error instanceof Problem) {
    if (error.code === "sealed-data-damaged" || error.code === "series-damaged") return gap;
  }
  throw error;
}

export function seriesOf(
  series: Map<string, SeriesPlan>,
  key: SeriesKey,
  category: Category,
): SeriesPlan {
  const name = seriesName(key);
  let found = series.get(name);
  if (!found) {
    found = { key, category, shelves: [], fresh: [] };
    series.set(name, found);
  }
  return found;
}

interface CheckedLane {
  readonly name: LaneName;
  readonly state: LaneState;
}

async function openArrivals(
  o: Reading,
  permit: Permit,
  lanes: readonly CheckedLane[],
  gaps: Gap[],
): Promise<{ category: Category; collector: SeriesCollector }[]> {
  const busy = lanes.filter(({ state }) => state.nextArrival > state.firstArrival);
  if (busy.length === 0) return [];
  const ids = busy.map(({ name }) => name.id);
  const { pool, tenantId } = o.database;
  const rows = await arrivalsOfLanes(pool, tenantId, permit.patientId, ids);
  const byLane = new Map<string, ArrivalRow[]>(ids.map((id) => [id, []]));
  for (const row of rows) byLane.get(row.lane)?.push(row);
  return busy.map(({ name, state }) => {
    const collector = new SeriesCollector();
    openArrivalRows(o, permit, { name, state }, byLane.get(name.id)!, collector, gaps);
    return { category: name.category, collector };
  });
}

/** Opens the arrivals of one lane; each that is missing or damaged is one gap. */
export function openArrivalRows(
  o: Pick<Reading, "vault">,
  permit: Permit,
  lane: CheckedLane,
  rows: readonly ArrivalRow[],
  collector: SeriesCollector,
  gaps: Gap[],
): void {
  const { name, state } = lane;
  const { patientId, category, monthIndex } = name;
  const byNumber = new Map(rows.map((row) => [row.number, row.sealed]));
  for (let number = state.firstArrival; number < state.nextArrival; number++) {
    const sealed = byNumber.get(number);
    if (!sealed) {
      gaps.push(monthGap(name));
      continue;
    }
    const aad = associated("arrival", name.id, number);
    try {
      const plain = o.vault.open(permit, patientId, category, monthIndex, aad, sealed);
      unpackArrival(plain, collector);
    } catch (error) {
      gaps.push(gapFor(error, monthGap(name)));
    }
  }
}

/** The shelves a lane's directory lists. @throws Problem "sealed-data-damaged". */
export function openDirectory(
  o: Pick<Reading, "vault">,
  permit: Permit,
  { name, state }: CheckedLane,
): ShelfEntry[] {
  const { patientId, category, monthIndex } = name;
  const aad = associated("directory", name.id, state.version);
  return unpackDirectory(
    o.vault.open(permit, patientId, category, monthIndex, aad, state.directory),
  );
}

export function openListing(
  o: Pick<Reading, "vault">,
  permit: Permit,
  lane: LaneName,
  shelf: { readonly id: string; readonly version: number },
  sealed: Uint8Array | undefined,
): Listing {
  if (!sealed) throw new Problem("series-damaged");
  const aad = associated("listing", shelf.id, shelf.version);
  const { patientId, category, monthIndex } = lane;
  return unpackListing(o.vault.open(permit, patientId, category, monthIndex, aad, sealed));
}

async function openShelves(
  o: Reading,
  permit: Permit,
  lanes: readonly CheckedLane[],
  overlaps: (entry: ShelfEntry) => boolean,
  series: Map<string, SeriesPlan>,
  gaps: Gap[],
): Promise<void> {
  const chosen: { lane: LaneName; entry: ShelfEntry; id: string }[] = [];
  for (const lane of lanes) {
    try {
      for (const entry of openDirectory(o, permit, lane)) {
        if (!overlaps(entry)) continue;
        const id = shelfId(o.vault, lane.name, entry.key, entry.period);
        chosen.push({ lane: lane.name, entry, id });
      }
    } catch (error) {
      gaps.push(gapFor(error, monthGap(lane.name)));
    }
  }
  const { pool, tenantId } = o.database;
  const ids = chosen.map(({ id }) => id);
  const sealed = await listingsOf(pool, tenantId, permit.patientId, ids);
  for (const { lane, entry, id } of chosen) {
    try {
      const shelf = { id, version: entry.version };
      const listing = openListing(o, permit, lane, shelf, sealed.get(id));
      seriesOf(series, entry.key, lane.category).shelves.push({ lane, id, entry, listing });
    } catch (error) {
      const { fromMs, toMs } = entry;
      gaps.push(gapFor(error, { key: entry.key, fromMs, toMs: toMs + 1 }));
    }
  }
}
