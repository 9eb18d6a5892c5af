/** Untrusted → typed, with a Problem that names the bad field and never repeats its value. */
import type { FastifySchemaCompiler } from "fastify";
import { z } from "zod";
import { Problem } from "../problems.ts";

const DETAIL_MAX = 300;

/** @param where "body", "query", "path": begins the field's name in the refusal.
 * @throws Problem "bad-request" naming each bad field. */
export function parse<T extends z.ZodType>(schema: T, value: unknown, where: string): z.output<T> {
  const verdict = schema.safeParse(value);
  if (verdict.success) return verdict.data;
  throw new Problem("bad-request", { detail: describe(verdict.error, where) });
}

/** "body.role: Invalid option: expected one of …"; zod's messages tell what was expected, not what came. */
function describe(error: z.ZodError, where: string): string {
  const parts = error.issues.slice(0, 5).map((issue) => {
    const field = [where, ...issue.path.map(String)].join(".");
    const words = issue.code === "unrecognized_keys" ? "has a field we do not know" : issue.message;
    return `${field}: ${words}`;
  });
  return parts.join("; ").slice(0, DETAIL_MAX);
}

const PARTS: Record<string, string> = {
  body: "body",
  querystring: "query",
  params: "path",
  headers: "headers",
};

/** Makes fastify validate `schema: { body, querystring, params }` given as zod schemas. */
export const zodValidator: FastifySchemaCompiler<unknown> = ({ schema, httpPart }) => {
  if (!(schema instanceof z.ZodType)) {
    throw new Error(`a route's ${httpPart ?? "schema"} must be a zod schema`);
  }
  return (value: unknown) => {
    const verdict = schema.safeParse(value);
    if (verdict.success) return { value: verdict.data };
    const where = PARTS[httpPart ?? ""] ?? "request";
    return { error: new Problem("bad-request", { detail: describe(verdict.error, where) }) };
  };
};
