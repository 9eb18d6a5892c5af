/** Reads published vectors, kept as they came: gzipped JSON or one JSON document a line. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

function text(path: string): string {
  const bytes = readFileSync(join(import.meta.dirname, path));
  return (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
}

export function readJson<T>(path: string): T {
  return JSON.parse(text(path)) as T;
}

export function readLines<T>(path: string): T[] {
  return text(path)
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as T);
}

/** The groups of a Wycheproof file, each with its tests. */
export function wycheproof<Group, Test>(name: string) {
  const path = `wycheproof/${name}_test.json.gz`;
  return readJson<{ testGroups: (Group & { tests: Test[] })[] }>(path).testGroups;
}

export const unhex = (hex: string) => new Uint8Array(Buffer.from(hex, "hex"));
