import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { gather, sequencesOf, source } from "../../test/support/envelopes.ts";
import { openTestStore } from "../../test/support/store.ts";
import type { SeriesChunk } from "./chunk.ts";

const ALL = { fromMs: 0, toMs: 1e15 };

/** A patient with two merged segments (of 100 and 50 samples) and five arrivals. */
async function stored(t: TestContext) {
  const opened = await openTestStore(t);
  const one = source();
  const permit = opened.permit(one.patientId);
  for (let day = 0; day < 3; day++) {
    const many = Array.from({ length: 50 }, () => {
      const envelope = one.next();
      const { batch } = envelope;
      const column = batch.points[0]!;
      column.timesMs[0] = batch.clockMs + day * 86_400_000;
      batch.clockMs = column.timesMs[0];
      column.mantissas[0] = Math.floor(Math.random() * 2 ** 30);
      return envelope;
    });
    await Promise.all(many.map((envelope) => opened.store.append(envelope)));
    await opened.store.merge(permit, { all: true });
  }
  for (let i = 0; i < 5; i++) {
    const envelope = one.next();
    const column = envelope.batch.points[0]!;
    column.timesMs[0] = envelope.batch.clockMs + 5 * 86_400_000;
    envelope.batch.clockMs = column.timesMs[0];
    await opened.store.append(envelope);
  }
  const read = () => gather(opened.store.read(permit, ALL));
  assert.equal(sequencesOf(await read()).length, 155);
  const query = (text: string) => opened.database.pool.query(text);
  return { opened, permit, read, query };
}

const gaps = (chunks: readonly SeriesChunk[]) =>
  chunks.flatMap(({ unreadable }) => (unreadable ? [unreadable] : []));

async function check(
  t: TestContext,
  o: { sql: string[]; readable: number; prepare?: string[]; restart?: boolean },
): Promise<void> {
  const { opened, read, query } = await stored(t);
  for (const text of o.prepare ?? []) await query(text);
  for (const text of o.sql) {
    const done = await query(text);
    assert.ok((done.rowCount ?? 0) > 0 || /TABLE/.test(text), "the attack itself works");
  }
  if (o.restart) await opened.restart();
  const before = opened.store.counters.unreadable;
  const chunks = await read();
  assert.equal(sequencesOf(chunks).length, o.readable);
  assert.ok(gaps(chunks).length > 0, "the gap is shown");
  assert.ok(opened.store.counters.unreadable > before, "and counted");
}

const FIRST = "(SELECT min(number) FROM segment)";
const LAST = "(SELECT max(number) FROM segment)";

test("a deleted segment is a gap; the others are read", (t) =>
  check(t, { sql: [`DELETE FROM segment WHERE number = ${FIRST}`], readable: 55 }));

test("an altered segment is a gap; the others are read", (t) =>
  check(t, {
    sql: [
      `UPDATE segment SET sealed = set_byte(sealed, 60, get_byte(sealed, 60) # 1) WHERE number = ${FIRST}`,
    ],
    readable: 55,
  }));

test("two segments that changed places are two gaps", (t) =>
  check(t, {
    sql: [
      `UPDATE segment SET sealed = CASE number WHEN ${FIRST} THEN (SELECT sealed FROM segment WHERE number = ${LAST})
         ELSE (SELECT sealed FROM segment WHERE number = ${FIRST}) END WHERE number IN (${FIRST}, ${LAST})`,
    ],
    readable: 5,
  }));

test("a segment that stands twice is a gap where the copy lies, never a doubled sample", (t) =>
  check(t, {
    sql: [
      `UPDATE segment SET sealed = (SELECT sealed FROM segment WHERE number = ${FIRST}) WHERE number = ${LAST}`,
    ],
    readable: 105,
  }));

test("a listing that was rolled back to an older one is a gap", (t) =>
  check(t, {
    prepare: [],
    sql: ["UPDATE shelf SET listing = set_byte(listing, 50, get_byte(listing, 50) # 1)"],
    readable: 5,
  }));

test("a deleted arrival and an altered one are gaps; the others are read", async (t) => {
  await check(t, {
    sql: ["DELETE FROM arrival WHERE number = (SELECT max(number) FROM arrival)"],
    readable: 154,
  });
});

test("a manifest that says less than was stored is refused, also after a restart", (t) =>
  check(t, {
    sql: [
      "DELETE FROM arrival WHERE number = (SELECT max(number) FROM arrival)",
      "UPDATE lane SET next_arrival = next_arrival - 1",
    ],
    readable: 0,
    restart: true,
  }));

test("a whole lane rolled back to an earlier, true state shows while the platform runs", async (t) => {
  const { opened, permit, query } = await stored(t);
  const copies = ["lane", "arrival", "shelf", "segment"];
  for (const table of copies) await query(`CREATE TABLE old_${table} AS SELECT * FROM ${table}`);
  const one = source(permit.patientId);
  await opened.store.append(one.next());
  for (const table of copies) {
    await query(`DELETE FROM ${table}`);
    await query(`INSERT INTO ${table} SELECT * FROM old_${table}`);
  }
  const chunks = await gather(opened.store.read(permit, ALL));
  assert.ok(gaps(chunks).length > 0);
  await query("DELETE FROM lane");
  assert.ok(gaps(await gather(opened.store.read(permit, ALL))).length > 0);
});

test("a copied arrival row is no part of any manifest: it is never read, and does not stop ingest", async (t) => {
  const { opened, permit, read, query } = await stored(t);
  await query(
    `INSERT INTO arrival SELECT tenant_id, patient_id, lane, number + 1, sealed FROM arrival
     WHERE number = (SELECT max(number) FROM arrival)`,
  );
  assert.equal(sequencesOf(await read()).length, 155);
  await opened.store.append(source(permit.patientId).next());
  const chunks = await read();
  assert.equal(sequencesOf(chunks).length, 156);
  assert.deepEqual(gaps(chunks), []);
});

test("damage of one patient holds nobody else's samples", async (t) => {
  const { opened, permit, query } = await stored(t);
  await opened.restart();
  await query("UPDATE lane SET seal = set_byte(seal, 0, get_byte(seal, 0) # 1)");
  const [damaged, other] = [source(permit.patientId), source()];
  const done = await Promise.allSettled([
    opened.store.append(damaged.next()),
    opened.store.append(other.next()),
  ]);
  assert.deepEqual(
    done.map(({ status }) => status),
    ["rejected", "fulfilled"],
  );
  const theirs = await gather(opened.store.read(opened.permit(other.patientId), ALL));
  assert.deepEqual(sequencesOf(theirs), [1]);
});

test("arrivals rolled back in the moment of a merge are not sealed over: the merge fails by name", async (t) => {
  const { opened, permit, query } = await stored(t);
  await query("UPDATE lane SET next_arrival = next_arrival - 1 WHERE next_arrival > first_arrival");
  const seal = (await query("SELECT seal FROM lane")).rows;
  await assert.rejects(opened.store.merge(permit, { all: true }), { code: "series-damaged" });
  assert.deepEqual((await query("SELECT seal FROM lane")).rows, seal);
});
