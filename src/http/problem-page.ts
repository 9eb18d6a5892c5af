/** /problems/<code>: what each refusal's type URI leads to (RFC 9457 §3.1.1), as page or JSON. */
import type { FastifyInstance } from "fastify";
import { PROBLEMS, Problem, type ProblemCode, type ProblemRow } from "../problems.ts";

function page(code: string, row: ProblemRow): string {
  // Codes and titles come from our own table and hold no markup; the test says so.
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>${code} – Vitalward</title></head>
<body>
<h1>${code}</h1>
<p>${row.title}.</p>
<dl><dt>HTTP status</dt><dd>${row.status}</dd><dt>FHIR issue type</dt><dd>${row.issue}</dd></dl>
<p>All problems, with what to do: docs/problems.md.</p>
</body>
</html>
`;
}

export function registerProblemPages(app: FastifyInstance): void {
  app.get<{ Params: { code: string } }>(
    "/problems/:code",
    { schema: { hide: true } },
    async (request, reply) => {
      const code = request.params.code;
      if (!Object.hasOwn(PROBLEMS, code)) throw new Problem("not-found");
      const row = PROBLEMS[code as ProblemCode];
      if ((request.headers.accept ?? "").includes("application/json")) return { code, ...row };
      reply.type("text/html; charset=utf-8");
      return page(code, row);
    },
  );
}
