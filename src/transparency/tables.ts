/** The audit's SQL: insert and select, nothing else. */
import type { Database } from "../postgres/database.ts";

type Client = Parameters<Parameters<Database["transaction"]>[0]>[0];

export function auditTables(tenantId: string) {
  return {
    async append(
      client: Client,
      entries: readonly {
        patientId: string;
        entryId: string;
        atMs: number;
        sealed: Uint8Array;
      }[],
    ): Promise<void> {
      await client.query(
        `INSERT INTO audit_entry (tenant_id, patient_id, entry_id, at_ms, sealed)
         SELECT $1, * FROM unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::bytea[])`,
        [
          tenantId,
          entries.map((entry) => entry.patientId),
          entries.map((entry) => entry.entryId),
          entries.map((entry) => entry.atMs),
          entries.map((entry) => entry.sealed),
        ],
      );
    },
    async of(client: Client, patientId: string) {
      const found = await client.query<{ entry_id: string; at_ms: number; sealed: Buffer }>(
        `SELECT entry_id, at_ms, sealed FROM audit_entry
         WHERE tenant_id = $1 AND patient_id = $2 ORDER BY at_ms, entry_id`,
        [tenantId, patientId],
      );
      return found.rows;
    },
  };
}
