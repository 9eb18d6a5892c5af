/** Writes docs/problems.md from src/problems.ts: `node scripts/run.mjs test/tidy/problems-page.ts`. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { PROBLEMS, type ProblemRow } from "../../src/problems.ts";
import { ROOT } from "./sources.ts";

export function problemsPage(): string {
  const rows = Object.entries<ProblemRow>(PROBLEMS)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([code, row]) => `| \`${code}\` | ${row.status} | ${row.issue} | ${row.title} |`);
  return [
    "# Problems: every way Vitalward says no",
    "",
    "You got a refusal with a code and look for what it means. Codes are stable. Under `/fhir` a refusal",
    "is an OperationOutcome with the FHIR issue code, elsewhere problem details (RFC 9457).",
    "This page is written from `src/problems.ts`; a test compares the two.",
    "",
    "| code | HTTP status | FHIR issue | what it says |",
    "| --- | --- | --- | --- |",
    ...rows,
    "",
  ].join("\n");
}

if (import.meta.main) writeFileSync(join(ROOT, "docs", "problems.md"), problemsPage());
