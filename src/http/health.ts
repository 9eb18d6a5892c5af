/** /health/live, /health/ready, /metrics: for operators' tools. Counts, times and part names only. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { diagnostics, histogram, metrics } from "../diagnostics.ts";
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";

const requestSeconds = histogram(
  "vitalward_http_request_seconds",
  "time from a request's arrival to the end of its response",
  [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  ["method", "route", "status"],
);

const ReadyAnswer = z.object({
  status: z.enum(["ready", "not-ready"]),
  checks: z.record(z.string(), z.enum(["ok", "failed"])),
});

async function checkAll(ready: Readonly<Record<string, () => Promise<void>>>) {
  const checks: Record<string, "ok" | "failed"> = {};
  await Promise.all(
    Object.entries(ready).map(async ([name, check]) => {
      try {
        await withTimeLimit(check());
        checks[name] = "ok";
      } catch (error) {
        diagnostics.warn({ part: name, fault: (error as Error).name }, "not ready");
        checks[name] = "failed";
      }
    }),
  );
  return checks;
}

async function withTimeLimit(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("too slow")), limits.readyCheckMs);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What a proxy adds: then the caller is not who holds the connection. */
const FORWARDED = ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"];

/** Who may read the counters: everybody who reaches the port himself, or who shows the token; without one,
 * nobody. */
export type MetricsDoor = "open" | { readonly token: string | undefined };

function mayRead(door: MetricsDoor, headers: IncomingHttpHeaders): boolean {
  if (door === "open") return FORWARDED.every((name) => headers[name] === undefined);
  const shown = /^bearer +(\S+)$/i.exec(headers.authorization ?? "")?.[1];
  if (shown === undefined || door.token === undefined) return false;
  // Digests are of one length, and comparing them tells nothing about the token.
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(shown), digest(door.token));
}

export function registerHealthRoutes(
  app: FastifyInstance,
  ready: Readonly<Record<string, () => Promise<void>>>,
  metricsDoor: MetricsDoor,
): void {
  app.addHook("onResponse", async (request, reply) => {
    requestSeconds.observe(
      {
        method: request.method,
        route: request.routeOptions.url ?? "(none)",
        status: String(reply.statusCode),
      },
      reply.elapsedTime / 1000,
    );
  });
  app.get(
    "/health/live",
    {
      schema: {
        summary: "The program runs.",
        response: { 200: z.object({ status: z.literal("live") }) },
      },
    },
    async () => ({ status: "live" }),
  );
  let running: Promise<Record<string, "ok" | "failed">> | undefined;
  app.get(
    "/health/ready",
    {
      schema: { summary: "Every part can work.", response: { 200: ReadyAnswer, 503: ReadyAnswer } },
    },
    async (_request, reply) => {
      // Many askers share one round of checks.
      running ??= checkAll(ready).finally(() => {
        running = undefined;
      });
      const checks = await running;
      const isReady = Object.values(checks).every((verdict) => verdict === "ok");
      reply.code(isReady ? 200 : 503).header("cache-control", "no-store");
      return { status: isReady ? "ready" : "not-ready", checks };
    },
  );
  app.get("/metrics", { schema: { hide: true } }, async (request, reply) => {
    reply.header("cache-control", "no-store");
    if (!mayRead(metricsDoor, request.headers)) {
      reply.header("www-authenticate", "Bearer");
      throw new Problem("not-signed-in", { detail: "the token is in the data folder" });
    }
    reply.type(metrics.contentType);
    return metrics.metrics();
  });
}
