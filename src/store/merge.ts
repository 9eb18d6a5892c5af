/**
 * Merging: the arrivals of one lane become segments of their series, in one transaction with the
 * manifest that lists them. A crash before COMMIT leaves the arrivals, after it the segments.
 */
import type { Permit } from "../access/permit.ts";
import { limits } from "../limits.ts";
import type { Database } from "../postgres/database.ts";
import { unavailable } from "../postgres/pool.ts";
import { Problem } from "../problems.ts";
import type { Vault } from "../vault/seal.ts";
import { SeriesCollector } from "./arrivals.ts";
import type { Committer, Lane } from "./commit.ts";
import { type Content, fromOf, packAll, sequencesOf, toOf } from "./content.ts";
import { clusters, freshItems, type Item, segmentItems } from "./items.ts";
import {
  associated,
  EMPTY_LISTING,
  type LaneName,
  type LaneState,
  type Listing,
  laneSeal,
  packDirectory,
  packListing,
  type SegmentEntry,
  type ShelfEntry,
  shelfId,
} from "./lane.ts";
import { type Gap, openArrivalRows, openDirectory, openListing, type ShelfPlan } from "./plan.ts";
import { fetchSegments, openGroup, segmentAssociated } from "./read.ts";
import { type SeriesKey, seriesName } from "./series.ts";
import { splitByShelf } from "./shelves.ts";
import type { StoreCounters } from "./store.ts";
import { arrivalsOf, listingsOf, type MergeWrite, writeMerge } from "./tables.ts";

export interface Merging {
  readonly database: Database;
  readonly vault: Vault;
  readonly committer: Committer;
  readonly counters: StoreCounters;
}

/** Arrivals merged in one transaction: bounds its memory and its length. */
const ARRIVALS_AT_ONCE = 2_048;

const ATTEMPTS = 3;

/** Merges what has arrived in one lane until now.
 * @returns how many arrivals became part of segments.
 * @throws Problem "series-damaged": what is damaged is never merged away, so it stays visible. */
export async function mergeLane(o: Merging, permit: Permit, name: LaneName): Promise<number> {
  try {
    for (let attempt = 1; ; attempt++) {
      const lane = await o.committer.lane(name);
      const state = { ...lane.state };
      try {
        return await mergeOnce(o, permit, lane, state);
      } catch (error) {
        if (attempt === ATTEMPTS || !(await isMoved(o, name, state))) throw error;
      }
    }
  } catch (error) {
    throw unavailable(error) ?? error;
  }
}

/** Whether somebody moved the lane on since `state`: then what did not fit it is no damage. */
async function isMoved(o: Merging, name: LaneName, state: LaneState): Promise<boolean> {
  o.committer.forget(name.id);
  return (await o.committer.lane(name)).state.version !== state.version;
}

async function mergeOnce(
  o: Merging,
  permit: Permit,
  lane: Lane,
  state: LaneState,
): Promise<number> {
  const { name } = lane;
  const upTo = Math.min(state.nextArrival, state.firstArrival + ARRIVALS_AT_ONCE);
  if (upTo === state.firstArrival) return 0;
  const fresh = await openFresh(o, permit, name, state, upTo);
  const write = await mergeInto(o, permit, name, { ...state, nextArrival: upTo }, fresh);
  await commitMerge(o, lane, write);
  o.counters.segmentsMerged += upTo - state.firstArrival;
  return upTo - state.firstArrival;
}

async function openFresh(
  o: Merging,
  permit: Permit,
  name: LaneName,
  state: LaneState,
  upTo: number,
): Promise<{ key: SeriesKey; content: Content }[]> {
  const { pool, tenantId } = o.database;
  const at = { tenantId, patientId: name.patientId, laneId: name.id };
  const rows = await arrivalsOf(pool, at, state.firstArrival, upTo);
  const gaps: Gap[] = [];
  const collector = new SeriesCollector();
  openArrivalRows(
    o,
    permit,
    { name, state: { ...state, nextArrival: upTo } },
    rows,
    collector,
    gaps,
  );
  if (gaps.length > 0) throw new Problem("series-damaged");
  return collector.contents();
}

/** Everything one merge changes, packed and sealed; writes nothing yet.
 * @param state its `nextArrival` is the first arrival that stays. */
export async function mergeInto(
  o: Merging,
  permit: Permit,
  name: LaneName,
  state: LaneState,
  fresh: readonly { key: SeriesKey; content: Content }[],
): Promise<MergeWrite> {
  const directory = new Map<string, ShelfEntry>();
  const nameOf = (key: SeriesKey, period: number) => `${seriesName(key)} ${period}`;
  for (const entry of openDirectory(o, permit, { name, state })) {
    directory.set(nameOf(entry.key, entry.period), entry);
  }
  const parts = fresh.flatMap(({ key, content }) =>
    splitByShelf(key, content).map((part) => ({ key, ...part })),
  );
  const ids = parts.map(({ key, period }) => shelfId(o.vault, name, key, period));
  const { pool, tenantId } = o.database;
  const listings = await listingsOf(pool, tenantId, name.patientId, ids);
  const shelves: MergeWrite["shelves"][number][] = [];
  for (const [i, { key, period, content }] of parts.entries()) {
    const id = ids[i]!;
    const known = directory.get(nameOf(key, period));
    const listing = known
      ? openListing(o, permit, name, { id, version: known.version }, listings.get(id))
      : EMPTY_LISTING;
    const entry = known ?? {
      key,
      period,
      version: 0,
      fromMs: fromOf(content),
      toMs: toOf(content),
    };
    const shelf = { lane: name, id, entry, listing };
    const merged = await mergeShelf(o, permit, shelf, content);
    const version = entry.version + 1;
    const { patientId, category, monthIndex } = name;
    const aad = associated("listing", id, version);
    const sealed = o.vault.seal(patientId, category, monthIndex, aad, packListing(merged.listing));
    shelves.push({ id, listing: sealed, added: merged.added, removed: merged.removed });
    directory.set(nameOf(key, period), {
      key,
      period,
      version,
      fromMs: Math.min(entry.fromMs, fromOf(content)),
      toMs: Math.max(entry.toMs, toOf(content)),
    });
  }
  return {
    patientId: name.patientId,
    laneId: name.id,
    before: { firstArrival: state.firstArrival, version: state.version },
    after: { firstArrival: state.nextArrival, version: state.version + 1 },
    directory: sealDirectory(o.vault, name, state.version + 1, [...directory.values()]),
    shelves,
  };
}

