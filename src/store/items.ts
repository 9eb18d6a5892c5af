/** Stored and fresh parts of one series in order of time; what overlaps belongs together. */
import { type Content, fromOf, slice, toOf, unitsOf, unitTimeMs } from "./content.ts";
import type { SegmentEntry } from "./lane.ts";
import type { ShelfPlan } from "./plan.ts";

export interface Item {
  readonly fromMs: number;
  readonly toMs: number;
  /** A merged segment, not opened yet … */
  readonly segment?: { readonly shelf: ShelfPlan; readonly entry: SegmentEntry };
  /** … or content that is not merged yet. */
  readonly content?: Content;
}

export function segmentItems(shelves: readonly ShelfPlan[]): Item[] {
  return shelves.flatMap((shelf) =>
    shelf.listing.segments.map((entry) => ({
      fromMs: entry.fromMs,
      toMs: entry.toMs,
      segment: { shelf, entry },
    })),
  );
}

/** Fresh content, cut where a segment begins or ends, so that it touches few of them. */
export function freshItems(content: Content, segments: readonly Item[]): Item[] {
  const bounds = segments.flatMap(({ fromMs, toMs }) => [fromMs, toMs + 1]).sort((a, b) => a - b);
  const out: Item[] = [];
  const units = unitsOf(content);
  let b = 0;
  for (let from = 0; from < units; ) {
    while (b < bounds.length && bounds[b]! <= unitTimeMs(content, from)) b += 1;
    let to = from + 1;
    const endMs = bounds[b] ?? Number.POSITIVE_INFINITY;
    while (to < units && unitTimeMs(content, to) < endMs) to += 1;
    const part = slice(content, from, to);
    out.push({ fromMs: fromOf(part), toMs: toOf(part), content: part });
    from = to;
  }
  return out;
}

/** Groups of items of which each overlaps the next in time, ascending. */
export function clusters(items: readonly Item[]): Item[][] {
  const sorted = items.toSorted((a, b) => a.fromMs - b.fromMs || a.toMs - b.toMs);
  const out: Item[][] = [];
  let endMs = Number.NEGATIVE_INFINITY;
  for (const item of sorted) {
    if (item.fromMs <= endMs) out[out.length - 1]!.push(item);
    else out.push([item]);
    endMs = Math.max(endMs, item.toMs);
  }
  return out;
}
