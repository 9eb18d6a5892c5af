/** Every statement on encrypted resources. */
import type pg from "pg";

type Queryable = Pick<pg.Pool | pg.PoolClient, "query">;

export interface ResourceRow {
  readonly patient_id: string;
  readonly id: string;
  readonly version: number;
  readonly kind: string;
  readonly time_ms: number;
  readonly written_ms: number;
  readonly deleted: boolean;
  readonly sealed: Buffer;
}

const COLUMNS = "patient_id, id, version, kind, time_ms, written_ms, deleted, sealed";

/** Newest versions of those ids, locked until the transaction ends. */
export async function lockNewest(
  db: Queryable,
  tenantId: string,
  patientIds: readonly string[],
  ids: readonly string[],
): Promise<Map<string, number>> {
  const found = await db.query<{ patient_id: string; id: string; version: number }>({
    name: "resource-lock",
    text: `SELECT patient_id, id, version FROM resource
           WHERE tenant_id = $1 AND patient_id = ANY($2) AND id = ANY($3) AND newest
           ORDER BY patient_id, id FOR UPDATE`,
    values: [tenantId, patientIds, ids],
  });
  return new Map(found.rows.map((row) => [`${row.patient_id} ${row.id}`, row.version]));
}

export interface ResourceRows {
  readonly patientIds: readonly string[];
  readonly ids: readonly string[];
  readonly versions: readonly number[];
  readonly kinds: readonly string[];
  readonly timesMs: readonly number[];
  readonly writtenMs: number;
  readonly deleted: readonly boolean[];
  /** Text form of one bigint[] each. */
  readonly tokens: readonly string[];
  readonly starts: readonly number[];
  readonly lengths: readonly number[];
  readonly sealed: Buffer;
}

export async function addVersions(
  db: Queryable,
  tenantId: string,
  rows: ResourceRows,
  replaces: boolean,
): Promise<void> {
  if (replaces) {
    await db.query({
      name: "resource-supersede",
      text: `UPDATE resource SET newest = false
             FROM unnest($2::uuid[], $3::uuid[], $4::int4[]) AS fresh(patient_id, id, version)
             WHERE resource.tenant_id = $1 AND resource.patient_id = fresh.patient_id
               AND resource.id = fresh.id AND resource.version = fresh.version - 1`,
      values: [tenantId, list(rows.patientIds), list(rows.ids), list(rows.versions)],
    });
  }
  await db.query({
    name: "resource-add",
    text: `INSERT INTO resource
           SELECT $1::uuid, patient_id, id, version, kind, time_ms, $2::int8, true, deleted,
             tokens::int8[], substring($3::bytea FROM start FOR length)
           FROM unnest($4::uuid[], $5::uuid[], $6::int4[], $7::uuid[], $8::int8[], $9::bool[],
             $10::text[], $11::int4[], $12::int4[])
             AS t(patient_id, id, version, kind, time_ms, deleted, tokens, start, length)`,
    values: [
      tenantId,
      rows.writtenMs,
      rows.sealed,
      list(rows.patientIds),
      list(rows.ids),
      list(rows.versions),
      list(rows.kinds),
      list(rows.timesMs),
      list(rows.deleted),
      `{${rows.tokens.map((token) => `"${token}"`).join()}}`,
      list(rows.starts),
      list(rows.lengths),
    ],
  });
}

function list(values: readonly (string | number | boolean)[]): string {
  return `{${values.join()}}`;
}

/** The search tokens of one resource, instead of those before. */
export async function setTokens(
  db: Queryable,
  at: { tenantId: string; patientId: string; id: string },
  tokens: readonly Buffer[],
): Promise<void> {
  const values = [at.tenantId, at.patientId, at.id];
  await db.query(
    "DELETE FROM resource_token WHERE tenant_id = $1 AND patient_id = $2 AND id = $3",
    values,
  );
  if (tokens.length === 0) return;
  await db.query(
    `INSERT INTO resource_token SELECT $1, $2, $3, token FROM unnest($4::bytea[]) AS t(token)
     ON CONFLICT DO NOTHING`,
    [...values, tokens],
  );
}

