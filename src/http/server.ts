/** The HTTP door: console, /api, /fhir, health and metrics on one fastify instance. */
import cookie from "@fastify/cookie";
import helmet from "@fastify/helmet";
import websocket from "@fastify/websocket";
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from "fastify";
import type { Clock } from "../clock.ts";
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import { StartRefusal } from "../start-refusal.ts";
import { registerConsole, sendConsolePage } from "./console.ts";
import { registerHealthRoutes } from "./health.ts";
import { registerOpenApi } from "./openapi.ts";
import { isLoopback, originCheck } from "./origin.ts";
import { registerProblemPages } from "./problem-page.ts";
import { respond } from "./respond.ts";
import { zodValidator } from "./validate.ts";

export interface HttpOptions {
  readonly bind: string;
  /** PEM. Without it only a loopback address may be bound. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** The built console (`console/dist`); absent in tests and before the first build. */
  readonly consoleDir?: string;
  /** Origins that people use to reach this server, beyond its own address ("https://ward.example"). */
  readonly publicOrigins?: readonly string[];
  /** Named checks for /health/ready: each resolves when its part can work. */
  readonly ready: Readonly<Record<string, () => Promise<void>>>;
  /** Opens /metrics where others than this machine may reach it; without one it stays shut there. */
  readonly metricsToken?: string;
  readonly version: string;
  readonly clock: Clock;
}

/** Makes the server; routes are registered on it afterwards, then `listen({ port, host: bind })`.
 * @throws StartRefusal for a bind beyond loopback without TLS: a session cookie would cross the network readable. */
export async function createHttpServer(o: HttpOptions): Promise<FastifyInstance> {
  if (!isLoopback(o.bind) && o.tls === undefined) {
    throw new StartRefusal(
      `refusing to bind ${o.bind} without TLS: set VITALWARD_TLS_CERT and VITALWARD_TLS_KEY, ` +
        "or VITALWARD_BIND to 127.0.0.1",
    );
  }
  const app = fastifyWith(o);
  installAnswers(app, o);
  const check = originCheck({
    bind: o.bind,
    secure: o.tls !== undefined,
    publicOrigins: o.publicOrigins ?? [],
  });
  await app.register(helmet, helmetOptions(o.tls !== undefined));
  await app.register(cookie);
  await app.register(websocket, {
    options: { maxPayload: limits.webSocketMessageBytesMax },
  });
  // After the WebSocket plugin's hook, which marks an upgrade: it closes the socket of a refused one.
  app.addHook("onRequest", async (request, reply) => {
    reply.header("x-request-id", request.id);
    check(request);
  });
  await registerOpenApi(app, o.version);
  // Behind a reverse proxy the whole world comes from loopback.
  const isLocal = isLoopback(o.bind) && (o.publicOrigins ?? []).length === 0;
  registerHealthRoutes(app, o.ready, isLocal ? "open" : { token: o.metricsToken });
  registerProblemPages(app);
  if (o.consoleDir !== undefined) await registerConsole(app, o.consoleDir);
  return app;
}

function fastifyWith(o: HttpOptions): FastifyInstance {
  const shared = {
    bodyLimit: limits.httpBodyBytesMax,
    requestTimeout: limits.httpRequestTimeoutMs,
    keepAliveTimeout: limits.httpKeepAliveMs,
    connectionTimeout: 0, // streams and WebSockets stay open; requests have their own bound above
    routerOptions: { maxParamLength: 200, caseSensitive: true },
    forceCloseConnections: true,
    requestIdHeader: false as const,
    genReqId: () => Buffer.from(o.clock.random(9)).toString("base64url"),
    trustProxy: false,
    logger: false,
    // Refusals before routing (a bad URL) take the same way out as all others.
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) => {
      respond(request, reply, error);
    },
  };
  const app =
    o.tls === undefined
      ? fastify(shared)
      : (fastify({
          ...shared,
          https: { cert: o.tls.cert, key: o.tls.key, minVersion: "TLSv1.3" },
        }) as unknown as FastifyInstance);
  app.server.maxConnections = limits.httpConnectionsMax;
  return app;
}

/** One way to refuse, to validate and to write JSON; the HTTPS device door uses it too. */
export function installAnswers(
  app: FastifyInstance,
  o: { consoleDir?: string | undefined } = {},
): void {
  app.setValidatorCompiler(zodValidator);
  app.setSerializerCompiler(() => (value) => JSON.stringify(value));
  app.setErrorHandler((error, request, reply) => respond(request, reply, error));
  const patterns: { method: string; pattern: RegExp }[] = [];
  app.addHook("onRoute", (route) => {
    if (route.url === "*" || route.url === "/*") return;
    const methods = Array.isArray(route.method) ? route.method : [route.method];
    const pattern = toPattern(route.url);
    for (const method of methods) patterns.push({ method, pattern });
  });
  app.setNotFoundHandler(async (request, reply) => {
    if (o.consoleDir !== undefined && (await sendConsolePage(request, reply, o.consoleDir))) {
      return reply;
    }
    const path = request.url.split("?")[0] ?? "";
    const allowed = patterns.filter(({ pattern }) => pattern.test(path)).map((one) => one.method);
    if (allowed.length === 0 || allowed.includes(request.method)) {
      return respond(request, reply, new Problem("not-found"));
    }
    reply.header("allow", [...new Set(allowed)].join(", "));
    return respond(request, reply, new Problem("method-not-allowed"));
  });
}

/** "/api/devices/:id" → a pattern for its addresses. */
function toPattern(url: string): RegExp {
  const source = url
    .replace(/[.+?^${}()|[\]\\]/g, "\\$&")
    .replace(/:[A-Za-z0-9_]+/g, "[^/]+")
    .replace(/\*/g, ".*");
  return new RegExp(`^${source}$`);
}

/** Scripts, styles and connections from this server only; nothing may frame it. */
function helmetOptions(secure: boolean): Parameters<typeof helmet>[1] {
  return {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        // Mantine writes its theme's variables into a <style> element: its one reason for 'unsafe-inline'.
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "manifest-src": ["'self'"],
        "worker-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
      },
    },
    strictTransportSecurity: secure ? { maxAge: 31_536_000, includeSubDomains: false } : false,
    referrerPolicy: { policy: "no-referrer" },
    frameguard: { action: "deny" },
  };
}
