/** The keystore's file: SQLite in WAL with synchronous=FULL, folder 0700, file 0600. */
import { chmodSync, closeSync, mkdirSync, openSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { Problem } from "../problems.ts";
import { SCHEMA, SQL } from "./tables.ts";

export const KEYSTORE_FILE = "keystore.sqlite";

type Row = Record<string, number | string | Uint8Array | null>;

export interface KeystoreFile {
  get(statement: keyof typeof SQL, ...values: SQLInputValue[]): Row | undefined;
  all(statement: keyof typeof SQL, ...values: SQLInputValue[]): Row[];
  run(statement: keyof typeof SQL, ...values: SQLInputValue[]): void;
  /** Everything in `work` becomes durable in one step, or nothing of it. */
  transaction(work: () => void): void;
  /** Leaves no byte of deleted rows in the file or its log. */
  scrub(): void;
  /** @throws Problem "keystore-unavailable" when the file was taken away. */
  assertPresent(): void;
  close(): void;
}

/** @throws Problem "keystore-unavailable". Every statement below may throw it, too. */
export function openKeystoreFile(dir: string): KeystoreFile {
  const path = join(dir, KEYSTORE_FILE);
  const file = guarded(() => {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    chmodSync(dir, 0o700);
    closeSync(openSync(path, "a", 0o600));
    chmodSync(path, 0o600);
    const opened = new DatabaseSync(path);
    opened.exec(
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON; PRAGMA busy_timeout=5000;",
    );
    opened.exec(SCHEMA);
    return opened;
  });
  const { ino } = statSync(path);
  const prepared = new Map<string, StatementSync>();
  function statement(name: keyof typeof SQL): StatementSync {
    let found = prepared.get(name);
    if (!found) {
      found = file.prepare(SQL[name]);
      prepared.set(name, found);
    }
    return found;
  }
  return {
    get: (name, ...values) => guarded(() => statement(name).get(...values) as Row | undefined),
    all: (name, ...values) => guarded(() => statement(name).all(...values) as Row[]),
    run: (name, ...values) => void guarded(() => statement(name).run(...values)),
    transaction(work) {
      guarded(() => file.exec("BEGIN IMMEDIATE"));
      try {
        work();
        guarded(() => file.exec("COMMIT"));
      } catch (error) {
        if (file.isTransaction) file.exec("ROLLBACK");
        throw error;
      }
    },
    scrub: () => guarded(() => file.exec("PRAGMA wal_checkpoint(TRUNCATE)")),
    assertPresent() {
      if (guarded(() => statSync(path)).ino !== ino) throw new Problem("keystore-unavailable");
    },
    close: () => file.close(),
  };
}

/** Whatever the file system or SQLite says, the keystore is away: closed, not guessed around. */
function guarded<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new Problem("keystore-unavailable", { cause });
  }
}
