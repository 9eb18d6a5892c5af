/** The SQL of people, care teams and sign-in. */
import type { Database } from "../postgres/database.ts";
import type { StaffRole } from "./principal.ts";

type Client = Parameters<Parameters<Database["transaction"]>[0]>[0];

export interface PersonRow {
  person_id: string;
  role: StaffRole;
  active: boolean;
  sealed: Buffer;
}
export interface SessionRow {
  session_hash: Buffer;
  session_id: string;
  person_id: string;
  means: "cookie" | "bearer";
  started_ms: number;
  seen_ms: number;
  expires_ms: number;
}

/** Rows of ended sign-ins are kept this long, then removed: they say nothing the audit does not. */
const ENDED_KEPT_MS = 24 * 3_600_000;

export function peopleTables(tenantId: string) {
  return {
    async load(client: Client) {
      const people = await client.query<PersonRow>(
        "SELECT person_id, role, active, sealed FROM person WHERE tenant_id = $1 ORDER BY person_id",
        [tenantId],
      );
      const preferences = await client.query<{ person_id: string; sealed: Buffer }>(
        "SELECT person_id, sealed FROM preference WHERE tenant_id = $1",
        [tenantId],
      );
      const careTeam = await client.query<{ patient_id: string; person_id: string }>(
        "SELECT patient_id, person_id FROM care_team WHERE tenant_id = $1 AND to_ms IS NULL",
        [tenantId],
      );
      return { people: people.rows, preferences: preferences.rows, careTeam: careTeam.rows };
    },
    async addPerson(
      client: Client,
      o: { personId: string; role: StaffRole; sealed: Uint8Array; nowMs: number },
    ) {
      await client.query(
        "INSERT INTO person (tenant_id, person_id, role, active, sealed, created_ms) VALUES ($1, $2, $3, true, $4, $5)",
        [tenantId, o.personId, o.role, o.sealed, o.nowMs],
      );
    },
    async changePerson(client: Client, o: { personId: string; role: StaffRole; active: boolean }) {
      await client.query(
        "UPDATE person SET role = $3, active = $4 WHERE tenant_id = $1 AND person_id = $2",
        [tenantId, o.personId, o.role, o.active],
      );
    },
    async savePreferences(client: Client, personId: string, sealed: Uint8Array) {
      await client.query(
        `INSERT INTO preference (tenant_id, person_id, sealed) VALUES ($1, $2, $3)
         ON CONFLICT (tenant_id, person_id) DO UPDATE SET sealed = excluded.sealed`,
        [tenantId, personId, sealed],
      );
    },
    async joinCareTeam(client: Client, o: { personId: string; patientId: string; nowMs: number }) {
      await client.query(
        `INSERT INTO care_team (tenant_id, patient_id, person_id, from_ms) VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant_id, patient_id, person_id, from_ms) DO UPDATE SET to_ms = NULL`,
        [tenantId, o.patientId, o.personId, o.nowMs],
      );
    },
    async leaveCareTeam(client: Client, o: { personId: string; patientId: string; nowMs: number }) {
      await client.query(
        `UPDATE care_team SET to_ms = $4
         WHERE tenant_id = $1 AND patient_id = $2 AND person_id = $3 AND to_ms IS NULL`,
        [tenantId, o.patientId, o.personId, o.nowMs],
      );
    },
  };
}

export function sessionTables(tenantId: string) {
  return {
    /** Live sign-ins; removes what ended long ago. */
    async load(client: Client, nowMs: number): Promise<SessionRow[]> {
      const before = nowMs - ENDED_KEPT_MS;
      await client.query("DELETE FROM session WHERE tenant_id = $1 AND expires_ms < $2", [
        tenantId,
        before,
      ]);
      await client.query("DELETE FROM sign_in_link WHERE tenant_id = $1 AND expires_ms < $2", [
        tenantId,
        before,
      ]);
      const found = await client.query<SessionRow>(
        `SELECT session_hash, session_id, person_id, means, started_ms, seen_ms, expires_ms
         FROM session WHERE tenant_id = $1 AND ended_ms IS NULL AND expires_ms > $2 ORDER BY started_ms`,
        [tenantId, nowMs],
      );
      return found.rows;
    },
    async addLink(client: Client, o: { hash: Uint8Array; personId: string; expiresMs: number }) {
      await client.query(
        "INSERT INTO sign_in_link (tenant_id, link_hash, person_id, expires_ms) VALUES ($1, $2, $3, $4)",
        [tenantId, o.hash, o.personId, o.expiresMs],
      );
    },
    /** @returns whose link it was; undefined when unknown, used or expired. Works for one caller only. */
    async spendLink(client: Client, hash: Uint8Array, nowMs: number): Promise<string | undefined> {
      const done = await client.query<{ person_id: string }>(
        `UPDATE sign_in_link SET used_ms = $3
         WHERE tenant_id = $1 AND link_hash = $2 AND used_ms IS NULL AND expires_ms > $3
         RETURNING person_id`,
        [tenantId, hash, nowMs],
      );
      return done.rows[0]?.person_id;
    },
    async addSession(client: Client, row: SessionRow) {
      await client.query(
        `INSERT INTO session (tenant_id, session_hash, session_id, person_id, means, started_ms, seen_ms, expires_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
        [
          tenantId,
          row.session_hash,
          row.session_id,
          row.person_id,
          row.means,
          row.started_ms,
          row.seen_ms,
          row.expires_ms,
        ],
      );
    },
    async endSessions(client: Client, hashes: readonly Uint8Array[], nowMs: number) {
      await client.query(
        "UPDATE session SET ended_ms = $3 WHERE tenant_id = $1 AND session_hash = ANY($2)",
        [tenantId, hashes, nowMs],
      );
    },
    async markSeen(client: Client, seen: readonly { hash: Uint8Array; seenMs: number }[]) {
      await client.query(
        `UPDATE session SET seen_ms = seen.ms FROM unnest($2::bytea[], $3::bigint[]) AS seen (hash, ms)
         WHERE tenant_id = $1 AND session_hash = seen.hash`,
        [tenantId, seen.map((one) => one.hash), seen.map((one) => one.seenMs)],
      );
    },
  };
}
