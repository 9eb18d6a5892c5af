/** The console's own API. Every answer about a patient is given under a permit that was written down first. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import { patientOf, type WardParts, wardOf } from "./board.ts";
import { seriesOf, waveformOf } from "./charts.ts";
import { LiveLine } from "./live.ts";
import { toProofAnswer } from "./proofs.ts";
import {
  preferences,
  proofAnswer,
  proofQuery,
  seriesAnswer,
  seriesQuery,
  ward,
  wardPatient,
  waveformAnswer,
  waveformQuery,
} from "./schema.ts";

const PatientPath = z.strictObject({ id: z.uuid() });
type Params = z.output<typeof PatientPath>;

/** Registers /api/ward, /api/patients/*, /api/preferences and /api/live. */
export function registerWardRoutes(app: FastifyInstance, parts: WardParts): void {
  registerWard(app, parts);
  registerCharts(app, parts);
  registerProof(app, parts);
  registerPreferences(app, parts);
  registerLive(app, parts);
}

function registerWard(app: FastifyInstance, parts: WardParts): void {
  app.get(
    "/api/ward",
    { schema: { summary: "The patients of your care teams.", response: { 200: ward } } },
    async (request, reply) => {
      const principal = await asked(parts, request, reply);
      return wardOf(parts, principal);
    },
  );
  app.get<{ Params: Params }>(
    "/api/patients/:id",
    {
      schema: {
        summary: "One patient: who, devices, newest readings, the last hour small.",
        params: PatientPath,
        response: { 200: wardPatient },
      },
    },
    async (request, reply) => {
      const principal = await asked(parts, request, reply);
      return patientOf(parts, principal, request.params.id);
    },
  );
}

function registerCharts(app: FastifyInstance, parts: WardParts): void {
  app.get<{ Params: Params; Querystring: z.output<typeof seriesQuery> }>(
    "/api/patients/:id/series",
    {
      schema: {
        summary: "Stored samples for a chart, thinned to the extremes of each column of pixels.",
        params: PatientPath,
        querystring: seriesQuery,
        response: { 200: seriesAnswer },
      },
    },
    async (request, reply) => {
      const principal = await asked(parts, request, reply);
      const { mdc, from, to, width } = request.query;
      const mdcs = mdc.split(",").map(Number);
      return seriesOf(parts, principal, request.params.id, {
        mdcs,
        fromMs: from,
        toMs: to,
        width,
      });
    },
  );
  app.get<{ Params: Params; Querystring: z.output<typeof waveformQuery> }>(
    "/api/patients/:id/waveform",
    {
      schema: {
        summary: "Stored waveform runs, as sampled.",
        params: PatientPath,
        querystring: waveformQuery,
        response: { 200: waveformAnswer },
      },
    },
    async (request, reply) => {
      const principal = await asked(parts, request, reply);
      const { mdc, from, to } = request.query;
      const range = { mdc, fromMs: from, toMs: to };
      return { runs: await waveformOf(parts, principal, request.params.id, range) };
    },
  );
}

function registerProof(app: FastifyInstance, parts: WardParts): void {
  app.get<{ Params: Params; Querystring: z.output<typeof proofQuery> }>(
    "/api/patients/:id/proof",
    {
      schema: {
        summary: "All that is needed to check one batch without believing this platform.",
        params: PatientPath,
        querystring: proofQuery,
        response: { 200: proofAnswer },
      },
    },
    async (request, reply) => {
      const principal = await asked(parts, request, reply);
      const permit = await parts.access.permit({
        principal,
        patientId: request.params.id,
        purpose: "TREAT",
        // A batch is opened whole: whatever the device sealed together with the reading.
        categories: "all",
        action: "read",
      });
      try {
        const { device: deviceId, session: sessionId, sequence } = request.query;
        return toProofAnswer(await parts.proofs.proofOf(permit, { deviceId, sessionId, sequence }));
      } finally {
        parts.access.release(permit);
      }
    },
  );
}

function registerPreferences(app: FastifyInstance, parts: WardParts): void {
  app.get(
    "/api/preferences",
    { schema: { summary: "Your units, theme and locale.", response: { 200: preferences } } },
    async (request, reply) => {
      const principal = await asked(parts, request, reply);
      return parts.access.preferences(principal.id);
    },
  );
  app.put<{ Body: z.output<typeof preferences> }>(
    "/api/preferences",
    { schema: { summary: "Change your units, theme and locale.", body: preferences } },
    async (request, reply) => {
      const principal = await asked(parts, request, reply);
      await parts.access.savePreferences(principal.id, request.body);
      return reply.code(204).send();
    },
  );
}

function registerLive(app: FastifyInstance, parts: WardParts): void {
  /** Person → open lines, so that one person can not take them all. */
  const lines = new Map<string, Set<LiveLine>>();
  app.addHook("preClose", async () => {
    for (const set of lines.values()) for (const line of set) line.close();
  });
  app.get(
    "/api/live",
    {
      websocket: true,
      schema: { summary: "WebSocket: new readings as they are stored." },
      preValidation: async (request) => {
        const principal = await parts.access.authenticate(request);
        if ((lines.get(principal.id)?.size ?? 0) >= limits.liveLinesPerPerson) {
          throw new Problem("rate-limited");
        }
      },
    },
    (socket, request) => {
      // A listener must be there before anything is awaited, else a first message is lost.
      const early: string[] = [];
      const keep = (text: unknown) => {
        if (early.length < 4) early.push(String(text));
      };
      socket.on("message", keep);
      void parts.access.authenticate(request).then(
        (principal) => {
          const line = new LiveLine(parts, socket, principal, () =>
            parts.access.authenticate(request),
          );
          const set = lines.get(principal.id) ?? new Set();
          lines.set(principal.id, set.add(line));
          socket.on("close", () => {
            set.delete(line);
            if (set.size === 0) lines.delete(principal.id);
          });
          line.start();
          socket.off("message", keep);
          for (const text of early) socket.emit("message", text);
        },
        () => socket.close(4401),
      );
    },
  );
}

async function asked(parts: WardParts, request: FastifyRequest, reply: FastifyReply) {
  const principal = await parts.access.authenticate(request);
  reply.header("cache-control", "no-store");
  return principal;
}
