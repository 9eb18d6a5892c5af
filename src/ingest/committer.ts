/**
 * From a judged envelope to its durable commit, and what must be true around it: each number is
 * stored at most once, whatever is cut off when. The journal row in the store's own transaction is the
 * judge: it is there if and only if the samples are.
 */
import type pg from "pg";
import { diagnostics } from "../diagnostics.ts";
import { limits } from "../limits.ts";
import { Problem, type ProblemCode } from "../problems.ts";
import type { AdmittedEnvelope, Store } from "../store/store.ts";
import { insertFork, insertGaps, saveClose, saveLink } from "./evidence-tables.ts";
import { encodeJournal, HASH_BYTES, type JournalGroup, type JournalNumber } from "./journal.ts";
import type { LiveSession } from "./live-session.ts";
import { Pending } from "./pending.ts";
import { appendJournal, foldJournal, type IngestDatabase, settleJournal } from "./tables.ts";

/** One shard group on one machine; the column is there for more. */
export const LANE = 0;
const SETTLE_EVERY_MS = 250;

export interface CommitterOptions {
  readonly database: IngestDatabase;
  readonly store: Pick<Store, "append" | "beforeCommit">;
  /** The first journal entry to write. */
  readonly nextEntry: number;
  /** Entries already applied to the sessions in memory, to be folded first. */
  readonly applied: readonly number[];
  /** Told after the durable commit, once for each envelope. */
  readonly admitted: (pending: Pending) => void;
  /** Rows to write in the same transaction for a signed block. */
  readonly writeBlock: (client: pg.PoolClient, pending: Pending) => Promise<void>;
  /** Sessions that differ from their rows. */
  readonly dirtySessions: () => LiveSession[];
  /** After a folding: keystore states, the anchor. */
  readonly folded: (newestEntry: number, sessions: readonly LiveSession[]) => Promise<void>;
}

export class Committer {
  readonly #o: CommitterOptions;
  #nextEntry: number;
  /** Envelopes of an entry that are committed but not yet applied to memory. */
  readonly #open = new Map<number, number>();
  /** Entries wholly applied, not yet folded. */
  #applied: number[];
  /** Entries whose commit's answer was lost, with their envelopes. */
  readonly #doubtful = new Map<number, Pending[]>();
  /** Envelopes handed to the store whose outcome is not told yet. */
  #under = 0;
  #quiet: (() => void) | undefined;
  #folding: Promise<void> | undefined;
  #settling = false;
  #closed = false;
  readonly #timer: NodeJS.Timeout;

  constructor(o: CommitterOptions) {
    this.#o = o;
    this.#nextEntry = o.nextEntry;
    this.#applied = [...o.applied];
    o.store.beforeCommit = (client, group) => this.#writeGroup(client, group);
    this.#timer = setInterval(() => this.#foldQuietly(), limits.journalFoldMs);
    this.#timer.unref();
  }

  /** Commits one envelope. @param done is told why not, or undefined after the durable commit; it
   * must not throw. */
  commit(pending: Pending, done: (problem: ProblemCode | undefined) => void): void {
    const { session, number } = pending;
    const settled = (problem: ProblemCode | undefined) => {
      pending.settle(problem === undefined);
      done(problem);
      this.#under--;
      if (this.#under === 0) this.#quiet?.();
    };
    this.#under++;
    if (this.#closed) {
      if (session.inFlight.get(number) === pending) session.inFlight.delete(number);
      settled("storage-unavailable");
      return;
    }
    if (!pending.fork) session.inFlight.set(number, pending);
    this.#o.store.append(pending).then(
      () => settled(this.#followUp(pending)),
      (error: unknown) => settled(this.#failed(pending, error)),
    );
  }

  /** It is committed, whatever follows from it. */
  #followUp(pending: Pending): ProblemCode | undefined {
    try {
      this.#apply(pending);
      return undefined;
    } catch (error) {
      diagnostics.error({ err: error }, "an envelope's commit could not be followed up");
      return "internal-fault";
    }
  }

  /** Whether numbers are held until the database says what became of them. */
  get isDoubtful(): boolean {
    return this.#doubtful.size > 0;
  }

  #failed(pending: Pending, error: unknown): ProblemCode {
    if (pending.entry === undefined) {
      if (!pending.fork) pending.session.inFlight.delete(pending.number);
    } else {
      const group = this.#doubtful.get(pending.entry);
      if (group) group.push(pending);
      else this.#doubtful.set(pending.entry, [pending]);
      this.#settleSoon();
    }
    return problemOf(error);
  }

