/**
 * Reading and searching Observations: stored samples (projected) and what was written by FHIR, in
 * one order. Works on segments in windows of time, newest or oldest first, so a page costs what a
 * page holds, however long the history.
 */
import type { Observation } from "@medplum/fhirtypes";
import type { Permit } from "../access/permit.ts";
import type { Clock } from "../clock.ts";
import { limits } from "../limits.ts";
import type { SeriesChunk } from "../store/chunk.ts";
import type { ResourceSearch, Resources, StoredResource } from "../store/resources.ts";
import type { Store } from "../store/store.ts";
import { type Metric, metricByMdc } from "../vitals/metric.ts";
import { PANELS, panelOf } from "./codes.ts";
import {
  compareSubjects,
  isPanel,
  joinPanels,
  originOf,
  type Reading,
  readingsOf,
  type Subject,
  timeOf,
  toObservation,
} from "./observation.ts";
import type { ObservationIds, SampleAddress } from "./observation-id.ts";
import { MINUTE_MS, minuteOf, RunCounter, runsOf } from "./runs.ts";
import { type Cursor, categoryToken, type ObservationQuery } from "./search.ts";
import { writtenObservation } from "./written.ts";

export interface Page {
  readonly observations: readonly Observation[];
  /** Where the next page goes on; undefined at the end. */
  readonly next: Cursor | undefined;
}

interface Found {
  readonly timeMs: number;
  readonly observation: () => Observation;
}

const WINDOW_FIRST_MS = 10 * MINUTE_MS;
const WINDOW_MAX_MS = 400 * 365 * 24 * 3_600_000;
/** How far past now a device's clock may have put a sample that a search without an end still finds. */
const FUTURE_MS = 366 * 24 * 3_600_000;
const RESOURCES_A_FETCH = 200;

export class Observations {
  readonly #store: Store;
  readonly #resources: Resources;
  readonly #ids: ObservationIds;
  readonly #clock: Clock;

  constructor(o: { store: Store; resources: Resources; ids: ObservationIds; clock: Clock }) {
    this.#store = o.store;
    this.#resources = o.resources;
    this.#ids = o.ids;
    this.#clock = o.clock;
  }

