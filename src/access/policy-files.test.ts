import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { StartRefusal } from "../start-refusal.ts";
import { loadPolicies } from "./policy-files.ts";
import { PURPOSES } from "./purposes.ts";
import { POLICY_ROLES, SERVICE_NAMES } from "./roles.ts";

const FOLDER = fileURLToPath(new URL("policies", import.meta.url));

/** A copy of the policies that a test may spoil. */
function copyOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "vitalward-policies-"));
  t.after(() => rmSync(folder, { recursive: true }));
  cpSync(FOLDER, folder, { recursive: true });
  return folder;
}

const good = `// Nurses read.
@id("extra")
@title("Extra")
@part("not-denied")
permit (principal is Person in Role::"nurse", action == Action::"read", resource is Data);
`;

test("a broken policy stops the start, by file and line", (t) => {
  const folder = copyOf(t);
  const cases: [text: string, said: RegExp][] = [
    [good.replace("resource is", "resource iss"), /^policies\/extra\.cedar:5: .*unexpected token/],
    [good.replace("nurse", "nourse"), /^policies\/extra\.cedar:5: .*nourse/],
    [good.replace("Person in", "Human in"), /^policies\/extra\.cedar:5: .*Human/],
    [good.replace('"read"', '"raed"'), /^policies\/extra\.cedar:5: .*raed/],
    [
      good.replace(";", '\nwhen { context.careteam == "x" };'),
      /^policies\/extra\.cedar:6: .*careteam/,
    ],
    // Optional, and not asked for before it is used.
    [
      good.replace(";", "\nwhen { context.careTeam.from < context.now };"),
      /^policies\/extra\.cedar:6: .*careTeam/,
    ],
    // It could never apply: a mistake of its writer.
    [good.replace(";", "\nwhen { false };"), /^policies\/extra\.cedar:2: .*impossible/],
    [good.replace('@id("extra")\n', ""), /^policies\/extra\.cedar:2: .*@id/],
    [good.replace('"extra"', '"Extra One"'), /^policies\/extra\.cedar:2: .*@id/],
    [good.replace('"extra"', '"break-glass"'), /^policies\/extra\.cedar:2: .*emergency\.cedar:4/],
    [good.replace('@title("Extra")\n', ""), /^policies\/extra\.cedar:2: .*@title/],
    [good.replace("// Nurses read.\n", ""), /^policies\/extra\.cedar:1: .*comment/],
    [good.replace('@part("not-denied")\n', ""), /^policies\/extra\.cedar:2: .*@part/],
    [good.replace("not-denied", "some"), /^policies\/extra\.cedar:2: .*@part/],
    [good.replace("@part", '@duties("sing")\n@part'), /^policies\/extra\.cedar:2: .*duty/],
    [good.replace("@part", '@colour("red")\n@part'), /^policies\/extra\.cedar:2: .*@colour/],
    [good.replace(" is Data", " is Log").replace('"read"', '"read-log"'), /:2: .*has a @part/],
    [good.replace("principal is Person", "principal in ?principal"), /^policies\/extra\.cedar:/],
  ];
  for (const [text, said] of cases) {
    writeFileSync(join(folder, "extra.cedar"), text);
    assert.throws(
      () => loadPolicies(folder),
      (error) => error instanceof StartRefusal && said.test(error.message),
      `${said}`,
    );
  }
  writeFileSync(join(folder, "extra.cedar"), good);
  assert.ok(loadPolicies(folder).entries.has("extra"));
});

test("the line is right after letters that take several bytes", (t) => {
  const folder = copyOf(t);
  writeFileSync(
    join(folder, "extra.cedar"),
    `// Äußerung über Öl.\n\n${good.replace("nurse", "x")}`,
  );
  assert.throws(() => loadPolicies(folder), /^StartRefusal: policies\/extra\.cedar:7: /);
});

test("a broken or missing schema stops the start, by file and line", (t) => {
  const folder = copyOf(t);
  const file = join(folder, "schema.cedarschema");
  const schema = readFileSync(file, "utf8");
  const line = schema.split("\n").findIndex((one) => one.includes("suspended: Bool")) + 1;
  writeFileSync(file, schema.replace("suspended: Bool", "suspended: Boool"));
  assert.throws(
    () => loadPolicies(folder),
    (error) =>
      error instanceof Error && error.message.startsWith(`policies/schema.cedarschema:${line}: `),
  );
  rmSync(file);
  assert.throws(() => loadPolicies(folder), /schema\.cedarschema: cannot be read/);
});

test("a folder without policies stops the start", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "vitalward-policies-"));
  t.after(() => rmSync(folder, { recursive: true }));
  cpSync(join(FOLDER, "schema.cedarschema"), join(folder, "schema.cedarschema"));
  assert.throws(() => loadPolicies(folder), /there is no policy/);
});

test("the edition changes with any letter of any policy", (t) => {
  const folder = copyOf(t);
  const before = loadPolicies(folder).version;
  assert.equal(loadPolicies(folder).version, before);
  assert.equal(loadPolicies().version, before);
  const file = join(folder, "care.cedar");
  writeFileSync(file, readFileSync(file, "utf8").replace("to treat", "to heal"));
  assert.notEqual(loadPolicies(folder).version, before);
});

test("the schema names the roles, services and purposes that the program knows, and no other", () => {
  const schema = readFileSync(join(FOLDER, "schema.cedarschema"), "utf8");
  const namesOf = (entity: string) => {
    const list = new RegExp(`entity ${entity} enum \\[([^\\]]*)\\]`).exec(schema)?.[1] ?? "";
    return [...list.matchAll(/"([^"]+)"/g)].map(([, name]) => name).sort();
  };
  assert.deepEqual(namesOf("Role"), Object.keys(POLICY_ROLES).sort());
  assert.deepEqual(namesOf("Service"), [...SERVICE_NAMES].sort());
  assert.deepEqual(namesOf("Purpose"), [...PURPOSES].sort());
});
