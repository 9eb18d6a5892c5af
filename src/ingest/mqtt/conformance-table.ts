/**
 * The conformance listener's throw-away table: what was acknowledged at QoS 1 and 2, on disk before the
 * acknowledgement. If lost or altered: nothing, it never holds a patient's data.
 */
import { DatabaseSync } from "node:sqlite";
import { limits } from "../../limits.ts";
import { Problem, type ProblemCode } from "../../problems.ts";
import type { QoS } from "./packets.ts";

export const TABLE_FILE = "conformance.sqlite";

export interface KeptMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
}

interface Waiting {
  readonly message: KeptMessage;
  readonly then: () => void;
  readonly resolve: (problem: ProblemCode | undefined) => void;
}

/** Gathers what one turn of the event loop brought and commits it once (synchronous=FULL). */
export class ConformanceTable {
  readonly #database: DatabaseSync;
  readonly #insert: ReturnType<DatabaseSync["prepare"]>;
  #waiting: Waiting[] = [];

  /** @param path the SQLite file; made if missing. */
  constructor(path: string) {
    this.#database = new DatabaseSync(path);
    this.#database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      PRAGMA max_page_count = ${limits.conformancePagesMax};
      CREATE TABLE IF NOT EXISTS message (
        number INTEGER PRIMARY KEY, topic TEXT NOT NULL, payload BLOB NOT NULL, qos INTEGER NOT NULL
      ) STRICT;`);
    this.#insert = this.#database.prepare(
      "INSERT INTO message (topic, payload, qos) VALUES (?, ?, ?)",
    );
  }

  /** Keeps a message (QoS 0 is not kept) and then calls `then`, in the order of the calls.
   * @returns "storage-unavailable" if it could not be kept; `then` is not called. */
  keep(message: KeptMessage, then: () => void): Promise<ProblemCode | undefined> {
    if (this.#waiting.length === 0) setImmediate(() => this.#commit());
    return new Promise((resolve) => this.#waiting.push({ message, then, resolve }));
  }

  #commit(): void {
    const group = this.#waiting;
    this.#waiting = [];
    let problem: ProblemCode | undefined;
    const kept = group.filter((one) => one.message.qos > 0);
    try {
      if (kept.length > 0) this.#write(kept);
    } catch (error) {
      problem = "storage-unavailable";
      // The disk or the page bound is full: a refusal. Anything else is a fault and must rise.
      if (!isFull(error)) throw new Problem("internal-fault", { cause: error });
    }
    for (const one of group) {
      const refused = one.message.qos > 0 ? problem : undefined;
      if (!refused) one.then();
      one.resolve(refused);
    }
  }

  #write(kept: readonly Waiting[]): void {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      for (const { message } of kept) {
        this.#insert.run(message.topic, message.payload, message.qos);
      }
      this.#database.exec("COMMIT");
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  close(): void {
    this.#commit();
    this.#database.close();
  }
}

/** SQLITE_FULL (13) or SQLITE_IOERR (10): the place to keep things is away. */
function isFull(error: unknown): boolean {
  const code = (error as { errcode?: number }).errcode;
  return code !== undefined && ((code & 0xff) === 13 || (code & 0xff) === 10);
}

/** Reads what was kept, oldest first; beside a running listener, too. */
export function* exportTable(path: string): Generator<KeptMessage> {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const rows = database.prepare("SELECT topic, payload, qos FROM message ORDER BY number");
    for (const row of rows.iterate()) yield row as unknown as KeptMessage;
  } finally {
    database.close();
  }
}
