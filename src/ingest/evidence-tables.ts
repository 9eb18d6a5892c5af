/** SQL of what is rare: forks, gap statements, refusals for good, closes, links between sessions. */
import type pg from "pg";
import type { IngestDatabase, Previous } from "./tables.ts";

interface OfSession {
  readonly deviceId: string;
  readonly sessionId: string;
}

export async function insertFork(
  client: pg.PoolClient,
  tenantId: string,
  of: OfSession & { readonly number: number; readonly hash: Uint8Array },
): Promise<void> {
  await client.query(
    `INSERT INTO number_fork (tenant_id, device_id, session_id, number, hash)
     VALUES ($1, $2, decode($3, 'hex'), $4, $5)`,
    [tenantId, of.deviceId, of.sessionId, of.number, Buffer.from(of.hash)],
  );
}

export async function isKnownFork(
  database: IngestDatabase,
  of: OfSession & { readonly number: number; readonly hash: Uint8Array },
): Promise<boolean> {
  const found = await database.pool.query(
    `SELECT 1 FROM number_fork WHERE tenant_id = $1 AND device_id = $2
       AND session_id = decode($3, 'hex') AND number = $4 AND hash = $5`,
    [database.tenantId, of.deviceId, of.sessionId, of.number, Buffer.from(of.hash)],
  );
  return found.rowCount === 1;
}

export interface Gap {
  readonly from: number;
  readonly to: number;
  readonly reason: string;
}

export async function insertGaps(
  client: pg.PoolClient,
  tenantId: string,
  of: OfSession,
  gaps: readonly Gap[],
  receivedMs: number,
): Promise<void> {
  await client.query(
    `INSERT INTO gap_statement
       (tenant_id, device_id, session_id, from_number, to_number, reason, received_ms)
     SELECT $1, $2, decode($3, 'hex'), g.f, g.t, g.r, $7
     FROM unnest($4::bigint[], $5::bigint[], $6::text[]) AS g (f, t, r) ON CONFLICT DO NOTHING`,
    [
      tenantId,
      of.deviceId,
      of.sessionId,
      gaps.map((gap) => gap.from),
      gaps.map((gap) => gap.to),
      gaps.map((gap) => gap.reason),
      Math.floor(receivedMs),
    ],
  );
}

/** Every gap the device ever stated, ascending; numbers are device-wide. */
export async function gapsOf(database: IngestDatabase, deviceId: string): Promise<Gap[]> {
  const found = await database.pool.query<Gap>(
    `SELECT from_number AS "from", to_number AS "to", reason FROM gap_statement
     WHERE tenant_id = $1 AND device_id = $2 ORDER BY from_number, to_number`,
    [database.tenantId, deviceId],
  );
  return found.rows;
}

export async function saveClose(
  client: pg.PoolClient,
  tenantId: string,
  of: OfSession & { readonly number: number },
): Promise<void> {
  await client.query(
    `UPDATE device_session SET closed_at = $4
     WHERE tenant_id = $1 AND device_id = $2 AND session_id = decode($3, 'hex')`,
    [tenantId, of.deviceId, of.sessionId, of.number],
  );
}

export async function saveLink(
  client: pg.PoolClient,
  tenantId: string,
  of: OfSession & { readonly firstNumber: number; readonly previous: Previous | undefined },
): Promise<void> {
  await client.query(
    `UPDATE device_session SET first_number = $4, previous_session = decode($5, 'hex'),
       previous_last = $6, previous_head = $7
     WHERE tenant_id = $1 AND device_id = $2 AND session_id = decode($3, 'hex')`,
    [
      tenantId,
      of.deviceId,
      of.sessionId,
      of.firstNumber,
      of.previous?.sessionId ?? null,
      of.previous?.lastSequence ?? null,
      of.previous ? Buffer.from(of.previous.head) : null,
    ],
  );
}

export interface RefusalRow extends OfSession {
  readonly number: number;
  readonly problem: string;
  readonly envelopeHash: Uint8Array;
  readonly receivedMs: number;
}

export async function insertRefusal(database: IngestDatabase, row: RefusalRow): Promise<void> {
  await database.pool.query(
    `INSERT INTO envelope_refusal
       (tenant_id, device_id, session_id, number, problem, envelope_hash, received_ms)
     VALUES ($1, $2, decode($3, 'hex'), $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
    [
      database.tenantId,
      row.deviceId,
      row.sessionId,
      row.number,
      row.problem,
      Buffer.from(row.envelopeHash),
      Math.floor(row.receivedMs),
    ],
  );
}

/** Refusals of sessions whose keys live, oldest first. */
export async function liveRefusals(database: IngestDatabase): Promise<RefusalRow[]> {
  const found = await database.pool.query<RefusalRow>(
    `SELECT r.device_id AS "deviceId", encode(r.session_id, 'hex') AS "sessionId", r.number,
       r.problem, r.envelope_hash AS "envelopeHash", r.received_ms AS "receivedMs"
     FROM envelope_refusal r JOIN device_session s USING (tenant_id, device_id, session_id)
     WHERE r.tenant_id = $1 AND s.ended_ms IS NULL ORDER BY r.received_ms`,
    [database.tenantId],
  );
  return found.rows;
}

/** The present store epoch (1 is written on the first start), and the newest entry it folded. */
export async function storeEpoch(
  database: IngestDatabase,
  nowMs: number,
): Promise<{ epoch: number; folded: number }> {
  await database.pool.query(
    `INSERT INTO store_epoch (tenant_id, epoch, started_ms, reason)
     VALUES ($1, 1, $2, 'first start') ON CONFLICT DO NOTHING`,
    [database.tenantId, Math.floor(nowMs)],
  );
  const found = await database.pool.query<{ epoch: number; folded: number }>(
    `SELECT max(epoch) AS epoch, max(folded) AS folded FROM store_epoch WHERE tenant_id = $1`,
    [database.tenantId],
  );
  return found.rows[0] as { epoch: number; folded: number };
}

export async function beginStoreEpoch(
  database: IngestDatabase,
  epoch: number,
  nowMs: number,
): Promise<void> {
  await database.pool.query(
    `INSERT INTO store_epoch (tenant_id, epoch, started_ms, reason)
     VALUES ($1, $2, $3, 'the database is older than the keystore') ON CONFLICT DO NOTHING`,
    [database.tenantId, epoch, Math.floor(nowMs)],
  );
}
