/**
 * How far a device has played, in a file of its own beside its identity. If it is lost, the device
 * begins anew: its past is uploaded a second time. An attacker who alters it can do no more than
 * that. Written whole and renamed, so a crash leaves the old or the new one.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";

export interface Progress {
  /** When the device first played, UTC ms. */
  anchorMs: number;
  /** Pieces of the past that were handed to the device. Counted just before: never twice. */
  pastTaken: number;
}

/** @returns undefined when the device never played. @throws Error if the file is not readable. */
export function readProgress(path: string): Progress | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  return JSON.parse(text) as Progress;
}

export function writeProgress(path: string, progress: Progress): void {
  const next = `${path}.new`;
  writeFileSync(next, `${JSON.stringify(progress)}\n`, { mode: 0o600 });
  renameSync(next, path);
}
