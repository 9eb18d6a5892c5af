import assert from "node:assert/strict";
import { test } from "node:test";
import { testDatabase } from "../../test/support/database.ts";
import { Problem } from "../problems.ts";

test("bigint columns arrive as exact numbers, and past 2^53 they are a fault", async (t) => {
  const database = await testDatabase(t);
  const found = await database.pool.query("SELECT 9007199254740991::bigint AS largest");
  assert.equal(found.rows[0].largest, Number.MAX_SAFE_INTEGER);
  await assert.rejects(database.pool.query("SELECT 9007199254740992::bigint"), RangeError);
});

test("two tests never see each other's rows", async (t) => {
  const [one, two] = await Promise.all([testDatabase(t), testDatabase(t)]);
  await one.pool.query("CREATE TABLE mark (n int)");
  const found = await two.pool.query("SELECT to_regclass('mark') AS mark");
  assert.equal(found.rows[0].mark, null);
});

test("what a transaction did is undone when its work throws, and its error is what rises", async (t) => {
  const database = await testDatabase(t);
  await database.pool.query("CREATE TABLE mark (n int)");
  const refused = new Problem("forbidden");
  const work = database.transaction(async (client) => {
    await client.query("INSERT INTO mark VALUES (1)");
    throw refused;
  });
  await assert.rejects(work, (error) => error === refused);
  const n = await database.transaction(async (client) => {
    await client.query("INSERT INTO mark VALUES (2)");
    return 2;
  });
  assert.equal(n, 2);
  assert.deepEqual((await database.pool.query("SELECT n FROM mark")).rows, [{ n: 2 }]);
});

test("a connection cut in the middle of a transaction is storage-unavailable, and the next one works", async (t) => {
  const database = await testDatabase(t);
  const cut = database.transaction(async (client) => {
    const found = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
    await database.pool.query("SELECT pg_terminate_backend($1)", [found.rows[0]?.pid]);
    await client.query("SELECT 1");
  });
  await assert.rejects(cut, (e) => e instanceof Problem && e.code === "storage-unavailable");
  assert.equal(await database.transaction(async () => "fine"), "fine");
});

test("idle connections that the server cuts harm nobody", async (t) => {
  const database = await testDatabase(t);
  await Promise.all([1, 2, 3].map(() => database.pool.query("SELECT pg_sleep(0.05)")));
  const client = await database.pool.connect();
  await client.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
  );
  client.release();
  assert.equal((await database.pool.query("SELECT 1 AS one")).rows[0].one, 1);
});

test("every table of the schema has a primary key that begins with the tenant", async (t) => {
  const database = await testDatabase(t);
  const found = await database.pool.query<{ name: string; first: string | null }>(`
    SELECT c.relname AS name, a.attname AS first
    FROM pg_class c
    LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
      AND c.relname <> 'schema_migration'`);
  assert.ok(found.rows.length > 0);
  assert.deepEqual(
    found.rows.filter((row) => row.first !== "tenant_id"),
    [],
  );
});

test("the schema uses nothing that Citus lacks: no foreign key, no trigger", async (t) => {
  const database = await testDatabase(t);
  const found = await database.pool.query(`
    SELECT conname AS what FROM pg_constraint WHERE contype = 'f'
    UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal`);
  assert.deepEqual(found.rows, []);
});