  /** One page, in the order asked for. Between pages nothing moves but what arrives. */
  async search(permit: Permit, query: ObservationQuery): Promise<Page> {
    const bounds = boundsOf(query, this.#clock.nowMs());
    const skip = query.cursor?.given ?? 0;
    const found: Found[] = [];
    let skipped = 0;
    for await (const one of this.#inOrder(permit, query, bounds)) {
      if (query.cursor !== undefined && one.timeMs === query.cursor.timeMs && skipped < skip) {
        skipped++;
        continue;
      }
      found.push(one);
      if (found.length > query.count) break;
    }
    const page = found.slice(0, query.count);
    return {
      observations: page.map((one) => one.observation()),
      next: found.length > query.count ? cursorAfter(page, query.cursor) : undefined,
    };
  }

  /** How many match, from columns; nothing is projected. */
  async count(permit: Permit, query: ObservationQuery): Promise<number> {
    const { fromMs, toMs } = boundsOf({ ...query, cursor: undefined }, this.#clock.nowMs());
    let total = 0;
    for (const search of this.#resourceSearches(query, fromMs, toMs)) {
      total += await this.#resources.count(permit, search);
    }
    if (asksForNoSample(query)) return total;
    const panels: Panels = { pressures: new Set(), means: new Set() };
    const range = { fromMs: minuteOf(fromMs), toMs, ...mdcsOf(query) };
    const runs = new RunCounter(fromMs, toMs);
    for await (const chunk of this.#store.read(permit, range)) {
      if (chunk.kind === "waveform") runs.add(chunk);
      else total += countChunk(chunk, fromMs, toMs, panels);
    }
    return total + runs.total + countPanels(panels, query);
  }

  /** The Observation an id names, or undefined. The permit is for the address's patient. */
  async readSample(permit: Permit, address: SampleAddress): Promise<Observation | undefined> {
    const metric = metricByMdc(address.mdc);
    if (metric === undefined) return undefined;
    const panel = panelOf(address.mdc);
    const mdcs =
      panel === undefined
        ? [address.mdc]
        : [panel.systolic.mdc, panel.diastolic.mdc, panel.mean.mdc];
    const window =
      metric.kind === "waveform"
        ? { fromMs: minuteOf(address.timeMs), toMs: minuteOf(address.timeMs) + MINUTE_MS }
        : { fromMs: address.timeMs, toMs: address.timeMs + 1 };
    const subjects = await this.#window(permit, { ...window, mdcs });
    const found = subjects?.find((subject) => {
      const first = isPanel(subject) ? subject.parts[0]! : subject;
      const mdc = isPanel(subject) ? subject.panel.systolic.mdc : first.metric.mdc;
      return (
        mdc === address.mdc && first.timeMs === address.timeMs && originOf(first) === address.origin
      );
    });
    return found && toObservation(found, address.patientId, this.#ids);
  }

  async *#inOrder(
    permit: Permit,
    query: ObservationQuery,
    bounds: { fromMs: number; toMs: number },
  ): AsyncGenerator<Found> {
    const samples = this.#samples(permit, query, bounds);
    const written = this.#written(permit, query, bounds);
    let [sample, resource] = [await samples.next(), await written.next()];
    while (!sample.done || !resource.done) {
      const takeSample =
        resource.done ||
        (!sample.done &&
          (query.newestFirst
            ? sample.value.timeMs >= resource.value.timeMs
            : sample.value.timeMs <= resource.value.timeMs));
      if (takeSample) {
        yield sample.value as Found;
        sample = await samples.next();
      } else {
        yield resource.value as Found;
        resource = await written.next();
      }
    }
  }

  /** Windows grow while they hold little and shrink when they would hold too much. */
  async *#samples(
    permit: Permit,
    query: ObservationQuery,
    { fromMs, toMs }: { fromMs: number; toMs: number },
  ): AsyncGenerator<Found, undefined> {
    if (asksForNoSample(query)) return undefined;
    let widthMs = WINDOW_FIRST_MS;
    let edgeMs = query.newestFirst ? toMs : fromMs;
    while (query.newestFirst ? edgeMs > fromMs : edgeMs < toMs) {
      const window = query.newestFirst
        ? { fromMs: Math.max(fromMs, minuteOf(edgeMs - widthMs)), toMs: edgeMs }
        : { fromMs: edgeMs, toMs: Math.min(toMs, minuteOf(edgeMs + widthMs)) };
      const subjects = await this.#window(permit, { ...window, ...mdcsOf(query) });
      if (subjects === undefined && widthMs > MINUTE_MS) {
        widthMs = Math.max(MINUTE_MS, Math.floor(widthMs / 8));
        continue;
      }
      const inside = (subjects ?? []).filter(
        (one) => timeOf(one) >= window.fromMs && timeOf(one) < window.toMs && matches(one, query),
      );
      inside.sort((a, b) => (query.newestFirst ? compareSubjects(b, a) : compareSubjects(a, b)));
      for (const subject of inside) {
        yield {
          timeMs: timeOf(subject),
          observation: () => toObservation(subject, query.patientId, this.#ids),
        };
      }
      edgeMs = query.newestFirst ? window.fromMs : window.toMs;
      if (inside.length < query.count) widthMs = Math.min(WINDOW_MAX_MS, widthMs * 4);
    }
    return undefined;
  }

  /** Everything in one window, unordered; undefined when it would be more than the bound. */
  async #window(
    permit: Permit,
    range: { fromMs: number; toMs: number; mdcs?: readonly number[] },
  ): Promise<Subject[] | undefined> {
    const readings: Reading[] = [];
    const waveforms: SeriesChunk[] = [];
    let samples = 0;
    const isNarrow = range.toMs - range.fromMs <= MINUTE_MS;
    const fromMs = minuteOf(range.fromMs);
    for await (const chunk of this.#store.read(permit, { ...range, fromMs })) {
      // A run is one Observation, so its values weigh less than samples that are one each.
      samples += chunk.kind === "waveform" ? chunk.timesMs.length / 64 : chunk.timesMs.length;
      if (samples > limits.searchWindowSamplesMax && !isNarrow) return undefined;
      if (chunk.kind === "waveform") waveforms.push(chunk);
      else for (const reading of readingsOf(chunk)) readings.push(reading);
    }
    const nowMs = this.#clock.nowMs();
    return [...joinPanels(readings), ...runsOf(waveforms, nowMs)];
  }

  /** What was written by FHIR, page by page. */
  async *#written(
    permit: Permit,
    query: ObservationQuery,
    { fromMs, toMs }: { fromMs: number; toMs: number },
  ): AsyncGenerator<Found, undefined> {
    const searches = this.#resourceSearches(query, fromMs, toMs).map((search) =>
      this.#pages(permit, { ...search, newestFirst: query.newestFirst }),
    );
    const heads = await Promise.all(searches.map((search) => search.next()));
    const given = new Set<string>();
    for (;;) {
      let best = -1;
      for (const [at, head] of heads.entries()) {
        if (head.done) continue;
        const other = best < 0 ? undefined : heads[best];
        if (
          other === undefined ||
          other.done ||
          (query.newestFirst
            ? head.value.timeMs > other.value.timeMs
            : head.value.timeMs < other.value.timeMs)
        ) {
          best = at;
        }
      }
      const head = heads[best];
      if (head === undefined || head.done) return undefined;
      const stored = head.value;
      heads[best] = await searches[best]!.next();
      if (given.has(stored.id)) continue; // found under two of the codes asked for
      given.add(stored.id);
      yield { timeMs: stored.timeMs, observation: () => writtenObservation(stored, this.#ids) };
    }
  }

  async *#pages(
    permit: Permit,
    search: ResourceSearchWithOrder,
  ): AsyncGenerator<StoredResource, undefined> {
    for (let offset = 0; ; offset += RESOURCES_A_FETCH) {
      const page = await this.#resources.search(permit, {
        ...search,
        limit: RESOURCES_A_FETCH,
        offset,
      });
      yield* page;
      if (page.length < RESOURCES_A_FETCH) return undefined;
    }
  }

  /** One search a choice of code × category; the store joins tokens by "and". */
  #resourceSearches(
    query: ObservationQuery,
    fromMs: number,
    toMs: number,
  ): ResourceSearchWithOrder[] {
    const codes = query.codes?.map((value) => [
      { column: value.includes("|") ? "code" : "code-alone", value },
    ]) ?? [[]];
    const categories = query.categories?.map((category) => [
      { column: "category", value: categoryToken(category) },
    ]) ?? [[]];
    return codes.flatMap((code) =>
      categories.map((category) => ({
        resourceType: "Observation",
        fromMs,
        toMs,
        tokens: [...code, ...category],
        newestFirst: query.newestFirst,
      })),
    );
  }
}

