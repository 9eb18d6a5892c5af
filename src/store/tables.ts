/** Every statement of the store of series. Named ones are prepared once per connection. */
import type pg from "pg";
import type { LaneRow } from "./lane.ts";

type Queryable = Pick<pg.Pool | pg.PoolClient, "query">;

export async function lanesById(
  db: Queryable,
  tenantId: string,
  patientIds: readonly string[],
  laneIds: readonly string[],
): Promise<LaneRow[]> {
  const found = await db.query<LaneRow>({
    name: "store-lanes",
    text: `SELECT lane, month, first_arrival, next_arrival, version, directory, seal FROM lane
           WHERE tenant_id = $1 AND patient_id = ANY($2) AND lane = ANY($3)`,
    values: [tenantId, patientIds, laneIds],
  });
  return found.rows;
}

/** Months of a patient that hold anything, ascending. */
export async function monthsOf(
  db: Queryable,
  tenantId: string,
  patientId: string,
): Promise<number[]> {
  const found = await db.query<{ month: number }>({
    name: "store-months",
    text: "SELECT DISTINCT month FROM lane WHERE tenant_id = $1 AND patient_id = $2 ORDER BY month",
    values: [tenantId, patientId],
  });
  return found.rows.map((row) => row.month);
}

export interface NewLane {
  readonly patientId: string;
  readonly id: string;
  readonly month: number;
  readonly directory: Uint8Array;
  readonly seal: Uint8Array;
}

/** Makes a lane's row unless it is there; it lists nothing yet. */
export async function addLane(db: Queryable, tenantId: string, lane: NewLane): Promise<void> {
  await db.query({
    name: "store-add-lane",
    text: `INSERT INTO lane VALUES ($1, $2, $3, $4, 1, 1, 1, $5, $6) ON CONFLICT DO NOTHING`,
    values: [tenantId, lane.patientId, lane.id, lane.month, lane.directory, lane.seal],
  });
}

/** One row for each lane of a group commit; lists of equal length. */
export interface ArrivalRows {
  readonly patientIds: readonly string[];
  readonly laneIds: readonly string[];
  readonly numbers: readonly number[];
  /** The manifests' versions that the seals are made for. */
  readonly versions: readonly number[];
  /** Where each row's bytes begin in `sealed`, from 1, and how many. */
  readonly starts: readonly number[];
  readonly lengths: readonly number[];
  readonly sealed: Buffer;
  /** 32 bytes each, in the same order. */
  readonly seals: Buffer;
  readonly digest: Buffer;
  readonly writtenMs: number;
}

/** Adds arrivals, moves their manifests on and leaves a row in the outbox: one statement.
 * A row that lies where none may be yet is no part of any manifest and is overwritten.
 * @returns lanes moved on; fewer than rows means that somebody else moved one meanwhile. */
export async function addArrivals(
  db: Queryable,
  tenantId: string,
  rows: ArrivalRows,
): Promise<number> {
  const found = await db.query<{ moved: number }>({
    name: "store-add-arrivals",
    text: `WITH fresh AS (
             SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::int8[], $5::int4[], $6::int4[], $11::int8[])
               WITH ORDINALITY AS t(patient_id, lane, number, start, length, version, place)
           ), added AS (
             INSERT INTO arrival (tenant_id, patient_id, lane, number, sealed)
             SELECT $1::uuid, patient_id, lane, number, substring($7::bytea FROM start FOR length)
             FROM fresh
             ON CONFLICT (tenant_id, patient_id, lane, number) DO UPDATE SET sealed = EXCLUDED.sealed
           ), moved AS (
             UPDATE lane SET next_arrival = fresh.number + 1,
               seal = substring($8::bytea FROM (fresh.place * 32 - 31)::int4 FOR 32)
             FROM fresh
             WHERE lane.tenant_id = $1::uuid AND lane.patient_id = fresh.patient_id
               AND lane.lane = fresh.lane AND lane.next_arrival = fresh.number
               AND lane.version = fresh.version
             RETURNING 1
           ), told AS (
             INSERT INTO outbox (tenant_id, written_ms, digest) VALUES ($1::uuid, $9, $10)
           )
           SELECT count(*) AS moved FROM moved`,
    values: [
      tenantId,
      arrayOf(rows.patientIds),
      arrayOf(rows.laneIds),
      arrayOf(rows.numbers),
      arrayOf(rows.starts),
      arrayOf(rows.lengths),
      rows.sealed,
      rows.seals,
      rows.writtenMs,
      rows.digest,
      arrayOf(rows.versions),
    ],
  });
  return found.rows[0]!.moved;
}

