/**
 * Writes our own vectors again: `node test/vectors/generate.ts`. From fixed seeds, so that nothing
 * changes unless the format does; then it says which files changed.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { batchVectors } from "./batch-vectors.ts";
import { blockVectors } from "./block-vectors.ts";
import { ENCAPSULATIONS, type Encapsulations, readEncapsulations } from "./chance.ts";
import { sessionVectors } from "./session-vectors.ts";

export const FOLDER = fileURLToPath(new URL("vitalward/", import.meta.url));

/** @param mayAdd whether ML-KEM may be asked for encapsulations that are not on file. */
export function vectors(known: Encapsulations, mayAdd: boolean): Record<string, string> {
  const text = (made: object) => `${JSON.stringify(made, null, 1)}\n`;
  return {
    "batches.json": text(batchVectors()),
    "blocks.json": text(blockVectors()),
    "sessions.json": text(sessionVectors(known, mayAdd)),
  };
}

function write(path: string, text: string): void {
  if (existsSync(path) && readFileSync(path, "utf8") === text) return;
  writeFileSync(path, text);
  console.log(`changed: ${path}`);
}

if (import.meta.main) {
  const known = readEncapsulations();
  for (const [name, text] of Object.entries(vectors(known, true))) write(`${FOLDER}${name}`, text);
  write(ENCAPSULATIONS, `${JSON.stringify(known, null, 1)}\n`);
}
