import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { emptyDatabase } from "../../test/support/database.ts";
import { StartRefusal } from "../start-refusal.ts";
import { withClient } from "./database.ts";
import { type Migration, migrate, readMigrations } from "./migrate.ts";

const FIRST = written(1, "0001-one.sql", "CREATE TABLE one (n int); INSERT INTO one VALUES (1);");
const SECOND = written(2, "0002-two.sql", "ALTER TABLE one ADD COLUMN m int;");

function written(number: number, name: string, sql: string): Migration {
  return { number, name, sql, checksum: createHash("sha256").update(sql).digest("hex") };
}

async function rowsOfOne(url: string): Promise<number> {
  return withClient(url, async (client) => {
    const found = await client.query<{ count: number }>("SELECT count(*)::int AS count FROM one");
    return found.rows[0]?.count ?? 0;
  });
}

test("migrating twice applies each migration once", async (t) => {
  const url = await emptyDatabase(t);
  await withClient(url, (client) => migrate(client, [FIRST]));
  await withClient(url, (client) => migrate(client, [FIRST]));
  assert.equal(await rowsOfOne(url), 1);
});

test("a later release adds only what is new", async (t) => {
  const url = await emptyDatabase(t);
  await withClient(url, (client) => migrate(client, [FIRST]));
  await withClient(url, (client) => migrate(client, [FIRST, SECOND]));
  assert.equal(await rowsOfOne(url), 1);
  await withClient(url, (client) => client.query("SELECT m FROM one"));
});

test("twenty that migrate at once apply each migration once", async (t) => {
  const url = await emptyDatabase(t);
  await Promise.all(
    Array.from({ length: 20 }, () => withClient(url, (client) => migrate(client, [FIRST, SECOND]))),
  );
  assert.equal(await rowsOfOne(url), 1);
});

test("the release's own migrations run twice, and by twenty at once", async (t) => {
  const url = await emptyDatabase(t);
  const migrations = readMigrations();
  await Promise.all(
    Array.from({ length: 20 }, () => withClient(url, (client) => migrate(client, migrations))),
  );
  await withClient(url, (client) => migrate(client, migrations));
  const applied = await withClient(url, (client) =>
    client.query("SELECT number FROM schema_migration ORDER BY number"),
  );
  assert.deepEqual(
    applied.rows.map((row) => row.number),
    migrations.map((migration) => migration.number),
  );
});

test("a schema of a newer release is refused and left as it was", async (t) => {
  const url = await emptyDatabase(t);
  await withClient(url, (client) => migrate(client, [FIRST, SECOND]));
  await assert.rejects(
    withClient(url, (client) => migrate(client, [FIRST])),
    (error) => error instanceof StartRefusal && /0002-two\.sql.*newer/.test(error.message),
  );
  assert.equal(await rowsOfOne(url), 1);
});

test("a migration that changed after it was applied is refused", async (t) => {
  const url = await emptyDatabase(t);
  await withClient(url, (client) => migrate(client, [FIRST]));
  const changed = written(1, "0001-one.sql", "CREATE TABLE one (n bigint);");
  await assert.rejects(
    withClient(url, (client) => migrate(client, [changed, SECOND])),
    (error) => error instanceof StartRefusal && /0001-one\.sql differs/.test(error.message),
  );
  await assert.rejects(
    withClient(url, (client) => client.query("SELECT m FROM one")),
    /column "m" does not exist/,
  );
});

test("a migration that fails leaves the ones before it, and nothing of itself", async (t) => {
  const url = await emptyDatabase(t);
  const broken = written(2, "0002-broken.sql", "INSERT INTO one VALUES (2); SELECT 1 / 0;");
  await assert.rejects(
    withClient(url, (client) => migrate(client, [FIRST, broken])),
    /0002-broken\.sql failed: division by zero/,
  );
  assert.equal(await rowsOfOne(url), 1);
  await withClient(url, (client) => migrate(client, [FIRST, SECOND]));
});

test("a migration file without a number, or with a number taken, is refused", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "vitalward-migrations-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "0001-one.sql"), FIRST.sql);
  assert.deepEqual(readMigrations(folder), [FIRST]);
  writeFileSync(join(folder, "0001-uno.sql"), FIRST.sql);
  assert.throws(() => readMigrations(folder), /0001-uno\.sql/);
  rmSync(join(folder, "0001-uno.sql"));
  writeFileSync(join(folder, "two.sql"), SECOND.sql);
  assert.throws(() => readMigrations(folder), /two\.sql/);
});
