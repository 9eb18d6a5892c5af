/** Watches the chains of sessions at work: judges each link once, and notices when both branches act. */
import { diagnostics } from "../diagnostics.ts";
import type { Registry } from "../registry/registry.ts";
import { type ChainSession, judgeLink } from "./chain.ts";
import type { SecurityEvents } from "./events.ts";
import { HASH_BYTES } from "./journal.ts";
import type { LiveSession } from "./live-session.ts";
import { NumberRanges } from "./ranges.ts";
import type { SessionBook } from "./session-book.ts";
import { type IngestDatabase, type SessionRow, sessionsOf, setStanding } from "./tables.ts";

const SESSIONS_MAX = 256;

export class ChainWatch {
  readonly #database: IngestDatabase;
  readonly #book: SessionBook;
  readonly #events: SecurityEvents;
  readonly #registry: Pick<Registry, "quarantine" | "device">;
  #work: Promise<void> = Promise.resolve();

  constructor(o: {
    database: IngestDatabase;
    book: SessionBook;
    events: SecurityEvents;
    registry: Pick<Registry, "quarantine" | "device">;
  }) {
    this.#database = o.database;
    this.#book = o.book;
    this.#events = o.events;
    this.#registry = o.registry;
  }

  /** After the commit of a new number: does it contradict the session that took over? */
  admitted(session: LiveSession, number: number): void {
    const { succeeded } = session;
    if (succeeded === undefined || number <= succeeded.after) return;
    session.succeeded = undefined;
    const rival = this.#book.get(succeeded.by);
    this.#run(() => this.#suspectClone(session, rival, number));
  }

  /** After the commit of a session's first envelope. */
  linked(session: LiveSession): void {
    this.#run(() => this.#judge(session));
  }

  /** Sets the watch again after a start, from what was stored. */
  async restore(): Promise<void> {
    const devices = new Set<string>();
    for (const session of this.#book.all()) devices.add(session.deviceId);
    for (const deviceId of devices) {
      const sessions = this.#book.ofDevice(deviceId);
      if (sessions.length < 2) continue;
      for (const session of sessions) await this.#judge(session, true);
    }
  }

  #run(work: () => Promise<void>): void {
    this.#work = this.#work
      .then(work)
      .catch((error) => diagnostics.warn({ err: error }, "a chain of sessions was not judged"));
  }

  idle(): Promise<void> {
    return this.#work;
  }

  async #judge(session: LiveSession, again = false): Promise<void> {
    if (session.firstNumber === undefined) return;
    const rows = await sessionsOf(this.#database, session.deviceId, SESSIONS_MAX);
    const known = rows.map((row) => this.#chainSession(row));
    const verdict = judgeLink(known, chainOf(session), this.#headFits(session));
    if (session.previous) this.#watchParent(session);
    if (verdict.kind !== "older-than-known") return;
    session.usedElsewhere = { after: verdict.usedAfter, upTo: verdict.usedUpTo };
    for (const sessionId of verdict.forgotten) {
      const forgotten = this.#book.get(sessionId);
      if (!forgotten) continue;
      const isParent = sessionId === session.previous?.sessionId;
      forgotten.succeeded = { after: isParent ? verdict.usedAfter : 0, by: session.sessionId };
    }
    if (again || session.standing !== "regular") return;
    session.standing = "rolled-back";
    await setStanding(this.#database, session.deviceId, [session.sessionId], "rolled-back");
    this.#events.note("device-rolled-back", session.deviceId, {
      session: session.sessionId,
      after: verdict.usedAfter,
      upTo: verdict.usedUpTo,
    });
  }

  #watchParent(session: LiveSession): void {
    const previous = session.previous;
    const parent = previous && this.#book.get(previous.sessionId);
    if (!parent || parent.deviceId !== session.deviceId) return;
    parent.succeeded = { after: previous.lastSequence, by: session.sessionId };
  }

  /** Whether the named head is the hash we hold; undefined where we hold none. */
  #headFits(session: LiveSession): boolean | undefined {
    const previous = session.previous;
    if (previous === undefined) return undefined;
    const parent = this.#book.get(previous.sessionId);
    if (!parent?.ranges.has(previous.lastSequence)) return undefined;
    if (parent.needsPage(previous.lastSequence)) return undefined;
    return parent.pages.hasHash(previous.lastSequence, previous.head.subarray(0, HASH_BYTES));
  }

  async #suspectClone(
    session: LiveSession,
    rival: LiveSession | undefined,
    number: number,
  ): Promise<void> {
    const both = rival ? [session, rival] : [session];
    for (const one of both) one.standing = "quarantined";
    await setStanding(
      this.#database,
      session.deviceId,
      both.map((one) => one.sessionId),
      "quarantined",
    );
    this.#events.note("clone-suspected", session.deviceId, {
      session: session.sessionId,
      rival: rival?.sessionId ?? "",
      number,
    });
    if (this.#registry.device(session.deviceId)?.state === "enrolled") {
      await this.#registry.quarantine(session.deviceId);
    }
  }

  #chainSession(row: SessionRow): ChainSession {
    const live = this.#book.get(row.sessionId);
    if (live) return chainOf(live);
    const lastNumber = NumberRanges.decode(row.ranges).last;
    return { ...row, lastNumber };
  }
}

function chainOf(session: LiveSession): ChainSession {
  const { sessionId, openedMs, firstNumber, previous, standing } = session;
  return { sessionId, openedMs, firstNumber, previous, standing, lastNumber: session.ranges.last };
}
