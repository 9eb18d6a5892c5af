/** SQL of sessions, the admission journal and number pages. Blocks and events have their own files. */
import type pg from "pg";
import type { Database } from "../postgres/database.ts";
import type { Page } from "./pages.ts";

export type IngestDatabase = Pick<Database, "pool" | "tenantId" | "transaction">;

export type Standing = "regular" | "rolled-back" | "quarantined";

/** What the first envelope of a session says about the session before. */
export interface Previous {
  readonly sessionId: string;
  readonly lastSequence: number;
  readonly head: Uint8Array;
}

export interface SessionRow {
  readonly deviceId: string;
  readonly sessionId: string;
  readonly certificateHash: string;
  /** Hex SHA-256. */
  readonly openingHash: string;
  readonly suite: string;
  readonly openedMs: number;
  readonly firstNumber: number | undefined;
  readonly ranges: Uint8Array;
  readonly lastMs: number;
  readonly closedAt: number | undefined;
  readonly previous: Previous | undefined;
  readonly standing: Standing;
  readonly endedMs: number | undefined;
}

const SESSION_COLUMNS = `device_id, encode(session_id, 'hex') AS session_id,
  encode(certificate_hash, 'hex') AS certificate_hash,
  encode(opening_hash, 'hex') AS opening_hash, suite, opened_ms, first_number, ranges,
  last_ms, closed_at, encode(previous_session, 'hex') AS previous_session, previous_last,
  previous_head, standing, ended_ms`;

interface RawSession {
  device_id: string;
  session_id: string;
  certificate_hash: string;
  opening_hash: string;
  suite: string;
  opened_ms: number;
  first_number: number | null;
  ranges: Buffer;
  last_ms: number;
  closed_at: number | null;
  previous_session: string | null;
  previous_last: number | null;
  previous_head: Buffer | null;
  standing: Standing;
  ended_ms: number | null;
}

function toSessionRow(raw: RawSession): SessionRow {
  return {
    deviceId: raw.device_id,
    sessionId: raw.session_id,
    certificateHash: raw.certificate_hash,
    openingHash: raw.opening_hash,
    suite: raw.suite,
    openedMs: raw.opened_ms,
    firstNumber: raw.first_number ?? undefined,
    ranges: raw.ranges,
    lastMs: raw.last_ms,
    closedAt: raw.closed_at ?? undefined,
    previous:
      raw.previous_session === null || raw.previous_last === null || raw.previous_head === null
        ? undefined
        : {
            sessionId: raw.previous_session,
            lastSequence: raw.previous_last,
            head: raw.previous_head,
          },
    standing: raw.standing,
    endedMs: raw.ended_ms ?? undefined,
  };
}

/** @returns false when the device used that session id before. */
export async function insertSession(database: IngestDatabase, row: SessionRow): Promise<boolean> {
  return database.transaction(async (client) => {
    const done = await client.query({
      name: "ingest-insert-session",
      text: `INSERT INTO device_session (tenant_id, device_id, session_id, certificate_hash,
          opening_hash, suite, opened_ms, last_ms, ranges, standing)
        VALUES ($1, $2, decode($3, 'hex'), decode($4, 'hex'), decode($5, 'hex'), $6, $7, $7, '', $8)
        ON CONFLICT DO NOTHING`,
      values: [
        database.tenantId,
        row.deviceId,
        row.sessionId,
        row.certificateHash,
        row.openingHash,
        row.suite,
        Math.floor(row.openedMs),
        row.standing,
      ],
    });
    return done.rowCount === 1;
  });
}

/** Sessions whose keys are not destroyed yet. */
export async function liveSessions(database: IngestDatabase): Promise<SessionRow[]> {
  const found = await database.pool.query<RawSession>(
    `SELECT ${SESSION_COLUMNS} FROM device_session WHERE tenant_id = $1 AND ended_ms IS NULL`,
    [database.tenantId],
  );
  return found.rows.map(toSessionRow);
}

/** Whatever is known of that session, ended or not. */
export async function sessionRow(
  database: IngestDatabase,
  deviceId: string,
  sessionId: string,
): Promise<SessionRow | undefined> {
  const found = await database.pool.query<RawSession>({
    name: "ingest-session",
    text: `SELECT ${SESSION_COLUMNS} FROM device_session
      WHERE tenant_id = $1 AND device_id = $2 AND session_id = decode($3, 'hex')`,
    values: [database.tenantId, deviceId, sessionId],
  });
  return found.rows.map(toSessionRow)[0];
}

