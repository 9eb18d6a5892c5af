/** The project's own files as the tidy tests see them: names, texts and imports. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

export interface Import {
  /** As written: "./permit.ts", "node:fs", "pg". */
  readonly name: string;
  /** For a relative one, the file from the root of the clone: "src/access/permit.ts". */
  readonly path: string | undefined;
  /** `import type` or `export type`: gone when the program runs. */
  readonly isType: boolean;
}

let listed: string[] | undefined;

/** Every file that git follows, or would if it were added; paths from the root of the clone. */
export function files(): string[] {
  if (listed === undefined) {
    const args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    const git = spawnSync("git", args, { cwd: ROOT, encoding: "utf8", maxBuffer: 64 << 20 });
    if (git.status !== 0) throw new Error(`git ls-files failed: ${git.stderr}`);
    listed = git.stdout.split("\0").filter((file) => file !== "" && existsSync(join(ROOT, file)));
  }
  return listed;
}

/** Files with one of these endings, under these folders (all without). */
export function filesEnding(
  endings: readonly string[],
  folders: readonly string[] = [""],
): string[] {
  return files().filter(
    (file) =>
      endings.some((ending) => file.endsWith(ending)) &&
      folders.some((folder) => file.startsWith(folder)),
  );
}

export function text(file: string): string {
  return readFileSync(join(ROOT, file), "utf8");
}

const STATEMENT = /^\s*(?:import|export)\s+(type\s+)?(?:[^"';]*?\sfrom\s+)?"([^"]+)"/gm;
const DYNAMIC = /\bimport\(\s*"([^"]+)"\s*\)/g;
const BY_URL = /new URL\(\s*"(\.[^"]+\.(?:ts|tsx|mjs))"\s*,\s*import\.meta\.url/g;

/** Imports of a TypeScript or JavaScript file, programs it starts by URL included. */
export function importsOf(file: string): Import[] {
  const source = text(file);
  const found: Import[] = [];
  const add = (name: string, isType: boolean) => {
    const path = name.startsWith(".") ? normalize(join(dirname(file), name)) : undefined;
    found.push({ name, path, isType });
  };
  for (const [, type, name] of source.matchAll(STATEMENT)) add(name ?? "", type !== undefined);
  for (const [, name] of source.matchAll(DYNAMIC)) add(name ?? "", false);
  for (const [, name] of source.matchAll(BY_URL)) add(name ?? "", false);
  return found;
}

/** "mqtt/build" → "mqtt", "@noble/hashes/sha2.js" → "@noble/hashes". */
export function packageOf(name: string): string {
  return name
    .split("/")
    .slice(0, name.startsWith("@") ? 2 : 1)
    .join("/");
}

export function isTest(file: string): boolean {
  return /\.test\.tsx?$/.test(file);
}
