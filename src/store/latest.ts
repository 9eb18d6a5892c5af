/** The newest sample of each series, month by month backwards. */
import { Permit } from "../access/permit.ts";
import { unavailable } from "../postgres/pool.ts";
import type { SeriesChunk } from "./chunk.ts";
import type { Content } from "./content.ts";
import { categoriesFor, makePlan, monthsWithData, type Reading, type SeriesPlan } from "./plan.ts";
import { chunksOf, unreadableChunk } from "./project.ts";
import { clustersOf, fetchSegments, openGroup } from "./read.ts";
import { runEndMs } from "./runs.ts";
import { seriesName } from "./series.ts";

/** @see Store.latest */
export async function latestOf(
  o: Reading,
  permit: Permit,
  mdcs: readonly number[] | undefined,
): Promise<SeriesChunk[]> {
  Permit.check(permit);
  if (categoriesFor(permit, mdcs).length === 0) return [];
  const found = new Map<string, SeriesChunk>();
  const unreadable: SeriesChunk[] = [];
  try {
    const months = (await monthsWithData(o, permit.patientId)).reverse();
    for (const month of months) {
      const everything = {
        mdcs,
        fromMs: Number.NEGATIVE_INFINITY,
        toMs: Number.POSITIVE_INFINITY,
      };
      const plan = await makePlan(o, permit, [month], everything);
      for (const gap of plan.gaps) unreadable.push(unreadableChunk(gap.key, gap.fromMs, gap.toMs));
      for (const [name, series] of plan.series) {
        if (found.has(name)) continue;
        const chunk = await newestOf(o, permit, series, unreadable);
        if (chunk) found.set(seriesName(series.key), chunk);
      }
    }
  } catch (error) {
    throw unavailable(error) ?? error;
  }
  return [...found.values(), ...unreadable];
}

async function newestOf(
  o: Reading,
  permit: Permit,
  series: SeriesPlan,
  unreadable: SeriesChunk[],
): Promise<SeriesChunk | undefined> {
  for (const group of clustersOf(series).reverse()) {
    const sealed = await fetchSegments(o, permit.patientId, group);
    const { content, gaps } = openGroup(o, permit, series, group, sealed);
    for (const gap of gaps) {
      o.noteUnreadable();
      unreadable.push(unreadableChunk(gap.key, gap.fromMs, gap.toMs));
    }
    if (content) return chunksOf(series.key, content, newestStart(content), Infinity).at(-1);
  }
  return undefined;
}

/** Of points the last sample, of waveforms the run that ends last. */
function newestStart(content: Content): number {
  if (content.kind === "points") return content.timesMs[content.count - 1]!;
  let newest = content.runs[0]!;
  for (const run of content.runs) {
    if (runEndMs(run, content.rate) >= runEndMs(newest, content.rate)) newest = run;
  }
  return newest.startMs;
}
