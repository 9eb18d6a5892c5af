/** SQL of security events. */
import type { IngestDatabase } from "./tables.ts";

export interface SecurityEventRow {
  readonly deviceId: string;
  readonly kind: string;
  readonly firstMs: number;
  lastMs: number;
  count: number;
  readonly evidence: Readonly<Record<string, string | number | boolean>>;
}

/** Writes the rows' present counts; writing the same row again replaces its count. */
export async function writeSecurityEvents(
  database: IngestDatabase,
  rows: readonly SecurityEventRow[],
): Promise<void> {
  await database.transaction(async (client) => {
    await client.query({
      name: "ingest-write-events",
      text: `INSERT INTO security_event
          (tenant_id, device_id, kind, first_ms, last_ms, count, evidence)
        SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::jsonb[])
        ON CONFLICT (tenant_id, device_id, kind, first_ms)
        DO UPDATE SET last_ms = excluded.last_ms, count = excluded.count`,
      values: [
        database.tenantId,
        rows.map((row) => row.deviceId),
        rows.map((row) => row.kind),
        rows.map((row) => Math.floor(row.firstMs)),
        rows.map((row) => Math.floor(row.lastMs)),
        rows.map((row) => row.count),
        rows.map((row) => JSON.stringify(row.evidence)),
      ],
    });
  });
}

/** Newest first, for operators and tests. */
export async function readSecurityEvents(
  database: IngestDatabase,
  limit: number,
): Promise<SecurityEventRow[]> {
  const found = await database.pool.query(
    `SELECT device_id AS "deviceId", kind, first_ms AS "firstMs", last_ms AS "lastMs", count, evidence
     FROM security_event WHERE tenant_id = $1 ORDER BY last_ms DESC LIMIT $2`,
    [database.tenantId, limit],
  );
  return found.rows as SecurityEventRow[];
}
