/** Alone turns a Problem into a response: OperationOutcome under /fhir, problem details (RFC 9457) elsewhere. */
import type { FastifyReply, FastifyRequest } from "fastify";
import { diagnostics } from "../diagnostics.ts";
import { Problem, type ProblemCode } from "../problems.ts";

/** RFC 9457 §3.1. */
export interface ProblemDetails {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail?: string;
  /** The request's id, so that a caller can name it to an operator. */
  readonly instance: string;
}

export function toProblemDetails(problem: Problem, requestId: string): ProblemDetails {
  return {
    type: `/problems/${problem.code}`,
    title: problem.row.title,
    status: problem.row.status,
    ...(problem.detail === undefined ? {} : { detail: problem.detail }),
    instance: `urn:vitalward:request:${requestId}`,
  };
}

/** FHIR R4 OperationOutcome with one issue. */
export function toOperationOutcome(problem: Problem) {
  return {
    resourceType: "OperationOutcome" as const,
    issue: [
      {
        severity: problem.code === "internal-fault" ? ("fatal" as const) : ("error" as const),
        code: problem.row.issue,
        details: {
          coding: [{ system: "https://vitalward.example/problems", code: problem.code }],
          text: problem.row.title,
        },
        ...(problem.detail === undefined ? {} : { diagnostics: problem.detail }),
      },
    ],
  };
}

/** Fastify's own refusals, in our words. */
const FASTIFY_CODES: Record<string, ProblemCode> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: "unsupported-media-type",
  FST_ERR_CTP_BODY_TOO_LARGE: "body-too-large",
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: "bad-request",
  FST_ERR_CTP_EMPTY_JSON_BODY: "bad-request",
  FST_ERR_CTP_INVALID_JSON_BODY: "bad-request",
  FST_ERR_CTP_EMPTY_TYPE: "unsupported-media-type",
  FST_ERR_BAD_URL: "bad-request",
  FST_ERR_MAX_PARAM_LENGTH: "bad-request",
  FST_ERR_ASYNC_CONSTRAINT: "bad-request",
};

/** Anything thrown → a Problem. What is not ours is an internal fault, recorded with the request's id. */
export function toProblem(error: unknown, requestId: string): Problem {
  if (error instanceof Problem) return error;
  const code = (error as { code?: unknown } | null)?.code;
  const known = typeof code === "string" ? FASTIFY_CODES[code] : undefined;
  if (known !== undefined) return new Problem(known);
  if (error instanceof SyntaxError && (error as { statusCode?: number }).statusCode === 400) {
    return new Problem("bad-request", { detail: "the body is not JSON" });
  }
  // The file server's refusals: a path that leads out of its folder, a range that is none.
  const status = (error as { statusCode?: unknown } | null)?.statusCode;
  if (status === 403 || status === 404) return new Problem("not-found");
  if (typeof status === "number" && status >= 400 && status < 500) {
    return new Problem("bad-request");
  }
  diagnostics.error({ requestId, fault: faultOf(error) }, "internal fault");
  return new Problem("internal-fault");
}

/** Where an unknown error arose, without its message, which may hold a value. */
function faultOf(error: unknown) {
  if (!(error instanceof Error)) return { name: typeof error };
  const code = (error as { code?: unknown }).code;
  return {
    name: error.name,
    ...(typeof code === "string" ? { code } : {}),
    // The stack's first line repeats the message: only the places follow.
    at: (error.stack ?? "")
      .split("\n")
      .filter((line) => /^\s+at /.test(line))
      .slice(0, 8),
  };
}

/** Sends the refusal. Every door of this server ends here. */
export function respond(
  request: FastifyRequest,
  reply: FastifyReply,
  error: unknown,
): FastifyReply {
  const problem = toProblem(error, request.id);
  reply.code(problem.row.status).header("cache-control", "no-store");
  if (problem.row.status === 401) reply.header("www-authenticate", 'Bearer realm="vitalward"');
  if (request.url.startsWith("/fhir")) {
    return reply
      .type("application/fhir+json; charset=utf-8")
      .serializer(JSON.stringify)
      .send(toOperationOutcome(problem));
  }
  return reply
    .type("application/problem+json")
    .serializer(JSON.stringify)
    .send(toProblemDetails(problem, request.id));
}
