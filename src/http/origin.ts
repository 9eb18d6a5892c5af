/**
 * Which sites may speak to us through a signed-in browser: ourselves only.
 * Against cross-site requests (cookie-authenticated writes, WebSocket hijack) and DNS rebinding.
 */
import { isIPv6 } from "node:net";
import type { FastifyRequest } from "fastify";
import { Problem } from "../problems.ts";

const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);
const LOOPBACK_NAMES = new Set(["localhost", "127.0.0.1", "[::1]"]);

export function isLoopback(bind: string): boolean {
  return bind === "localhost" || bind === "::1" || /^127(\.\d{1,3}){3}$/.test(bind);
}

/** @returns a check for every request; it throws Problem "unknown-host" or "foreign-origin". */
export function originCheck(o: {
  bind: string;
  secure: boolean;
  publicOrigins: readonly string[];
}): (request: FastifyRequest) => void {
  const publicOrigins = new Set(o.publicOrigins.map((origin) => new URL(origin).origin));
  const publicHosts = new Set(o.publicOrigins.map((origin) => new URL(origin).host));
  const ownName = isIPv6(o.bind) ? `[${o.bind}]` : o.bind;
  // On another address the certificate binds the name, unless the names are configured anyway.
  const namesAreKnown = isLoopback(o.bind) || publicHosts.size > 0;

  function hostOf(request: FastifyRequest): string {
    const host = (request.headers.host ?? "").toLowerCase();
    const name = host.replace(/:\d+$/, "");
    const known = LOOPBACK_NAMES.has(name) || name === ownName || publicHosts.has(host);
    if (host === "" || (namesAreKnown && !known)) throw new Problem("unknown-host");
    return host;
  }

  return (request) => {
    const host = hostOf(request);
    const isUpgrade = request.headers.upgrade !== undefined;
    if (SAFE_METHODS.has(request.method) && !isUpgrade) return;
    const { origin, cookie, authorization } = request.headers;
    const isOurs =
      origin !== undefined &&
      (publicOrigins.has(origin) || origin === `${o.secure ? "https" : "http"}://${host}`);
    if (isOurs) return;
    // No cookie: nothing a foreign page could borrow. With a bearer token the caller is a program.
    if (cookie === undefined && (origin === undefined || authorization !== undefined)) return;
    throw new Problem("foreign-origin");
  };
}