/** PostgreSQL's text form of an array of plain words; faster than the driver's general one. */
function arrayOf(values: readonly (string | number)[]): string {
  return `{${values.join()}}`;
}

export interface ArrivalRow {
  readonly lane: string;
  readonly number: number;
  readonly sealed: Buffer;
}

/** Arrivals of one lane from `first` up to but not `next`, ascending. */
export async function arrivalsOf(
  db: Queryable,
  at: { tenantId: string; patientId: string; laneId: string },
  first: number,
  next: number,
): Promise<ArrivalRow[]> {
  const found = await db.query<ArrivalRow>({
    name: "store-arrivals",
    text: `SELECT lane, number, sealed FROM arrival
           WHERE tenant_id = $1 AND patient_id = $2 AND lane = $3 AND number >= $4 AND number < $5
           ORDER BY number`,
    values: [at.tenantId, at.patientId, at.laneId, first, next],
  });
  return found.rows;
}

/** All arrivals of those lanes of one patient. */
export async function arrivalsOfLanes(
  db: Queryable,
  tenantId: string,
  patientId: string,
  laneIds: readonly string[],
): Promise<ArrivalRow[]> {
  const found = await db.query<ArrivalRow>({
    name: "store-arrivals-of-lanes",
    text: `SELECT lane, number, sealed FROM arrival
           WHERE tenant_id = $1 AND patient_id = $2 AND lane = ANY($3)`,
    values: [tenantId, patientId, laneIds],
  });
  return found.rows;
}

/** Sealed listings by shelf id. */
export async function listingsOf(
  db: Queryable,
  tenantId: string,
  patientId: string,
  shelfIds: readonly string[],
): Promise<Map<string, Buffer>> {
  if (shelfIds.length === 0) return new Map();
  const found = await db.query<{ shelf: string; listing: Buffer }>({
    name: "store-listings",
    text: `SELECT shelf, listing FROM shelf
           WHERE tenant_id = $1 AND patient_id = $2 AND shelf = ANY($3)`,
    values: [tenantId, patientId, shelfIds],
  });
  return new Map(found.rows.map((row) => [row.shelf, row.listing]));
}

/** Sealed segments of one shelf by number. */
export async function segmentsOf(
  db: Queryable,
  at: { tenantId: string; patientId: string; shelfId: string },
  numbers: readonly number[],
): Promise<Map<number, Buffer>> {
  if (numbers.length === 0) return new Map();
  const found = await db.query<{ number: number; sealed: Buffer }>({
    name: "store-segments",
    text: `SELECT number, sealed FROM segment
           WHERE tenant_id = $1 AND patient_id = $2 AND shelf = $3 AND number = ANY($4)`,
    values: [at.tenantId, at.patientId, at.shelfId, numbers],
  });
  return new Map(found.rows.map((row) => [row.number, row.sealed]));
}

/** What a merge of one lane changes: all of it in one transaction. */
export interface MergeWrite {
  readonly patientId: string;
  readonly laneId: string;
  readonly before: { readonly firstArrival: number; readonly version: number };
  readonly after: { readonly firstArrival: number; readonly version: number };
  readonly directory: Uint8Array;
  readonly shelves: readonly {
    readonly id: string;
    readonly listing: Uint8Array;
    readonly added: readonly { readonly number: number; readonly sealed: Uint8Array }[];
    readonly removed: readonly number[];
  }[];
}

/** @param sealFor the manifest's keyed hash, once the newest arrival is known.
 * @returns false when the lane was changed by somebody else; then nothing may be committed. */
