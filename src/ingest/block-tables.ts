/** SQL of signed blocks. */
import type pg from "pg";
import type { IngestDatabase } from "./tables.ts";

export interface BlockRow {
  readonly patientId: string;
  readonly deviceId: string;
  readonly sessionId: string;
  readonly from: number;
  readonly to: number;
  /** Batches under it: numbers without one, such as this block's own envelope, have no leaf. */
  readonly leafCount: number;
  readonly root: Uint8Array;
  readonly certificateHash: string;
  /** COSE_Sign1 as received. */
  readonly signed: Uint8Array;
  readonly receivedMs: number;
}

export interface StoredBlock extends BlockRow {
  readonly state: "waiting" | "verified" | "failed";
  readonly saltKey: Uint8Array | undefined;
  readonly saltMonth: number | undefined;
}

const COLUMNS = `patient_id AS "patientId", device_id AS "deviceId",
  encode(session_id, 'hex') AS "sessionId", from_number AS "from", to_number AS "to",
  leaf_count AS "leafCount", root, encode(certificate_hash, 'hex') AS "certificateHash", signed,
  received_ms AS "receivedMs", state, salt_key AS "saltKey", salt_month AS "saltMonth"`;

export async function insertBlocks(
  client: pg.PoolClient,
  tenantId: string,
  rows: readonly BlockRow[],
): Promise<void> {
  for (const row of rows) {
    await client.query({
      name: "ingest-insert-block",
      text: `INSERT INTO signed_block (tenant_id, patient_id, device_id, session_id, from_number,
          to_number, leaf_count, root, certificate_hash, signed, state, received_ms)
        VALUES ($1, $2, $3, decode($4, 'hex'), $5, $6, $7, $8, decode($9, 'hex'), $10, 'waiting', $11)
        ON CONFLICT DO NOTHING`,
      values: [
        tenantId,
        row.patientId,
        row.deviceId,
        row.sessionId,
        row.from,
        row.to,
        row.leafCount,
        Buffer.from(row.root),
        row.certificateHash,
        Buffer.from(row.signed),
        Math.floor(row.receivedMs),
      ],
    });
  }
}

export async function settleBlock(
  database: IngestDatabase,
  block: BlockRow,
  o: { state: "verified" | "failed"; saltKey?: Uint8Array; saltMonth?: number },
): Promise<void> {
  await database.pool.query({
    name: "ingest-settle-block",
    text: `UPDATE signed_block SET state = $7, salt_key = $8, salt_month = $9
      WHERE tenant_id = $1 AND patient_id = $2 AND device_id = $3 AND session_id = decode($4, 'hex')
        AND from_number = $5 AND root = $6`,
    values: [
      database.tenantId,
      block.patientId,
      block.deviceId,
      block.sessionId,
      block.from,
      Buffer.from(block.root),
      o.state,
      o.saltKey ? Buffer.from(o.saltKey) : null,
      o.saltMonth ?? null,
    ],
  });
}

/** Blocks of open sessions that wait for envelopes, oldest first. */
export async function waitingBlocks(database: IngestDatabase): Promise<StoredBlock[]> {
  const found = await database.pool.query<StoredBlock>(
    `SELECT ${COLUMNS} FROM signed_block
     WHERE tenant_id = $1 AND state = 'waiting' ORDER BY received_ms, from_number`,
    [database.tenantId],
  );
  return found.rows.map(plain);
}

/** The verified block over that number, else any over it, else undefined: unsigned yet. */
export async function blockOver(
  database: IngestDatabase,
  of: {
    readonly patientId: string;
    readonly deviceId: string;
    readonly sessionId: string;
    readonly number: number;
  },
): Promise<StoredBlock | undefined> {
  const found = await database.pool.query<StoredBlock>({
    name: "ingest-block-over",
    text: `SELECT ${COLUMNS} FROM signed_block
      WHERE tenant_id = $1 AND patient_id = $2 AND device_id = $3
        AND session_id = decode($4, 'hex') AND from_number <= $5 AND to_number >= $5
      ORDER BY (state = 'verified') DESC, from_number DESC LIMIT 1`,
    values: [database.tenantId, of.patientId, of.deviceId, of.sessionId, of.number],
  });
  return found.rows.map(plain)[0];
}

function plain(row: StoredBlock): StoredBlock {
  return { ...row, saltKey: row.saltKey ?? undefined, saltMonth: row.saltMonth ?? undefined };
}