/** The newest sessions of a device, ended ones too, newest first. */
export async function sessionsOf(
  database: IngestDatabase,
  deviceId: string,
  limit: number,
): Promise<SessionRow[]> {
  const found = await database.pool.query<RawSession>({
    name: "ingest-sessions-of",
    text: `SELECT ${SESSION_COLUMNS} FROM device_session
      WHERE tenant_id = $1 AND device_id = $2 ORDER BY opened_ms DESC LIMIT $3`,
    values: [database.tenantId, deviceId, limit],
  });
  return found.rows.map(toSessionRow);
}

export interface JournalRow {
  readonly entry: number;
  readonly numbers: Buffer;
}

/** Every entry, once transactions still under way have ended: those of a program that was killed may
 * be committed after its death. */
export async function readJournal(database: IngestDatabase, lane: number): Promise<JournalRow[]> {
  return database.transaction(async (client) => {
    await client.query("LOCK TABLE admission_journal IN SHARE MODE");
    const found = await client.query<JournalRow>(
      "SELECT entry, numbers FROM admission_journal WHERE tenant_id = $1 AND lane = $2 ORDER BY entry",
      [database.tenantId, lane],
    );
    return found.rows;
  });
}

export async function appendJournal(
  client: pg.PoolClient,
  tenantId: string,
  lane: number,
  entry: number,
  numbers: Buffer,
): Promise<void> {
  await client.query({
    name: "ingest-append-journal",
    text: "INSERT INTO admission_journal (tenant_id, lane, entry, numbers) VALUES ($1, $2, $3, $4)",
    values: [tenantId, lane, entry, numbers],
  });
}

/** Finds out whether a commit whose answer was lost happened. If it did not, it never will: an
 * empty row takes its place (and waits for a transaction that is still under way).
 * @returns the entries that were committed. */
export async function settleJournal(
  database: IngestDatabase,
  lane: number,
  entries: readonly number[],
): Promise<number[]> {
  return database.transaction(async (client) => {
    await client.query(
      `INSERT INTO admission_journal (tenant_id, lane, entry, numbers)
       SELECT $1, $2, unnest($3::bigint[]), '' ON CONFLICT DO NOTHING`,
      [database.tenantId, lane, entries],
    );
    const found = await client.query<{ entry: number }>(
      `SELECT entry FROM admission_journal
       WHERE tenant_id = $1 AND lane = $2 AND entry = ANY($3) AND numbers <> ''`,
      [database.tenantId, lane, entries],
    );
    return found.rows.map((row) => row.entry);
  });
}

export interface FoldedSession {
  readonly deviceId: string;
  readonly sessionId: string;
  readonly firstNumber: number | undefined;
  readonly ranges: Uint8Array;
  readonly lastMs: number;
  readonly pages: readonly Page[];
}

/** Moves journal rows into the sessions' own rows, in one transaction. */
export async function foldJournal(
  database: IngestDatabase,
  lane: number,
  sessions: readonly FoldedSession[],
  entries: readonly number[],
): Promise<void> {
  await database.transaction(async (client) => {
    await client.query(
      `UPDATE store_epoch SET folded = greatest(folded, $2)
       WHERE tenant_id = $1 AND epoch = (SELECT max(epoch) FROM store_epoch WHERE tenant_id = $1)`,
      [database.tenantId, Math.max(0, ...entries)],
    );
    await client.query({
      name: "ingest-fold-sessions",
      text: `UPDATE device_session AS s
        SET first_number = coalesce(f.first_number, s.first_number), ranges = f.ranges,
            last_ms = greatest(s.last_ms, f.last_ms)
        FROM unnest($2::uuid[], $3::text[], $4::bigint[], $5::bytea[], $6::bigint[])
          AS f (device_id, session_id, first_number, ranges, last_ms)
        WHERE s.tenant_id = $1 AND s.device_id = f.device_id
          AND s.session_id = decode(f.session_id, 'hex')`,
      values: [
        database.tenantId,
        sessions.map((s) => s.deviceId),
        sessions.map((s) => s.sessionId),
        sessions.map((s) => s.firstNumber ?? null),
        sessions.map((s) => Buffer.from(s.ranges)),
        sessions.map((s) => Math.floor(s.lastMs)),
      ],
    });
    const pages = sessions.flatMap((s) => s.pages.map((page) => ({ s, page })));
    if (pages.length > 0) await upsertPages(client, database.tenantId, pages);
    await client.query(
      "DELETE FROM admission_journal WHERE tenant_id = $1 AND lane = $2 AND entry = ANY($3)",
      [database.tenantId, lane, entries],
    );
  });
}

