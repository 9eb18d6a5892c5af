import assert from "node:assert/strict";
import { test } from "node:test";
import { testDatabase } from "../../test/support/database.ts";

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
