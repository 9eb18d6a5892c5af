/** The registry's SQL. */
import type { Database } from "../postgres/database.ts";
import type { DeviceState } from "./registry.ts";

type Client = Parameters<Parameters<Database["transaction"]>[0]>[0];

export interface DeviceRow {
  device_id: string;
  state: DeviceState;
  sealed: Buffer;
  enrolled_ms: number | null;
}
export interface CertificateRow {
  certificate_hash: Buffer;
  device_id: string;
  der: Buffer;
}
export interface AssignmentRow {
  patient_id: string;
  device_id: string;
  from_ms: number;
  to_ms: number | null;
}
export interface ClaimRow {
  device_id: string;
  expires_ms: number;
  patient_id: string | null;
  assigned_from_ms: number | null;
  used_ms: number | null;
  certificate_hash: Buffer | null;
}

export function registryTables(database: Database) {
  const tenant = database.tenantId;
  return { ...deviceTables(database, tenant), ...claimTables(tenant), ...assignmentTables(tenant) };
}

function deviceTables(database: Database, tenant: string) {
  return {
    async load() {
      const [devices, certificates, assignments] = await Promise.all([
        database.pool.query<DeviceRow>(
          "SELECT device_id, state, sealed, enrolled_ms FROM device WHERE tenant_id = $1 ORDER BY device_id",
          [tenant],
        ),
        database.pool.query<CertificateRow>(
          "SELECT certificate_hash, device_id, der FROM device_certificate WHERE tenant_id = $1 ORDER BY issued_ms",
          [tenant],
        ),
        database.pool.query<AssignmentRow>(
          "SELECT patient_id, device_id, from_ms, to_ms FROM device_assignment WHERE tenant_id = $1 ORDER BY from_ms",
          [tenant],
        ),
      ]);
      return {
        devices: devices.rows,
        certificates: certificates.rows,
        assignments: assignments.rows,
      };
    },
    async addDevice(client: Client, o: { deviceId: string; sealed: Uint8Array; nowMs: number }) {
      await client.query(
        "INSERT INTO device (tenant_id, device_id, state, sealed, created_ms) VALUES ($1, $2, 'claimed', $3, $4)",
        [tenant, o.deviceId, o.sealed, o.nowMs],
      );
    },
    async addCertificate(
      client: Client,
      o: { hash: string; deviceId: string; der: Uint8Array; nowMs: number },
    ) {
      await client.query(
        `INSERT INTO device_certificate (tenant_id, certificate_hash, device_id, der, issued_ms)
         VALUES ($1, $2, $3, $4, $5)`,
        [tenant, Buffer.from(o.hash, "hex"), o.deviceId, o.der, o.nowMs],
      );
    },
    /** @returns false when the device was not in one of the states `from`. */
    async changeState(
      client: Client,
      o: { deviceId: string; from: readonly DeviceState[]; to: DeviceState; enrolledMs?: number },
    ): Promise<boolean> {
      const done = await client.query(
        `UPDATE device SET state = $4, enrolled_ms = COALESCE(enrolled_ms, $5)
         WHERE tenant_id = $1 AND device_id = $2 AND state = ANY($3)`,
        [tenant, o.deviceId, o.from, o.to, o.enrolledMs ?? null],
      );
      return done.rowCount === 1;
    },
  };
}

function claimTables(tenant: string) {
  return {
    async addClaim(
      client: Client,
      o: {
        hash: Uint8Array;
        deviceId: string;
        expiresMs: number;
        patientId: string | undefined;
        assignedFromMs: number | undefined;
      },
    ) {
      await client.query(
        `INSERT INTO device_claim (tenant_id, claim_hash, device_id, expires_ms, patient_id, assigned_from_ms)
         VALUES ($1, $2, $3, $4, $5, $6)`,
        [tenant, o.hash, o.deviceId, o.expiresMs, o.patientId ?? null, o.assignedFromMs ?? null],
      );
    },
    /** Voids the device's codes that nobody used. @returns for whom the newest of them was made out. */
    async takeBackClaims(client: Client, deviceId: string) {
      const { rows } = await client.query<
        Pick<ClaimRow, "expires_ms" | "patient_id" | "assigned_from_ms">
      >(
        `DELETE FROM device_claim WHERE tenant_id = $1 AND device_id = $2 AND used_ms IS NULL
         RETURNING expires_ms, patient_id, assigned_from_ms`,
        [tenant, deviceId],
      );
      return rows.sort((a, b) => Number(b.expires_ms) - Number(a.expires_ms))[0];
    },
    /** Locks the claim, so that two enrolments with one code come one after the other. */
    async lockClaim(client: Client, hash: Uint8Array): Promise<ClaimRow | undefined> {
      const found = await client.query<ClaimRow>(
        `SELECT device_id, expires_ms, patient_id, assigned_from_ms, used_ms, certificate_hash
         FROM device_claim WHERE tenant_id = $1 AND claim_hash = $2 FOR UPDATE`,
        [tenant, hash],
      );
      return found.rows[0];
    },
    async spendClaim(client: Client, hash: Uint8Array, nowMs: number, certificateHash: string) {
      await client.query(
        "UPDATE device_claim SET used_ms = $3, certificate_hash = $4 WHERE tenant_id = $1 AND claim_hash = $2",
        [tenant, hash, nowMs, Buffer.from(certificateHash, "hex")],
      );
    },
  };
}

function assignmentTables(tenant: string) {
  return {
    async endAssignment(
      client: Client,
      o: { deviceId: string; patientId: string; fromMs: number; toMs: number },
    ) {
      await client.query(
        `UPDATE device_assignment SET to_ms = $5
         WHERE tenant_id = $1 AND patient_id = $2 AND device_id = $3 AND from_ms = $4 AND to_ms IS NULL`,
        [tenant, o.patientId, o.deviceId, o.fromMs, o.toMs],
      );
    },
    async addAssignment(
      client: Client,
      o: { deviceId: string; patientId: string; fromMs: number; nowMs: number },
    ) {
      await client.query(
        `INSERT INTO device_assignment (tenant_id, patient_id, device_id, from_ms, recorded_ms)
         VALUES ($1, $2, $3, $4, $5)`,
        [tenant, o.patientId, o.deviceId, o.fromMs, o.nowMs],
      );
    },
  };
}
