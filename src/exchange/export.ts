/**
 * Export of stored samples, as they were sealed: one line a sample, with device, envelope number and
 * time. Permit-checked like any read, and again for each chunk; one patient, one permit, one entry.
 */
import { Readable } from "node:stream";
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import type { Access } from "../access/access.ts";
import type { Permit } from "../access/permit.ts";
import { Problem } from "../problems.ts";
import type { SeriesChunk } from "../store/chunk.ts";
import type { Store } from "../store/store.ts";
import { metricByMdc } from "../vitals/metric.ts";
import { markFlags, qualityFlags } from "../vitals/quality.ts";

export const FORMATS = ["ndjson", "csv"] as const;
export type Format = (typeof FORMATS)[number];

const CSV_COLUMNS =
  "patient,device,session,sequence,mdc,metric,time,value,unit,quality,marks,received";

const Query = z.strictObject({
  format: z.enum(FORMATS).default("ndjson"),
  from: z.iso.datetime({ offset: true }).optional(),
  to: z.iso.datetime({ offset: true }).optional(),
});
const Params = z.strictObject({ patientId: z.uuid() });

/** GET /api/patients/:patientId/export?format=ndjson|csv&from&to. Streams; breaks off, so that the client
 * sees an incomplete transfer, when the permit ends on the way. */
export function registerExportRoutes(
  app: FastifyInstance,
  { access, store }: { access: Access; store: Store },
): void {
  app.get(
    "/api/patients/:patientId/export",
    { schema: { params: Params, querystring: Query } },
    async (request, reply) => {
      const principal = await access.authenticate(request);
      const { patientId } = request.params as z.output<typeof Params>;
      const { format, from, to } = request.query as z.output<typeof Query>;
      const permit = await access.permit({
        principal,
        patientId,
        purpose: "TREAT",
        categories: "all",
        action: "export",
      });
      const range = {
        fromMs: from === undefined ? 0 : Date.parse(from),
        toMs: to === undefined ? Number.MAX_SAFE_INTEGER : Date.parse(to),
      };
      if (range.fromMs >= range.toMs) {
        throw new Problem("bad-request", { detail: "query.from must be before query.to" });
      }
      reply.header("cache-control", "no-store");
      reply.type(format === "csv" ? "text/csv; charset=utf-8" : "application/x-ndjson");
      return reply.send(Readable.from(lines(store, permit, range, format)));
    },
  );
}

/** The export's text, a chunk of the store at a time.
 * @throws Problem "series-damaged" after the last row of a CSV that lacks what could not be read. */
export async function* lines(
  store: Store,
  permit: Permit,
  range: { fromMs: number; toMs: number },
  format: Format,
): AsyncGenerator<string> {
  if (format === "csv") yield `${CSV_COLUMNS}\n`;
  let isWhole = true;
  for await (const chunk of store.read(permit, range)) {
    if (chunk.unreadable !== undefined) isWhole = false;
    yield* format === "csv" ? csvOf(chunk, permit.patientId) : ndjsonOf(chunk, permit.patientId);
  }
  // A table has no row for what is missing: a transfer that fails cannot be taken for a whole one.
  if (format === "csv" && !isWhole) throw new Problem("series-damaged");
}

const LINES_A_PIECE = 2_000;

function* ndjsonOf(chunk: SeriesChunk, patientId: string): Generator<string> {
  if (chunk.unreadable !== undefined) {
    const { fromMs, toMs, problem } = chunk.unreadable;
    yield `${JSON.stringify({ patient: patientId, mdc: chunk.mdc, unreadable: problem, from: iso(fromMs), to: iso(toMs) })}\n`;
    return;
  }
  yield* pieces(chunk, (at) => JSON.stringify(rowOf(chunk, at, patientId)));
}

function* csvOf(chunk: SeriesChunk, patientId: string): Generator<string> {
  // An unreadable stretch has no sample to list; `lines` ends in a failure, the ndjson form names it.
  if (chunk.unreadable !== undefined) return;
  yield* pieces(chunk, (at) => {
    const row = rowOf(chunk, at, patientId);
    return [
      row.patient,
      row.device,
      row.session,
      row.sequence,
      row.mdc,
      row.metric,
      row.time,
      row.value,
      row.unit,
      row.quality.join(" "),
      row.marks.join(" "),
      row.received,
    ].join(",");
  });
}

function* pieces(chunk: SeriesChunk, line: (at: number) => string): Generator<string> {
  let piece: string[] = [];
  for (let at = 0; at < chunk.timesMs.length; at++) {
    piece.push(line(at));
    if (piece.length === LINES_A_PIECE) {
      yield `${piece.join("\n")}\n`;
      piece = [];
    }
  }
  if (piece.length > 0) yield `${piece.join("\n")}\n`;
}

function rowOf(chunk: SeriesChunk, at: number, patientId: string) {
  const metric = metricByMdc(chunk.mdc);
  return {
    patient: patientId,
    device: chunk.deviceId,
    session: chunk.sessions[chunk.sessionOf[at] ?? 0] ?? chunk.sessionId,
    sequence: chunk.sequences[at] ?? 0,
    mdc: chunk.mdc,
    metric: metric?.id ?? "",
    time: iso(chunk.timesMs[at] ?? 0),
    // The decimal as sealed, never a float that was computed.
    value: Number(`${chunk.mantissas[at] ?? 0}e${chunk.exponent}`),
    unit: metric?.unit ?? "",
    quality: qualityFlags(chunk.quality[at] ?? 0),
    marks: markFlags(chunk.marks[at] ?? 0),
    received: iso(chunk.receivedMs[at] ?? 0),
  };
}

/** Waveforms have times between milliseconds: those keep their fraction. */
function iso(timeMs: number): string {
  const whole = new Date(Math.floor(timeMs)).toISOString();
  const micros = Math.round((timeMs - Math.floor(timeMs)) * 1000);
  return micros === 0 ? whole : `${whole.slice(0, -1)}${String(micros).padStart(3, "0")}Z`;
}
