/** When each device was last heard before this start: from the sessions that admission keeps. */
import type { IngestDatabase } from "./tables.ts";

/** @returns device id and UTC ms of its newest admission, or of the session's opening; in no order. */
export async function lastHeard(db: IngestDatabase): Promise<[deviceId: string, ms: number][]> {
  const { rows } = await db.pool.query<{ device_id: string; ms: number }>(
    `SELECT device_id, max(last_ms) AS ms FROM device_session
     WHERE tenant_id = $1 GROUP BY device_id`,
    [db.tenantId],
  );
  return rows.map(({ device_id, ms }) => [device_id, ms]);
}
