/** Adds marks to stored samples of chosen envelopes: new segments take the place of the old ones. */
import type { Permit } from "../access/permit.ts";
import { Problem } from "../problems.ts";
import { type Content, pack } from "./content.ts";
import type { LaneName, LaneState, SegmentEntry } from "./lane.ts";
import { associated, packListing, shelfId } from "./lane.ts";
import { type Merging, sealDirectory } from "./merge.ts";
import { openDirectory, openListing } from "./plan.ts";
import { openSegment, segmentAssociated } from "./read.ts";
import { listingsOf, type MergeWrite, segmentsOf } from "./tables.ts";

export type Chosen = (sessionId: string, sequence: number) => boolean;

/** @returns what to write, or undefined when nothing of the lane is chosen. Arrivals are not looked
 * at: merge first. */
export async function remarkLane(
  o: Merging,
  permit: Permit,
  name: LaneName,
  state: LaneState,
  what: { readonly deviceId: string; readonly chosen: Chosen; readonly marks: number },
): Promise<MergeWrite | undefined> {
  const { pool, tenantId } = o.database;
  const { patientId, category, monthIndex } = name;
  const directory = openDirectory(o, permit, { name, state });
  const shelves: MergeWrite["shelves"][number][] = [];
  const entries = [];
  for (const entry of directory) {
    const id = shelfId(o.vault, name, entry.key, entry.period);
    if (entry.key.deviceId !== what.deviceId) {
      entries.push(entry);
      continue;
    }
    const sealed = (await listingsOf(pool, tenantId, patientId, [id])).get(id);
    const listing = openListing(o, permit, name, { id, version: entry.version }, sealed);
    const stored = await segmentsOf(
      pool,
      { tenantId, patientId, shelfId: id },
      listing.segments.map(({ number }) => number),
    );
    const shelf = { lane: name, id, entry, listing };
    const segments: SegmentEntry[] = [];
    const added: { number: number; sealed: Buffer }[] = [];
    const removed: number[] = [];
    let { next } = listing;
    for (const segment of listing.segments) {
      const bytes = stored.get(segment.number);
      if (!bytes) throw new Problem("series-damaged");
      const content = openSegment(o, permit, { shelf, entry: segment }, bytes);
      const marked = withMarks(content, what.chosen, what.marks);
      if (!marked) {
        segments.push(segment);
        continue;
      }
      const packed = pack(marked);
      const changed = { ...segment, number: next, bytes: packed.length };
      const aad = segmentAssociated(id, changed);
      added.push({
        number: next,
        sealed: o.vault.seal(patientId, category, monthIndex, aad, packed),
      });
      removed.push(segment.number);
      segments.push(changed);
      next += 1;
    }
    if (added.length === 0) {
      entries.push(entry);
      continue;
    }
    const version = entry.version + 1;
    const aad = associated("listing", id, version);
    const plain = packListing({ next, segments });
    const newListing = o.vault.seal(patientId, category, monthIndex, aad, plain);
    shelves.push({ id, listing: newListing, added, removed });
    entries.push({ ...entry, version });
  }
  if (shelves.length === 0) return undefined;
  const version = state.version + 1;
  return {
    patientId,
    laneId: name.id,
    before: { firstArrival: state.firstArrival, version: state.version },
    after: { firstArrival: state.firstArrival, version },
    directory: sealDirectory(o.vault, name, version, entries),
    shelves,
  };
}

/** @returns undefined when no sample of it changes. */
function withMarks(content: Content, chosen: Chosen, marks: number): Content | undefined {
  const { origins } = content;
  const isChosen = Array.from({ length: origins.count }, (_, i) =>
    chosen(origins.sessions[origins.sessionOf[i]!]!, origins.sequences[i]!),
  );
  if (!isChosen.includes(true)) return undefined;
  if (content.kind === "points") {
    const changed = content.marks.slice();
    for (let i = 0; i < content.count; i++) {
      if (isChosen[content.originOf[i]!]) changed[i]! |= marks;
    }
    return { ...content, marks: changed };
  }
  const runs = content.runs.map((run) =>
    isChosen[run.origin] ? { ...run, marks: run.marks | marks } : run,
  );
  return { ...content, runs };
}
