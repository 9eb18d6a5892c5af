import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { filesEnding, importsOf, isTest, packageOf, ROOT } from "./sources.ts";

/** Folder → what it may import: folders, or single files where only those are meant. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  "src/vitals": [],
  "src/http": [],
  "src/postgres": [],
  "src/envelope": ["src/vitals", "src/transparency/tree.ts"],
  "src/transparency": ["src/postgres", "src/vault/seal.ts"],
  "src/registry": ["src/transparency", "src/postgres", "src/vault", "src/http", "src/envelope"],
  "src/access": [
    "src/registry",
    "src/transparency",
    "src/postgres",
    "src/vault",
    "src/http",
    "src/vitals",
  ],
  "src/vault": ["src/access", "src/postgres", "src/vitals"],
  "src/store": [
    "src/vitals",
    "src/envelope",
    "src/vault",
    "src/access",
    "src/postgres",
    "src/transparency/tree.ts",
  ],
  "src/device": [
    "src/vitals",
    "src/envelope",
    "src/transparency/tree.ts",
    "src/transparency/verify.ts",
  ],
  "src/ingest": [
    ...["src/vitals", "src/envelope", "src/registry", "src/store", "src/transparency"],
    ...["src/http", "src/vault", "src/postgres"],
  ],
  "src/ward": [
    ...["src/store", "src/access", "src/registry", "src/vitals", "src/http", "src/envelope"],
    ...["src/transparency", "src/ingest", "src/postgres"],
  ],
  "src/fhir": [
    ...["src/vitals", "src/store", "src/access", "src/registry", "src/transparency"],
    ...["src/http", "src/ingest", "src/postgres"],
  ],
  "src/exchange": [
    ...["src/vitals", "src/fhir", "src/store", "src/access", "src/registry", "src/http"],
    "src/postgres",
  ],
  "src/cli": ["src"],
  console: [
    "src/vitals",
    "src/envelope",
    "src/transparency/verify.ts",
    "src/transparency/tree.ts",
    "src/ward/schema.ts",
  ],
  demo: ["src/vitals", "src/device"],
};

/** Files at the top of src/ that only the start of the program may import. */
const STARTERS = [
  "src/main.ts",
  "src/config.ts",
  "src/doors.ts",
  "src/demonstration.ts",
  "src/data-folder.ts",
  "src/passphrase.ts",
  "src/ports.ts",
];

/** One import door per dependency: package → where it may be imported (types excepted). */
const DOORS: Record<string, readonly string[]> = {
  pg: ["src/postgres"],
  "pg-copy-streams": ["src/postgres", "src/store"],
  "node:sqlite": ["src/vault", "src/file-lock.ts", "src/ingest/mqtt", "src/cli"],
  mqtt: ["src/device"],
  "mqtt-packet": ["src/ingest"],
  aedes: [],
  fastify: ["src/http", "src/ingest"],
  commander: ["src/cli"],
  pino: ["src/diagnostics.ts"],
  "prom-client": ["src/diagnostics.ts"],
  "@peculiar/x509": ["src/registry", "src/device", "src/cli"],
  hpke: ["src/envelope"],
  "@cedar-policy/cedar-wasm": ["src/access"],
};

const code = filesEnding([".ts", ".tsx"], ["src/", "console/", "demo/"]).filter((f) => !isTest(f));

function folderOf(file: string): string {
  const [first = "", second = "", third] = file.split("/");
  return first === "src" && third !== undefined ? `src/${second}` : first;
}

function isWithin(file: string, places: readonly string[]): boolean {
  return places.some((place) => file === place || file.startsWith(`${place}/`));
}

test("every folder imports only from the folders below it", () => {
  const wrong: string[] = [];
  for (const file of code) {
    const folder = folderOf(file);
    const allowed = MAY_IMPORT[folder];
    if (folder === "src") continue; // the root files: main wires all, the others are checked below
    if (allowed === undefined) {
      wrong.push(`${file}: the folder ${folder} has no row in the table of imports`);
      continue;
    }
    for (const { path } of importsOf(file)) {
      if (path === undefined || isWithin(path, [folder, ...allowed])) continue;
      const isOpenRoot = /^src\/[^/]+\.ts$/.test(path) && !STARTERS.includes(path);
      if (!isOpenRoot) wrong.push(`${file} imports ${path}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("root files other than the starters import no folder", () => {
  const wrong = code
    .filter((file) => /^src\/[^/]+\.ts$/.test(file) && !STARTERS.includes(file))
    .flatMap((file) =>
      importsOf(file)
        .filter(({ path, isType }) => !isType && path !== undefined && !/^src\/[^/]+$/.test(path))
        .map(({ path }) => `${file} imports ${path}`),
    );
  assert.deepEqual(wrong, []);
});

test("no file imports itself by way of others", () => {
  const graph = new Map(
    code.map((file) => [
      file,
      importsOf(file).flatMap((one) => (one.isType || one.path === undefined ? [] : [one.path])),
    ]),
  );
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(" → "));
    else if (!done.has(file)) {
      for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
      done.add(file);
    }
  };
  for (const file of graph.keys()) visit(file, []);
  assert.deepEqual(circles, []);
});

test("each dependency has one import door", () => {
  const wrong: string[] = [];
  for (const file of code) {
    for (const { name, path, isType } of importsOf(file)) {
      const places = path === undefined ? DOORS[packageOf(name)] : undefined;
      if (places !== undefined && !isType && !isWithin(file, places)) {
        wrong.push(`${file} imports ${name}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
});

test("the demonstration ward uses the device SDK and public doors only", () => {
  const wrong = filesEnding([".ts"], ["demo/"])
    .filter((file) => !isTest(file))
    .flatMap((file) =>
      importsOf(file)
        .filter(({ path }) => path !== undefined)
        .filter(({ path }) => !isWithin(path as string, ["demo", "src/vitals", "src/device"]))
        .filter(({ path }) => !/^src\/(limits|clock|problems)\.ts$/.test(path as string))
        .map(({ path }) => `${file} imports ${path}`),
    );
  assert.deepEqual(wrong, []);
});

test("every relative import names a file that is there, with its ending", () => {
  const wrong = filesEnding([".ts", ".tsx", ".mjs"]).flatMap((file) =>
    importsOf(file)
      .filter(({ path }) => path !== undefined && !existsSync(join(ROOT, path)))
      .map(({ name }) => `${file} imports ${name}`),
  );
  assert.deepEqual(wrong, []);
});

test("only types and tests reach into lab, bench or test from the product", () => {
  const wrong = code.flatMap((file) =>
    importsOf(file)
      .filter(({ path }) => path !== undefined && /^(test|bench|lab)\//.test(path))
      .map(({ path }) => `${file} imports ${path}`),
  );
  assert.deepEqual(wrong, []);
});