  /** In the store's transaction: the numbers, and what is rare, of the whole group. */
  async #writeGroup(client: pg.PoolClient, group: readonly AdmittedEnvelope[]): Promise<void> {
    const entry = this.#nextEntry++;
    const bySession = new Map<LiveSession, JournalNumber[]>();
    let ours = 0;
    let rare = false;
    for (const envelope of group) {
      // Another part of the platform may append too; only what came through a door has a number.
      if (!(envelope instanceof Pending)) continue;
      ours++;
      // The store tried before, and that transaction was rolled back.
      if (envelope.entry !== undefined) this.#open.delete(envelope.entry);
      envelope.entry = entry;
      const { content } = envelope;
      rare ||=
        envelope.fork ||
        content.block !== undefined ||
        content.gaps !== undefined ||
        content.previous !== undefined ||
        content.close === true ||
        envelope.number === envelope.session.keys.firstSequence;
      const numbers = bySession.get(envelope.session);
      const number: JournalNumber = {
        number: envelope.number,
        hash: envelope.envelopeHash.subarray(0, HASH_BYTES),
        leaf: envelope.leaf,
        fork: envelope.fork,
      };
      if (numbers) numbers.push(number);
      else bySession.set(envelope.session, [number]);
    }
    if (ours === 0) return;
    this.#open.set(entry, ours);
    const groups: JournalGroup[] = [];
    for (const [session, numbers] of bySession) {
      groups.push({ deviceId: session.deviceId, sessionId: session.sessionId, numbers });
    }
    const { tenantId } = this.#o.database;
    await appendJournal(client, tenantId, LANE, entry, encodeJournal(groups));
    if (!rare) return;
    for (const envelope of group) {
      if (envelope instanceof Pending) await this.#writeRare(client, envelope);
    }
  }

  async #writeRare(client: pg.PoolClient, pending: Pending): Promise<void> {
    const { tenantId } = this.#o.database;
    const { content, number, deviceId, sessionId } = pending;
    if (pending.fork) {
      const hash = pending.envelopeHash.subarray(0, HASH_BYTES);
      await insertFork(client, tenantId, { deviceId, sessionId, number, hash });
      return; // what a fork says about blocks, gaps or closing is not believed
    }
    if (content.gaps) await insertGaps(client, tenantId, pending, content.gaps, pending.receivedMs);
    if (content.block) await this.#o.writeBlock(client, pending);
    if (number === pending.session.keys.firstSequence) {
      const { previous } = content;
      await saveLink(client, tenantId, { deviceId, sessionId, firstNumber: number, previous });
    }
    if (pending.closes) await saveClose(client, tenantId, { deviceId, sessionId, number });
  }

  #apply(pending: Pending): void {
    const { session, number } = pending;
    if (!pending.fork) {
      session.ranges.add(number);
      session.pages.put(number, pending.envelopeHash.subarray(0, HASH_BYTES), pending.leaf);
      session.inFlight.delete(number);
    }
    session.dirty = true;
    if (pending.receivedMs > session.lastMs) session.lastMs = pending.receivedMs;
    if (pending.entry !== undefined) this.#applyEntry(pending.entry);
    this.#o.admitted(pending);
  }

  #applyEntry(entry: number): void {
    const left = (this.#open.get(entry) ?? 1) - 1;
    if (left > 0) {
      this.#open.set(entry, left);
      return;
    }
    this.#open.delete(entry);
    this.#applied.push(entry);
    if (this.#applied.length >= limits.journalCommitsMax) this.#foldQuietly();
  }

  #settleSoon(): void {
    if (this.#settling || this.#closed) return;
    this.#settling = true;
    setTimeout(() => {
      this.#settle()
        .catch((error) => diagnostics.debug({ err: error }, "the outcome of a commit is unknown"))
        .finally(() => {
          this.#settling = false;
          if (this.#doubtful.size > 0) this.#settleSoon();
        });
    }, SETTLE_EVERY_MS).unref();
  }

  /** Asks the database what became of the commits whose answer was lost. */
  async #settle(): Promise<void> {
    const entries = [...this.#doubtful.keys()];
    const committed = new Set(await settleJournal(this.#o.database, LANE, entries));
    for (const entry of entries) {
      const group = this.#doubtful.get(entry) ?? [];
      this.#doubtful.delete(entry);
      if (committed.has(entry)) {
        for (const pending of group) this.#apply(pending);
        continue;
      }
      for (const pending of group) {
        if (!pending.fork) pending.session.inFlight.delete(pending.number);
      }
      this.#open.delete(entry);
      this.#applied.push(entry); // the empty row that keeps its place is removed with the others
    }
  }

  #foldQuietly(): void {
    this.fold().catch((error) =>
      diagnostics.warn({ err: error }, "the admission journal waits for storage"),
    );
  }

  /** Moves journal rows into session rows. Crash at any point: the same is done at the next start. */
  fold(): Promise<void> {
    this.#folding ??= this.#fold().finally(() => {
      this.#folding = undefined;
    });
    return this.#folding;
  }

  async #fold(): Promise<void> {
    const entries = this.#applied;
    const sessions = this.#o.dirtySessions();
    if (entries.length === 0 && sessions.length === 0) return;
    this.#applied = [];
    const rows = sessions.map((session) => ({
      deviceId: session.deviceId,
      sessionId: session.sessionId,
      firstNumber: session.firstNumber,
      ranges: session.ranges.encode(),
      lastMs: session.lastMs,
      pages: session.pages.dirtyPages(),
    }));
    for (const session of sessions) session.dirty = false;
    for (const row of rows) for (const page of row.pages) page.dirty = false;
    try {
      await foldJournal(this.#o.database, LANE, rows, entries);
    } catch (error) {
      this.#applied = entries.concat(this.#applied);
      for (const session of sessions) session.dirty = true;
      for (const row of rows) for (const page of row.pages) page.dirty = true;
      throw error;
    }
    await this.#o.folded(Math.max(0, ...entries), sessions);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    // Without its number a sample would be stored once more when it comes again.
    if (this.#under > 0) {
      await new Promise<void>((resolve) => {
        this.#quiet = resolve;
      });
    }
    await this.fold().catch((error) =>
      diagnostics.warn({ err: error }, "the admission journal will be folded at the next start"),
    );
    this.#o.store.beforeCommit = undefined;
  }
}

function problemOf(error: unknown): ProblemCode {
  if (error instanceof Problem) {
    // The device is assigned to someone whose keys were destroyed: as if to nobody.
    if (error.code === "patient-erased") return "device-unassigned";
    if (error.code === "storage-unavailable") return error.code;
  }
  diagnostics.error({ err: error }, "an envelope could not be stored");
  return error instanceof Problem ? "storage-unavailable" : "internal-fault";
}
