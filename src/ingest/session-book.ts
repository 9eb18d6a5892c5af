/**
 * All sessions whose keys live, in memory. What admission must keep secret of them is in the keystore
 * under kind "session" and nowhere else:
 * `version(1) | certificate hash(32) | opening hash(32) | salt length(1) | salt key | state`.
 *
 * Keystore entry lost: that session's envelopes are refused and the device opens another session.
 */
import type { Clock } from "../clock.ts";
import { diagnostics } from "../diagnostics.ts";
import { fromHex, hex } from "../envelope/envelope.ts";
import { PlatformSession } from "../envelope/session.ts";
import { limits } from "../limits.ts";
import type { ProblemCode } from "../problems.ts";
import type { SecretStore } from "../vault/seal.ts";
import { waitingBlocks } from "./block-tables.ts";
import { gapsOf, liveRefusals } from "./evidence-tables.ts";
import { decodeJournal, type JournalGroup } from "./journal.ts";
import { LiveSession } from "./live-session.ts";
import { pageOf } from "./pages.ts";
import {
  endSessions,
  type IngestDatabase,
  insertSession,
  liveSessions,
  openPages,
  readJournal,
  readPage,
  type SessionRow,
  sessionRow,
} from "./tables.ts";

export const SESSION_SECRET = "session";
const SECRET_VERSION = 1;
/** SHA-256. */
const HASH_BYTES = 32;

export class SessionBook {
  readonly #database: IngestDatabase;
  readonly #secrets: SecretStore;
  readonly #clock: Clock;
  readonly #bySession = new Map<string, LiveSession>();
  /** Newest first: the next envelope is nearly always of the newest. */
  readonly #byDevice = new Map<string, LiveSession[]>();

  constructor(o: { database: IngestDatabase; secrets: SecretStore; clock: Clock }) {
    this.#database = o.database;
    this.#secrets = o.secrets;
    this.#clock = o.clock;
  }

  all(): IterableIterator<LiveSession> {
    return this.#bySession.values();
  }

  get(sessionId: string): LiveSession | undefined {
    return this.#bySession.get(sessionId);
  }

  /** Newest first. */
  ofDevice(deviceId: string): readonly LiveSession[] {
    return this.#byDevice.get(deviceId) ?? [];
  }

  /** The device's session that knows this kid. */
  byKid(deviceId: string, kid: Uint8Array): LiveSession | undefined {
    const sessions = this.#byDevice.get(deviceId);
    if (sessions === undefined) return undefined;
    for (const session of sessions) if (session.keys.knows(kid)) return session;
    return undefined;
  }