async function upsertPages(
  client: pg.PoolClient,
  tenantId: string,
  pages: readonly { readonly s: FoldedSession; readonly page: Page }[],
): Promise<void> {
  await client.query({
    name: "ingest-upsert-pages",
    text: `INSERT INTO number_page (tenant_id, device_id, session_id, page, hashes, leaves)
      SELECT $1, d, decode(s, 'hex'), p, h, l
      FROM unnest($2::uuid[], $3::text[], $4::bigint[], $5::bytea[], $6::bytea[]) AS u (d, s, p, h, l)
      ON CONFLICT (tenant_id, device_id, session_id, page)
      DO UPDATE SET hashes = excluded.hashes, leaves = excluded.leaves`,
    values: [
      tenantId,
      pages.map(({ s }) => s.deviceId),
      pages.map(({ s }) => s.sessionId),
      pages.map(({ page }) => page.page),
      pages.map(({ page }) => page.hashes),
      pages.map(({ page }) => page.leaves ?? null),
    ],
  });
}

/** Pages of live sessions that a block may still need, or that the next numbers go to. */
export async function openPages(database: IngestDatabase): Promise<
  {
    readonly deviceId: string;
    readonly sessionId: string;
    readonly page: number;
    readonly hashes: Buffer;
    readonly leaves: Buffer | undefined;
  }[]
> {
  const found = await database.pool.query(
    `SELECT p.device_id AS "deviceId", encode(p.session_id, 'hex') AS "sessionId", p.page, p.hashes,
       p.leaves
     FROM number_page p JOIN device_session s USING (tenant_id, device_id, session_id)
     WHERE p.tenant_id = $1 AND s.ended_ms IS NULL AND p.leaves IS NOT NULL`,
    [database.tenantId],
  );
  return found.rows.map((row) => ({ ...row, leaves: row.leaves ?? undefined }));
}

export async function readPage(
  database: IngestDatabase,
  deviceId: string,
  sessionId: string,
  page: number,
): Promise<{ hashes: Buffer; leaves: Buffer | undefined } | undefined> {
  const found = await database.pool.query<{ hashes: Buffer; leaves: Buffer | null }>({
    name: "ingest-read-page",
    text: `SELECT hashes, leaves FROM number_page
      WHERE tenant_id = $1 AND device_id = $2 AND session_id = decode($3, 'hex') AND page = $4`,
    values: [database.tenantId, deviceId, sessionId, page],
  });
  const row = found.rows[0];
  return row && { hashes: row.hashes, leaves: row.leaves ?? undefined };
}

export async function setStanding(
  database: IngestDatabase,
  deviceId: string,
  sessionIds: readonly string[],
  standing: Standing,
): Promise<void> {
  await database.pool.query(
    `UPDATE device_session SET standing = $4 WHERE tenant_id = $1 AND device_id = $2
       AND session_id = ANY(SELECT decode(unnest($3::text[]), 'hex'))`,
    [database.tenantId, deviceId, sessionIds, standing],
  );
}

/** Says that the keys are gone, and forgets what only served an open session. */
export async function endSessions(
  database: IngestDatabase,
  sessions: readonly { readonly deviceId: string; readonly sessionId: string }[],
  nowMs: number,
): Promise<void> {
  const values = [
    database.tenantId,
    sessions.map((s) => s.deviceId),
    sessions.map((s) => s.sessionId),
  ];
  const which = `(device_id, session_id) IN
    (SELECT d, decode(s, 'hex') FROM unnest($2::uuid[], $3::text[]) AS u (d, s))`;
  await database.transaction(async (client) => {
    await client.query(
      `UPDATE device_session SET ended_ms = $4 WHERE tenant_id = $1 AND ended_ms IS NULL AND ${which}`,
      [...values, Math.floor(nowMs)],
    );
    await client.query(`DELETE FROM number_page WHERE tenant_id = $1 AND ${which}`, values);
    await client.query(`DELETE FROM number_fork WHERE tenant_id = $1 AND ${which}`, values);
  });
}
