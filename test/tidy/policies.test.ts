import assert from "node:assert/strict";
import { test } from "node:test";
import { policiesPage } from "./policies-page.ts";
import { text } from "./sources.ts";

test("the tables of docs/policies.md are as the policies have it", () => {
  const page = text("docs/policies.md");
  for (const name of ["policies", "roles", "said"]) {
    assert.ok(page.includes(`<!-- table: ${name} -->`), `the table ${name} is there`);
  }
  assert.equal(
    page,
    policiesPage(),
    "write it again: node scripts/run.mjs test/tidy/policies-page.ts",
  );
});
