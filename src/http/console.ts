/** The built console as static files; an unknown path that wants a page gets the console, which routes itself. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import fastifyStatic from "@fastify/static";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";

const NOT_PAGES = /^\/(api|fhir|v1|health|metrics|problems|log|assets|\.well-known)(\/|$|\?)/;

export async function registerConsole(app: FastifyInstance, consoleDir: string): Promise<void> {
  await app.register(fastifyStatic, {
    root: consoleDir,
    index: ["index.html"],
    // Named files carry a hash of their content; everything else is asked for anew.
    setHeaders(reply, path) {
      const isNamed = path.startsWith(join(consoleDir, "assets"));
      reply.header("cache-control", isNamed ? "public, max-age=31536000, immutable" : "no-cache");
    },
    cacheControl: false,
    dotfiles: "deny",
  });
}

/** @returns true when it answered with the console's page. */
export async function sendConsolePage(
  request: FastifyRequest,
  reply: FastifyReply,
  consoleDir: string,
): Promise<boolean> {
  const wantsPage =
    (request.method === "GET" || request.method === "HEAD") &&
    (request.headers.accept ?? "").includes("text/html") &&
    !NOT_PAGES.test(request.url);
  if (!wantsPage) return false;
  let page: Buffer;
  try {
    page = await readFile(join(consoleDir, "index.html"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
  reply.type("text/html; charset=utf-8").header("cache-control", "no-cache").send(page);
  return true;
}