/** Versions of one resource, newest first; only of the given kinds. */
export async function versionsOf(
  db: Queryable,
  at: { tenantId: string; patientId: string; id: string },
  kinds: readonly string[],
  which: { readonly version?: number | undefined; readonly newest: boolean },
): Promise<ResourceRow[]> {
  const found = await db.query<ResourceRow>({
    name: "resource-get",
    text: `SELECT ${COLUMNS} FROM resource
           WHERE tenant_id = $1 AND patient_id = $2 AND id = $3 AND kind = ANY($4)
             AND ($5::int4 IS NULL OR version = $5) AND (newest OR NOT $6::bool)
           ORDER BY version DESC`,
    values: [at.tenantId, at.patientId, at.id, kinds, which.version ?? null, which.newest],
  });
  return found.rows;
}

export interface SearchPlan {
  readonly kinds: readonly string[];
  readonly fromMs: number | null;
  readonly toMs: number | null;
  /** Text forms of bigint. */
  readonly tokens: readonly string[];
}

const MATCHES = `tenant_id = $1 AND patient_id = $2 AND kind = ANY($3) AND newest AND NOT deleted
  AND ($4::int8 IS NULL OR time_ms >= $4) AND ($5::int8 IS NULL OR time_ms < $5)
  AND tokens @> $6::int8[]`;

export async function searchRows(
  db: Queryable,
  tenantId: string,
  patientId: string,
  plan: SearchPlan,
  page: { readonly newestFirst: boolean; readonly limit: number; readonly offset: number },
): Promise<ResourceRow[]> {
  const order = page.newestFirst ? "DESC" : "ASC";
  const found = await db.query<ResourceRow>({
    name: `resource-search-${order}`,
    text: `SELECT ${COLUMNS} FROM resource WHERE ${MATCHES}
           ORDER BY time_ms ${order}, id ${order} LIMIT $7 OFFSET $8`,
    values: [...searchValues(tenantId, patientId, plan), page.limit, page.offset],
  });
  return found.rows;
}

export async function countRows(
  db: Queryable,
  tenantId: string,
  patientId: string,
  plan: SearchPlan,
): Promise<number> {
  const found = await db.query<{ count: number }>({
    name: "resource-count",
    text: `SELECT count(*) AS count FROM resource WHERE ${MATCHES}`,
    values: searchValues(tenantId, patientId, plan),
  });
  return found.rows[0]!.count;
}

function searchValues(tenantId: string, patientId: string, plan: SearchPlan): unknown[] {
  return [tenantId, patientId, plan.kinds, plan.fromMs, plan.toMs, list(plan.tokens)];
}

/** Owners and ids of resources that carry all those tokens. */
export async function tokenMatches(
  db: Queryable,
  tenantId: string,
  tokens: readonly Buffer[],
  limit: number,
): Promise<{ patientId: string; id: string }[]> {
  const found = await db.query<{ patient_id: string; id: string }>({
    name: "resource-candidates",
    text: `SELECT patient_id, id FROM resource_token
           WHERE tenant_id = $1 AND token = ANY($2::bytea[])
           GROUP BY patient_id, id HAVING count(*) = $3 ORDER BY patient_id, id LIMIT $4`,
    values: [tenantId, tokens, tokens.length, limit],
  });
  return found.rows.map((row) => ({ patientId: row.patient_id, id: row.id }));
}

export async function deletePatientResources(
  db: Queryable,
  tenantId: string,
  patientId: string,
): Promise<void> {
  for (const table of ["resource", "resource_token"]) {
    await db.query(`DELETE FROM ${table} WHERE tenant_id = $1 AND patient_id = $2`, [
      tenantId,
      patientId,
    ]);
  }
}
