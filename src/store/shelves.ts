/** Which shelf of a month a content belongs on: the month's own, or of a waveform each UTC day's. */
import { type Content, slice, unitsOf, unitTimeMs } from "./content.ts";
import { type SeriesKey, shelfPeriodOf } from "./series.ts";

export function splitByShelf(
  key: SeriesKey,
  content: Content,
): { period: number; content: Content }[] {
  const out: { period: number; content: Content }[] = [];
  const units = unitsOf(content);
  for (let from = 0; from < units; ) {
    const period = shelfPeriodOf(key.kind, unitTimeMs(content, from));
    let to = from + 1;
    while (to < units && shelfPeriodOf(key.kind, unitTimeMs(content, to)) === period) to += 1;
    out.push({ period, content: slice(content, from, to) });
    from = to;
  }
  return out;
}