export function sealDirectory(
  vault: Vault,
  name: LaneName,
  version: number,
  entries: readonly ShelfEntry[],
): Buffer {
  const aad = associated("directory", name.id, version);
  const { patientId, category, monthIndex } = name;
  return vault.seal(patientId, category, monthIndex, aad, packDirectory(entries));
}

interface MergedShelf {
  readonly listing: Listing;
  readonly added: { number: number; sealed: Buffer }[];
  readonly removed: number[];
}

/** Puts fresh content among a shelf's segments: what overlaps is joined, small neighbours are. */
async function mergeShelf(
  o: Merging,
  permit: Permit,
  shelf: ShelfPlan,
  content: Content,
): Promise<MergedShelf> {
  const segments = segmentItems([shelf]);
  const groups = clusters([...segments, ...freshItems(content, segments)]);
  const sets = absorb(groups);
  const removed: number[] = [];
  const added: MergedShelf["added"] = [];
  const entries: SegmentEntry[] = [];
  let { next } = shelf.listing;
  for (const set of sets) {
    if (set.every(({ segment }) => segment) && set.length === 1) {
      entries.push(set[0]!.segment!.entry);
      continue;
    }
    const sealed = await fetchSegments(o, shelf.lane.patientId, set);
    const opened = openGroup(o, permit, shelf.entry, set, sealed);
    if (opened.gaps.length > 0 || !opened.content) throw new Problem("series-damaged");
    for (const { segment } of set) if (segment) removed.push(segment.entry.number);
    for (const { content: part, packed } of packAll(opened.content)) {
      const entry = {
        number: next,
        fromMs: fromOf(part),
        toMs: toOf(part),
        samples: part.count,
        bytes: packed.length,
        sequences: sequencesOf(part),
      };
      const { patientId, category, monthIndex } = shelf.lane;
      const aad = segmentAssociated(shelf.id, entry);
      added.push({
        number: next,
        sealed: o.vault.seal(patientId, category, monthIndex, aad, packed),
      });
      entries.push(entry);
      next += 1;
    }
  }
  return { listing: { next, segments: entries }, added, removed };
}

/** Bytes that a fresh sample packs to, for guessing what is small; a wrong guess costs one rewrite. */
const BYTES_PER_SAMPLE = 4;

/** Which groups become one segment: fresh ones take in neighbours that are no larger than twice
 * themselves, as long as the whole is not full. So each sample is rewritten a few times in all. */
function absorb(groups: readonly Item[][]): Item[][] {
  const out: { items: Item[]; bytes: number; isFresh: boolean }[] = [];
  for (const items of groups) {
    let bytes = 0;
    for (const { segment, content } of items) {
      bytes += segment?.entry.bytes ?? content!.count * BYTES_PER_SAMPLE;
    }
    let set = { items: [...items], bytes, isFresh: items.some(({ content }) => content) };
    for (let before = out[out.length - 1]; before; before = out[out.length - 1]) {
      const takesBefore = set.isFresh && before.bytes <= 2 * set.bytes;
      const isTaken = before.isFresh && set.bytes <= 2 * before.bytes;
      if (!takesBefore && !isTaken) break;
      if (before.bytes + set.bytes > limits.segmentBytesFull) break;
      out.pop();
      set = {
        items: [...before.items, ...set.items],
        bytes: before.bytes + set.bytes,
        isFresh: true,
      };
    }
    out.push(set);
  }
  return out.map(({ items }) => items);
}

/** Commits between two group commits, so that the manifest moves one step at a time. */
export async function commitMerge(o: Merging, lane: Lane, write: MergeWrite): Promise<void> {
  const { name } = lane;
  await o.committer.exclusive(async () => {
    try {
      await o.database.transaction(async (client) => {
        const sealFor = (nextArrival: number) => {
          // A copy that is still the lane's own knows every commit: another number was put there.
          const isOwn = o.committer.lanes.get(name.id) === lane;
          if (isOwn && nextArrival !== lane.state.nextArrival) throw new Problem("series-damaged");
          return laneSeal(o.vault, name, {
            ...write.after,
            nextArrival,
            directory: write.directory,
          });
        };
        if (!(await writeMerge(client, o.database.tenantId, write, sealFor))) {
          throw new Problem("storage-unavailable", { detail: "the lane was changed meanwhile" });
        }
      });
    } catch (error) {
      o.committer.forget(name.id); // whether it was committed is unknown: read it again
      throw error;
    }
    // A group commit that failed meanwhile has read the manifest anew: that copy is older now.
    if (o.committer.lanes.get(name.id) !== lane) o.committer.forget(name.id);
    Object.assign(lane.state, write.after, { directory: write.directory });
    lane.waitingSinceMs =
      lane.state.nextArrival > lane.state.firstArrival ? lane.waitingSinceMs : undefined;
  });
}