export async function writeMerge(
  db: Queryable,
  tenantId: string,
  write: MergeWrite,
  sealFor: (nextArrival: number) => Uint8Array,
): Promise<boolean> {
  const lane = [tenantId, write.patientId, write.laneId];
  const locked = await db.query<{ next_arrival: number; first_arrival: number; version: number }>(
    `SELECT next_arrival, first_arrival, version FROM lane
     WHERE tenant_id = $1 AND patient_id = $2 AND lane = $3 FOR UPDATE`,
    lane,
  );
  const row = locked.rows[0];
  if (row?.first_arrival !== write.before.firstArrival) return false;
  if (row.version !== write.before.version) return false;
  await db.query(
    `UPDATE lane SET first_arrival = $4, version = $5, directory = $6, seal = $7
     WHERE tenant_id = $1 AND patient_id = $2 AND lane = $3`,
    [
      ...lane,
      write.after.firstArrival,
      write.after.version,
      write.directory,
      sealFor(row.next_arrival),
    ],
  );
  await db.query(
    "DELETE FROM arrival WHERE tenant_id = $1 AND patient_id = $2 AND lane = $3 AND number < $4",
    [...lane, write.after.firstArrival],
  );
  for (const shelf of write.shelves) {
    const at = [tenantId, write.patientId, shelf.id];
    await db.query({
      name: "store-put-shelf",
      text: `INSERT INTO shelf VALUES ($1, $2, $3, $4)
             ON CONFLICT (tenant_id, patient_id, shelf) DO UPDATE SET listing = EXCLUDED.listing`,
      values: [...at, shelf.listing],
    });
    if (shelf.removed.length > 0) {
      await db.query({
        name: "store-drop-segments",
        text: `DELETE FROM segment
               WHERE tenant_id = $1 AND patient_id = $2 AND shelf = $3 AND number = ANY($4)`,
        values: [...at, shelf.removed],
      });
    }
    for (const { number, sealed } of shelf.added) {
      await db.query({
        name: "store-add-segment",
        text: `INSERT INTO segment VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (tenant_id, patient_id, shelf, number) DO UPDATE SET sealed = EXCLUDED.sealed`,
        values: [...at, number, sealed],
      });
    }
  }
  return true;
}

/** Lanes that hold arrivals, for merging after a start. */
export async function lanesWithArrivals(
  db: Queryable,
  tenantId: string,
): Promise<{ patientId: string; laneId: string; month: number }[]> {
  const found = await db.query<{ patient_id: string; lane: string; month: number }>(
    `SELECT patient_id, lane, month FROM lane
     WHERE tenant_id = $1 AND next_arrival > first_arrival`,
    [tenantId],
  );
  return found.rows.map((row) => ({
    patientId: row.patient_id,
    laneId: row.lane,
    month: row.month,
  }));
}

export async function deletePatientRows(
  db: Queryable,
  tenantId: string,
  patientId: string,
): Promise<void> {
  for (const table of ["arrival", "segment", "shelf", "lane"]) {
    await db.query(`DELETE FROM ${table} WHERE tenant_id = $1 AND patient_id = $2`, [
      tenantId,
      patientId,
    ]);
  }
}

export async function pruneOutbox(db: Queryable, tenantId: string, keep: number): Promise<void> {
  await db.query(
    `DELETE FROM outbox WHERE tenant_id = $1
       AND number < (SELECT max(number) FROM outbox WHERE tenant_id = $1) - $2::bigint`,
    [tenantId, keep],
  );
}

/** @returns the keystore this database is bound to; undefined before the first binding. */
export async function boundKeystore(db: Queryable, tenantId: string): Promise<string | undefined> {
  const found = await db.query<{ keystore_id: string }>(
    "SELECT keystore_id FROM keystore_binding WHERE tenant_id = $1",
    [tenantId],
  );
  return found.rows[0]?.keystore_id;
}

export async function bindKeystore(
  db: Queryable,
  tenantId: string,
  keystoreId: string,
): Promise<void> {
  await db.query("INSERT INTO keystore_binding VALUES ($1, $2) ON CONFLICT DO NOTHING", [
    tenantId,
    keystoreId,
  ]);
}
