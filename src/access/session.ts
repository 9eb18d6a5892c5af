/**
 * Sign-in: links that work once, browser sessions, bearer tokens. Every secret is 256 random bits and
 * is kept as a keyed hash only; whoever reads or writes the database can sign in as nobody.
 */
import type { Clock } from "../clock.ts";
import { limits } from "../limits.ts";
import type { Database } from "../postgres/database.ts";
import { Problem } from "../problems.ts";
import type { SealedFields } from "../sealed-fields.ts";
import { type SessionRow, sessionTables } from "./tables.ts";

export interface Session {
  readonly id: string;
  readonly hash: string;
  readonly personId: string;
  readonly means: "cookie" | "bearer";
  readonly startedMs: number;
  readonly expiresMs: number;
  seenMs: number;
}

const SECRET_BYTES = 32;
/** Last uses are written together at most this often: after a crash the idle time starts a little early. */
const SEEN_WRITTEN_EVERY_MS = 60_000;
/** What a person is told who comes with a dead link. */
const ASK_FOR_ANOTHER =
  "each link works once, for 15 minutes; ask an administrator for another, or run: vitalward token --as NAME --link";

export class Sessions {
  readonly #database: Database;
  readonly #fields: SealedFields;
  readonly #clock: Clock;
  readonly #tables: ReturnType<typeof sessionTables>;
  readonly #byHash = new Map<string, Session>();
  readonly #byId = new Map<string, Session>();
  readonly #seen = new Set<Session>();
  #seenWrittenMs = 0;

  constructor(database: Database, fields: SealedFields, clock: Clock) {
    this.#database = database;
    this.#fields = fields;
    this.#clock = clock;
    this.#tables = sessionTables(database.tenantId);
  }

  async load(): Promise<void> {
    const nowMs = this.#nowMs();
    const rows = await this.#database.transaction((client) => this.#tables.load(client, nowMs));
    for (const row of rows) this.#add(fromRow(row));
  }

  #add(session: Session): void {
    this.#byHash.set(session.hash, session);
    this.#byId.set(session.id, session);
  }

  /** The live session or token with that secret. Counts as a use. */
  find(secret: string, means: "cookie" | "bearer"): Session | undefined {
    const session = this.#byHash.get(this.#hashOf(means, secret).toString("hex"));
    if (session === undefined || !this.isLive(session.id)) return undefined;
    session.seenMs = this.#nowMs();
    this.#seen.add(session);
    return session;
  }

  isLive(sessionId: string): boolean {
    const session = this.#byId.get(sessionId);
    if (session === undefined) return false;
    const nowMs = this.#nowMs();
    const isIdle = session.means === "cookie" && nowMs - session.seenMs >= limits.sessionIdleMs;
    return nowMs < session.expiresMs && !isIdle;
  }

  async createLink(personId: string): Promise<{ secret: string; expiresMs: number }> {
    const secret = this.#secret();
    const expiresMs = this.#nowMs() + limits.signInLinkLifeMs;
    await this.#database.transaction((client) =>
      this.#tables.addLink(client, { hash: this.#hashOf("link", secret), personId, expiresMs }),
    );
    return { secret, expiresMs };
  }

  /** Spends the link and starts a session, in one transaction: a link never yields two.
   * @throws Problem "sign-in-link-used". */
  async exchangeLink(
    secret: string,
    mayEnter: (personId: string) => boolean,
  ): Promise<{ cookie: string; session: Session }> {
    const cookie = this.#secret();
    const row = await this.#database.transaction(async (client) => {
      const nowMs = this.#nowMs();
      const personId = await this.#tables.spendLink(client, this.#hashOf("link", secret), nowMs);
      if (personId === undefined || !mayEnter(personId)) {
        throw new Problem("sign-in-link-used", { detail: ASK_FOR_ANOTHER });
      }
      const started = this.#newRow(personId, "cookie", cookie);
      await this.#tables.addSession(client, started);
      return started;
    });
    return { cookie, session: await this.#started(row) };
  }

  async createToken(personId: string): Promise<{ token: string; session: Session }> {
    const token = this.#secret();
    const row = this.#newRow(personId, "bearer", token);
    await this.#database.transaction((client) => this.#tables.addSession(client, row));
    return { token, session: await this.#started(row) };
  }

  #newRow(personId: string, means: "cookie" | "bearer", secret: string): SessionRow {
    const nowMs = this.#nowMs();
    return {
      session_hash: this.#hashOf(means, secret),
      session_id: this.#clock.uuid(),
      person_id: personId,
      means,
      started_ms: nowMs,
      seen_ms: nowMs,
      expires_ms: nowMs + (means === "cookie" ? limits.sessionLifeMs : limits.tokenLifeMs),
    };
  }

  async #started(row: SessionRow): Promise<Session> {
    const session = fromRow(row);
    this.#add(session);
    const theirs = this.#of(session.personId);
    const tooMany = theirs.slice(0, Math.max(0, theirs.length - limits.sessionsPerPersonMax));
    if (tooMany.length > 0) await this.#end(tooMany);
    return session;
  }

  /** A person's sessions, oldest first. */
  #of(personId: string): Session[] {
    return [...this.#byId.values()].filter((session) => session.personId === personId);
  }

  async end(sessionId: string): Promise<void> {
    const session = this.#byId.get(sessionId);
    if (session !== undefined) await this.#end([session]);
  }

  async endAllOf(personId: string): Promise<void> {
    await this.#end(this.#of(personId));
  }

  /** Memory first: it ends at once even while the database is away. */
  async #end(sessions: readonly Session[]): Promise<void> {
    for (const session of sessions) this.#forget(session);
    const hashes = sessions.map((session) => Buffer.from(session.hash, "hex"));
    await this.#database.transaction((client) =>
      this.#tables.endSessions(client, hashes, this.#nowMs()),
    );
  }

  #forget(session: Session): void {
    this.#byHash.delete(session.hash);
    this.#byId.delete(session.id);
    this.#seen.delete(session);
  }

  /** Forgets what ran out, and writes down when the others were last used. */
  async sweep(): Promise<void> {
    for (const session of [...this.#byId.values()]) {
      if (!this.isLive(session.id)) this.#forget(session);
    }
    const nowMs = this.#clock.monotonicMs();
    if (this.#seen.size === 0 || nowMs - this.#seenWrittenMs < SEEN_WRITTEN_EVERY_MS) return;
    this.#seenWrittenMs = nowMs;
    await this.writeSeen();
  }

  async writeSeen(): Promise<void> {
    const seen = [...this.#seen].map((session) => ({
      hash: Buffer.from(session.hash, "hex"),
      seenMs: session.seenMs,
    }));
    this.#seen.clear();
    if (seen.length === 0) return;
    await this.#database.transaction((client) => this.#tables.markSeen(client, seen));
  }

  #secret(): string {
    return Buffer.from(this.#clock.random(SECRET_BYTES)).toString("base64url");
  }
  /** A secret of one kind is no secret of another. */
  #hashOf(kind: "link" | "cookie" | "bearer", secret: string): Buffer {
    return this.#fields.hash(kind, secret);
  }
  #nowMs(): number {
    return Math.floor(this.#clock.nowMs());
  }
}

function fromRow(row: SessionRow): Session {
  return {
    id: row.session_id,
    hash: row.session_hash.toString("hex"),
    personId: row.person_id,
    means: row.means,
    startedMs: row.started_ms,
    expiresMs: row.expires_ms,
    seenMs: row.seen_ms,
  };
}
