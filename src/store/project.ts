/** Stored content → what a reader gets. */
import type { SeriesChunk } from "./chunk.ts";
import type { Content } from "./content.ts";
import type { Origins } from "./origins.ts";
import { firstAtOrAfter, type Points } from "./points.ts";
import { type Run, type Runs, runEndMs } from "./runs.ts";
import type { SeriesKey } from "./series.ts";

/** @returns the part of the content that lies in the range; none, one, or (waveforms that overlap
 * themselves) several chunks. */
export function chunksOf(
  key: SeriesKey,
  content: Content,
  fromMs: number,
  toMs: number,
): SeriesChunk[] {
  if (content.kind === "points") {
    const from = firstAtOrAfter(content.timesMs, fromMs);
    const to = firstAtOrAfter(content.timesMs, toMs);
    return from < to ? [pointChunk(key, content, from, to)] : [];
  }
  const chunks: SeriesChunk[] = [];
  let gathered: Run[] = [];
  let endMs = Number.NEGATIVE_INFINITY;
  const close = () => {
    const chunk = waveformChunk(key, content, gathered, fromMs, toMs);
    if (chunk) chunks.push(chunk);
    gathered = [];
  };
  for (const run of content.runs) {
    if (run.startMs <= endMs) close();
    gathered.push(run);
    endMs = runEndMs(run, content.rate);
  }
  close();
  return chunks;
}

function pointChunk(key: SeriesKey, points: Points, from: number, to: number): SeriesChunk {
  const count = to - from;
  const { origins } = points;
  const sequences = new Float64Array(count);
  const receivedMs = new Float64Array(count);
  const sessionOf = new Uint16Array(count);
  for (let i = 0; i < count; i++) {
    const origin = points.originOf[from + i]!;
    sequences[i] = origins.sequences[origin]!;
    receivedMs[i] = origins.receivedMs[origin]!;
    sessionOf[i] = origins.sessionOf[origin]!;
  }
  return {
    ...named(key, origins, sessionOf),
    timesMs: points.timesMs.subarray(from, to),
    mantissas: points.mantissas.subarray(from, to),
    quality: points.quality.subarray(from, to),
    marks: points.marks.subarray(from, to),
    sequences,
    receivedMs,
  };
}

function named(key: SeriesKey, origins: Origins, sessionOf: Uint16Array) {
  return {
    mdc: key.mdc,
    deviceId: key.deviceId,
    kind: key.kind,
    exponent: key.exponent,
    sessions: origins.sessions,
    sessionOf,
    sessionId: origins.sessions[sessionOf[0] ?? 0] ?? "",
    ...(key.rate && { rate: key.rate }),
  };
}

function waveformChunk(
  key: SeriesKey,
  content: Runs,
  runs: readonly Run[],
  fromMs: number,
  toMs: number,
): SeriesChunk | undefined {
  const { origins, rate } = content;
  const stepMs = (1_000 * rate.denominator) / rate.numerator;
  const parts = runs.map((run) => {
    const from = Math.max(0, Math.ceil((fromMs - run.startMs) / stepMs));
    const to = Math.min(run.values.length, Math.ceil((toMs - run.startMs) / stepMs));
    return { run, from, to };
  });
  const count = parts.reduce((sum, { from, to }) => sum + Math.max(0, to - from), 0);
  if (count === 0) return undefined;
  const timesMs = new Float64Array(count);
  const mantissas = new Int32Array(count);
  const quality = new Uint16Array(count);
  const marks = new Uint16Array(count);
  const sequences = new Float64Array(count);
  const receivedMs = new Float64Array(count);
  const sessionOf = new Uint16Array(count);
  let at = 0;
  for (const { run, from, to } of parts) {
    if (to <= from) continue;
    const end = at + to - from;
    for (let n = from; n < to; n++) timesMs[at + n - from] = run.startMs + n * stepMs;
    mantissas.set(run.values.subarray(from, to), at);
    quality.fill(run.quality, at, end);
    marks.fill(run.marks, at, end);
    sequences.fill(origins.sequences[run.origin]!, at, end);
    receivedMs.fill(origins.receivedMs[run.origin]!, at, end);
    sessionOf.fill(origins.sessionOf[run.origin]!, at, end);
    at = end;
  }
  const columns = { timesMs, mantissas, quality, marks, sequences, receivedMs };
  return { ...named(key, origins, sessionOf), ...columns };
}

/** An empty chunk that says: samples are stored here and can not be read. */
export function unreadableChunk(
  key: SeriesKey | undefined,
  fromMs: number,
  toMs: number,
): SeriesChunk {
  return {
    mdc: key?.mdc ?? 0,
    deviceId: key?.deviceId ?? "",
    kind: key?.kind ?? "points",
    exponent: key?.exponent ?? 0,
    sessionId: "",
    sessions: [],
    sessionOf: new Uint16Array(0),
    timesMs: new Float64Array(0),
    mantissas: new Int32Array(0),
    quality: new Uint16Array(0),
    marks: new Uint16Array(0),
    sequences: new Float64Array(0),
    receivedMs: new Float64Array(0),
    unreadable: { fromMs, toMs, problem: "series-damaged" },
  };
}