  /** Makes a session durable: first its secret, then its row, so that no row lacks its keys. When the
   * database went away between the two, or before its answer, the same opening completes it.
   * @returns undefined when the device used that session id before. */
  async add(row: SessionRow, keys: PlatformSession): Promise<LiveSession | undefined> {
    const session = new LiveSession(row, keys, undefined);
    const known = this.#secrets.get(SESSION_SECRET, row.sessionId);
    const isHalfDone =
      known !== undefined &&
      !this.#bySession.has(row.sessionId) &&
      parseSecret(known, this.#clock).openingHash === row.openingHash;
    if (known !== undefined && !isHalfDone) return undefined;
    await this.save([session]);
    const isNew = await insertSession(this.#database, row);
    if (!isNew && !(isHalfDone && (await this.#isOpen(row)))) {
      await this.#secrets.delete(SESSION_SECRET, row.sessionId);
      return undefined;
    }
    this.#put(session);
    return session;
  }

  /** Whether the row in the tables is that very opening's, not ended. */
  async #isOpen(row: SessionRow): Promise<boolean> {
    const stored = await sessionRow(this.#database, row.deviceId, row.sessionId);
    return stored?.openingHash === row.openingHash && stored.endedMs === undefined;
  }

  #put(session: LiveSession): void {
    this.#bySession.set(session.sessionId, session);
    const others = this.#byDevice.get(session.deviceId) ?? [];
    const all = [session, ...others].sort((a, b) => b.openedMs - a.openedMs);
    this.#byDevice.set(session.deviceId, all);
  }

  /** Writes the sessions' secrets to the keystore; resolves when durable. */
  async save(sessions: readonly LiveSession[]): Promise<void> {
    await Promise.all(
      sessions
        .filter((session) => !session.ended)
        .map((session) => {
          session.keys.changed = false;
          return this.#secrets.put(SESSION_SECRET, session.sessionId, secretOf(session));
        }),
    );
  }

  /** What of each device is past `limits.deviceSessionsMax`: first what has nothing more to come, then what
   * never brought anything, then what was not heard for longest. Never the newest, in which it may begin now. */
  surplus(): LiveSession[] {
    const surplus: LiveSession[] = [];
    for (const sessions of this.#byDevice.values()) {
      if (sessions.length <= limits.deviceSessionsMax) continue;
      const live = sessions.filter((session) => !session.ended);
      const spare = live.slice(1).filter((session) => session.inFlight.size === 0);
      spare.sort((a, b) => worthOf(a) - worthOf(b) || a.lastMs - b.lastMs);
      surplus.push(...spare.slice(0, Math.max(0, live.length - limits.deviceSessionsMax)));
    }
    return surplus;
  }

  /** Destroys the sessions' keys in the keystore, for ever, then says so in their rows. */
  async end(sessions: readonly LiveSession[]): Promise<void> {
    await this.#secrets.deleteMany(
      SESSION_SECRET,
      sessions.map((session) => session.sessionId),
    );
    for (const session of sessions) session.ended = true;
    await endSessions(this.#database, sessions, this.#clock.nowMs());
  }

  /** Forgets a session that ended: nothing opens its envelopes from here on. */
  forget(session: LiveSession): void {
    this.#bySession.delete(session.sessionId);
    const rest = this.ofDevice(session.deviceId).filter((other) => other !== session);
    if (rest.length > 0) this.#byDevice.set(session.deviceId, rest);
    else this.#byDevice.delete(session.deviceId);
  }

  /** Reads everything at the start. The keystore may know sessions that the database does not: it
   * was restored from an older backup, and they begin anew.
   * @returns the journal's entries, all applied to the sessions in memory. */
  async load(): Promise<{ entries: number[] }> {
    const rows = new Map((await liveSessions(this.#database)).map((row) => [row.sessionId, row]));
    for (const sessionId of this.#secrets.ids(SESSION_SECRET)) {
      const secret = this.#secrets.get(SESSION_SECRET, sessionId);
      if (secret === undefined) continue;
      const { keys, saltKey, certificateHash, openingHash } = parseSecret(secret, this.#clock);
      let row = rows.get(sessionId);
      rows.delete(sessionId);
      if (row === undefined) {
        row = { ...unknownRow(keys, this.#clock.nowMs()), certificateHash, openingHash };
        if (!(await insertSession(this.#database, row))) {
          // Its row says ended: the program stopped between the two halves of ending it.
          await this.#secrets.delete(SESSION_SECRET, sessionId);
          continue;
        }
      }
      this.#put(new LiveSession(row, keys, saltKey));
    }
    const keyless = [...rows.values()];
    if (keyless.length > 0) {
      diagnostics.warn({ sessions: keyless.length }, "sessions without keys were ended");
      await endSessions(this.#database, keyless, this.#clock.nowMs());
    }
    await this.#loadParts();
    return { entries: await this.#replayJournal() };
  }

  async #loadParts(): Promise<void> {
    for (const page of await openPages(this.#database)) {
      this.get(page.sessionId)?.pages.restore(page.page, page.hashes, page.leaves);
    }
    for (const block of await waitingBlocks(this.#database)) {
      this.get(block.sessionId)?.blocks.push(block);
    }
    for (const refusal of await liveRefusals(this.#database)) {
      const session = this.get(refusal.sessionId);
      session?.ranges.add(refusal.number);
      session?.remember(
        { sequence: refusal.number, problem: refusal.problem as ProblemCode },
        limits.receiptRefusedMax,
      );
    }
    for (const [deviceId, sessions] of this.#byDevice) {
      for (const gap of await gapsOf(this.#database, deviceId)) {
        for (const session of sessions) {
          // What lies before a session's first number says nothing about it, and must not take up its bound.
          if (gap.to >= (session.firstNumber ?? 1)) session.gaps.addRange(gap.from, gap.to);
        }
      }
    }
  }

  /** The same as applying a commit: done again after a crash, it changes nothing. */
  async #replayJournal(): Promise<number[]> {
    const rows = await readJournal(this.#database, 0);
    for (const row of rows) {
      for (const group of decodeJournal(row.numbers)) await this.#replayGroup(group);
    }
    return rows.map((row) => row.entry);
  }

  async #replayGroup(group: JournalGroup): Promise<void> {
    const session = this.get(group.sessionId);
    if (session === undefined) return; // its keys are gone, and with them the use of these numbers
    for (const { number, hash, leaf, fork } of group.numbers) {
      if (fork) continue;
      await this.ensurePage(session, number);
      session.ranges.add(number);
      session.pages.put(number, hash, leaf);
      session.dirty = true;
    }
  }

  /** Reads the page of that number from its row, if it has one that is not in memory. */
  async ensurePage(session: LiveSession, number: number): Promise<void> {
    if (!session.needsPage(number)) return;
    const page = pageOf(number);
    const row = await readPage(this.#database, session.deviceId, session.sessionId, page);
    if (row) session.pages.restore(page, row.hashes, row.leaves);
  }

  dirty(): LiveSession[] {
    return [...this.#bySession.values()].filter((session) => session.dirty && !session.ended);
  }

  /** Puts clean pages away while there are too many in memory. */
  trimPages(): void {
    let pages = 0;
    for (const session of this.#bySession.values()) {
      session.pages.boundLeaves(limits.openLeavesMax);
      pages += session.pages.count;
    }
    if (pages <= limits.hashPagesMax) return;
    for (const session of this.#bySession.values()) {
      if (session.inFlight.size === 0) session.pages.forgetClean(1);
    }
  }
}

function worthOf(session: LiveSession): number {
  if (session.isExhausted) return 0;
  return session.firstNumber === undefined ? 1 : 2;
}

function secretOf(session: LiveSession): Uint8Array {
  const salt = session.saltKey ?? new Uint8Array();
  return Buffer.concat([
    Uint8Array.of(SECRET_VERSION),
    fromHex(session.certificateHash),
    fromHex(session.openingHash),
    Uint8Array.of(salt.length),
    salt,
    session.keys.exportState(),
  ]);
}

function parseSecret(secret: Uint8Array, clock: Clock) {
  if (secret[0] !== SECRET_VERSION) throw new Error("session-book: a secret of another version");
  const saltBytes = secret[1 + 2 * HASH_BYTES] as number;
  const saltAt = 2 + 2 * HASH_BYTES;
  return {
    certificateHash: hex(secret.subarray(1, 1 + HASH_BYTES)),
    openingHash: hex(secret.subarray(1 + HASH_BYTES, 1 + 2 * HASH_BYTES)),
    saltKey: saltBytes === 0 ? undefined : secret.slice(saltAt, saltAt + saltBytes),
    keys: PlatformSession.importState(secret.slice(saltAt + saltBytes), clock),
  };
}

function unknownRow(keys: PlatformSession, nowMs: number): SessionRow {
  return {
    deviceId: keys.deviceId,
    sessionId: keys.sessionId,
    certificateHash: "",
    openingHash: "",
    suite: keys.suite.name,
    openedMs: nowMs,
    firstNumber: keys.firstSequence,
    ranges: new Uint8Array(),
    lastMs: nowMs,
    closedAt: undefined,
    previous: undefined,
    standing: "regular",
    endedMs: undefined,
  };
}