type ResourceSearchWithOrder = Omit<ResourceSearch, "limit" | "offset">;

function asksForNoSample(query: ObservationQuery): boolean {
  return query.mdcs?.length === 0 && !query.wantsPanels;
}

function mdcsOf(query: ObservationQuery): { mdcs?: readonly number[] } {
  if (query.mdcs === undefined) return {};
  const all = new Set(query.mdcs);
  for (const { systolic, diastolic, mean } of PANELS) {
    const parts = [systolic.mdc, diastolic.mdc, mean.mdc];
    // Whether a part stands alone shows only beside the others.
    if (query.wantsPanels || parts.some((mdc) => all.has(mdc)))
      for (const mdc of parts) all.add(mdc);
  }
  return { mdcs: [...all] };
}

function boundsOf(query: ObservationQuery, nowMs: number): { fromMs: number; toMs: number } {
  let { fromMs, toMs } = query;
  toMs = Math.min(toMs, nowMs + FUTURE_MS);
  if (query.cursor !== undefined) {
    if (query.newestFirst) toMs = Math.min(toMs, query.cursor.timeMs + 1);
    else fromMs = Math.max(fromMs, query.cursor.timeMs);
  }
  return { fromMs, toMs };
}

function cursorAfter(page: readonly Found[], before: Cursor | undefined): Cursor | undefined {
  const last = page.at(-1);
  if (last === undefined) return before;
  const sameTime = page.filter((one) => one.timeMs === last.timeMs).length;
  const carried = before?.timeMs === last.timeMs ? before.given : 0;
  return { timeMs: last.timeMs, given: carried + sameTime };
}

/** Instants at which a blood pressure was measured: a mean beside a systolic or diastolic is a part of it. */
interface Panels {
  readonly pressures: Set<string>;
  readonly means: Set<string>;
}

function countChunk(chunk: SeriesChunk, fromMs: number, toMs: number, panels: Panels): number {
  const metric: Metric | undefined = metricByMdc(chunk.mdc);
  if (metric === undefined || chunk.unreadable !== undefined) return 0;
  const panel = panelOf(chunk.mdc);
  let count = 0;
  for (const timeMs of chunk.timesMs) {
    if (timeMs < fromMs || timeMs >= toMs) continue;
    if (panel === undefined) count++;
    else {
      const kind = metric === panel.mean ? panels.means : panels.pressures;
      kind.add(`${panel.mean.mdc} ${chunk.deviceId} ${chunk.exponent} ${timeMs}`);
    }
  }
  return count;
}

function countPanels({ pressures, means }: Panels, query: ObservationQuery): number {
  let count = query.wantsPanels ? pressures.size : 0;
  for (const mean of means) {
    const mdc = Number(mean.split(" ")[0]);
    if (!pressures.has(mean) && wantsAlone(query, mdc)) count++;
  }
  return count;
}

/** A part of a panel that stands alone is found by its own code, not by the panel's. */
function wantsAlone(query: ObservationQuery, mdc: number): boolean {
  return query.mdcs === undefined || query.mdcs.includes(mdc);
}

function matches(subject: Subject, query: ObservationQuery): boolean {
  return isPanel(subject) ? query.wantsPanels : wantsAlone(query, subject.metric.mdc);
}
