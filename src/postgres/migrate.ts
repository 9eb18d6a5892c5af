/**
 * Brings a database to the schema of this release: numbered SQL files, forward only.
 * A crash in the middle leaves whole migrations: each commits together with its own row.
 * Any number of processes may run this at once; one works, the others wait and find it done.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type pg from "pg";
import { StartRefusal } from "../start-refusal.ts";

export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly sql: string;
  /** Hex SHA-256 of the file. */
  readonly checksum: string;
}

const FOLDER = fileURLToPath(new URL("./migrations/", import.meta.url));
/** "vitalwar" in ASCII, as a bigint: the advisory lock all migrators take. */
const LOCK = "8532478961466630514";

/** @returns the files `NNNN-name.sql` in order of their numbers, no number twice. */
export function readMigrations(folder = FOLDER): Migration[] {
  const found: Migration[] = [];
  for (const name of readdirSync(folder)
    .filter((file) => file.endsWith(".sql"))
    .sort()) {
    const number = Number(/^(\d{4})-[a-z0-9-]+\.sql$/.exec(name)?.[1]);
    if (!(number > (found.at(-1)?.number ?? 0))) {
      throw new Error(`migration ${name}: the name is not NNNN-name.sql, or its number is taken`);
    }
    const sql = readFileSync(`${folder}/${name}`, "utf8");
    found.push({ number, name, sql, checksum: createHash("sha256").update(sql).digest("hex") });
  }
  return found;
}

/**
 * @throws StartRefusal when the database is of a newer release, or a file that was applied has
 * changed since, or one was skipped.
 */
export async function migrate(client: pg.ClientBase, migrations: readonly Migration[]) {
  await client.query("SET statement_timeout = 0");
  await client.query(`SELECT pg_advisory_lock(${LOCK})`);
  try {
    await client.query(`CREATE TABLE IF NOT EXISTS schema_migration (
      number integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
      applied timestamptz NOT NULL DEFAULT now())`);
    const applied = await client.query<{ number: number; name: string; checksum: string }>(
      "SELECT number, name, checksum FROM schema_migration ORDER BY number",
    );
    judge(applied.rows, migrations);
    for (const migration of migrations.slice(applied.rows.length)) await apply(client, migration);
  } finally {
    await client.query(`SELECT pg_advisory_unlock(${LOCK})`);
    await client.query("RESET statement_timeout");
  }
}

function judge(
  applied: readonly { number: number; name: string; checksum: string }[],
  migrations: readonly Migration[],
): void {
  for (const [index, row] of applied.entries()) {
    const ours = migrations[index];
    if (ours === undefined) {
      throw new StartRefusal(
        `the database has migration ${row.name}, which this release does not know: it was used by a newer Vitalward; start that one, or restore a backup from before the upgrade`,
      );
    }
    if (ours.number !== row.number || ours.checksum !== row.checksum) {
      throw new StartRefusal(
        `migration ${ours.name} differs from what was applied to the database (${row.name}): use the release that made this database`,
      );
    }
  }
}

async function apply(client: pg.ClientBase, migration: Migration): Promise<void> {
  await client.query("BEGIN");
  try {
    await client.query(migration.sql);
    await client.query(
      "INSERT INTO schema_migration (number, name, checksum) VALUES ($1, $2, $3)",
      [migration.number, migration.name, migration.checksum],
    );
    await client.query("COMMIT");
  } catch (cause) {
    await client.query("ROLLBACK");
    throw new Error(`migration ${migration.name} failed: ${(cause as Error).message}`, { cause });
  }
}
