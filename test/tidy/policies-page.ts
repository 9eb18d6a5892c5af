/** Writes the tables of docs/policies.md: `node scripts/run.mjs test/tidy/policies-page.ts`. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { NOTHING_HERE, PERMITTED, REFUSALS } from "../../src/access/explain.ts";
import { loadPolicies } from "../../src/access/policy-files.ts";
import { POLICY_ROLES } from "../../src/access/roles.ts";
import { ROOT, text } from "./sources.ts";

const PAGE = "docs/policies.md";

/** The page with its tables as they must be. */
export function policiesPage(): string {
  const { entries } = loadPolicies();
  const policies = [...entries.values()].map(
    ({ id, title, effect, part, words, place }) =>
      `| \`${id}\` | ${title} | ${effect} | ${part ?? ""} | ${words} | \`${place.split(":")[0]}\` |`,
  );
  const roles = Object.entries(POLICY_ROLES).map(
    ([name, { system, code }]) => `| \`${name}\` | \`${system}\` | \`${code}\` |`,
  );
  const said = [
    ...Object.entries(REFUSALS).map(([id, words]) => `| \`${id}\` | ${words} |`),
    `| any other denial | ${NOTHING_HERE} |`,
    `| what is permitted, in whole or in part | ${PERMITTED} |`,
  ];
  const tables: Record<string, string[]> = {
    policies: [
      "| id | title | effect | part | words | file |",
      "| --- | --- | --- | --- | --- | --- |",
      ...policies,
    ],
    roles: ["| role | code system | code |", "| --- | --- | --- |", ...roles],
    said: ["| what forbade it | what the person reads |", "| --- | --- |", ...said],
  };
  return text(PAGE).replaceAll(/<!-- table: (\w+) -->[\s\S]*?<!-- end -->/g, (_, name: string) =>
    [`<!-- table: ${name} -->`, ...(tables[name] ?? []), "<!-- end -->"].join("\n"),
  );
}

if (import.meta.main) writeFileSync(join(ROOT, PAGE), policiesPage());
