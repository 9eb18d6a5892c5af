/**
 * A lock between processes that the kernel takes back when its holder dies, however it dies.
 * It is a SQLite file held in an exclusive transaction: fcntl locks without a native add-on.
 * The file itself says nothing and is never removed; losing or altering it costs nothing.
 */
import { chmodSync, closeSync, openSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";

export interface FileLock {
  /** May be called twice. */
  release(): void;
}

/** @returns the lock, or undefined while another holder (this process or another) has it. */
export function tryLock(path: string): FileLock | undefined {
  closeSync(openSync(path, "a", 0o600));
  chmodSync(path, 0o600);
  const file = new DatabaseSync(path, { timeout: 0 });
  try {
    file.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
  } catch (error) {
    file.close();
    if (isBusy(error)) return undefined;
    throw error;
  }
  return {
    release: () => {
      if (file.isOpen) file.close();
    },
  };
}

/** Waits for the lock at most `waitMs`. @returns undefined when it did not come free. */
export async function lockWithin(path: string, waitMs: number): Promise<FileLock | undefined> {
  const endMs = performance.now() + waitMs;
  for (;;) {
    const lock = tryLock(path);
    if (lock || performance.now() > endMs) return lock;
    await sleep(50);
  }
}

function isBusy(error: unknown): boolean {
  const code = (error as { errcode?: number }).errcode;
  return code === 5 || code === 261 || code === 6; // SQLITE_BUSY, SQLITE_BUSY_RECOVERY, SQLITE_LOCKED
}
