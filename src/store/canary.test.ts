import assert from "node:assert/strict";
import { test } from "node:test";
import { HEART_RATE, source } from "../../test/support/envelopes.ts";
import { openTestStore } from "../../test/support/store.ts";
import { systemClock } from "../clock.ts";
import type { Database } from "../postgres/database.ts";
import { createResources } from "./resource-store.ts";

const NAME = "Canarywood";
const IDENTIFIER = "mrn-7700194421";
const VALUE = 1_589_436_327;

/** The value as someone might have stored it. */
function formsOfValue(): Buffer[] {
  const little = Buffer.alloc(4);
  little.writeInt32LE(VALUE);
  const big = Buffer.alloc(4);
  big.writeInt32BE(VALUE);
  const double = Buffer.alloc(8);
  double.writeDoubleBE(VALUE);
  return [little, big, double, Buffer.from(String(VALUE))];
}

/** Every row of every table as text, bytes as hexadecimal. */
async function dump(database: Database): Promise<string> {
  const tables = await database.pool.query<{ name: string }>(
    "SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public'",
  );
  assert.ok(tables.rows.length > 5);
  const texts: string[] = [];
  for (const { name } of tables.rows) {
    const rows = await database.pool.query<{ text: string }>(
      `SELECT t::text AS text FROM ${name} AS t`,
    );
    texts.push(...rows.rows.map(({ text }) => text));
  }
  return texts.join("\n");
}

function found(text: string): string[] {
  const markers = [NAME, NAME.toLowerCase(), IDENTIFIER, String(HEART_RATE)].map((m) =>
    Buffer.from(m),
  );
  return [...markers, ...formsOfValue()]
    .filter((m) => text.includes(m.toString("latin1")) || text.includes(m.toString("hex")))
    .map((m) => m.toString("hex"));
}

test("no name, identifier, code or value can be found in a dump; in a plaintext control all are", async (t) => {
  const opened = await openTestStore(t);
  const { store, database } = opened;
  const one = source();
  const resources = createResources({ ...opened, clock: systemClock });
  await resources.put({
    patientId: one.patientId,
    compartment: "demographics",
    id: one.patientId,
    timeMs: 0,
    resource: { resourceType: "Patient", name: [{ family: NAME }], note: IDENTIFIER },
    tokens: [{ column: "identifier", value: IDENTIFIER }],
    hints: [{ column: "family", value: NAME.toLowerCase().slice(0, 4) }],
  });
  for (const merged of [false, true]) {
    for (let i = 0; i < 3; i++) {
      const envelope = one.next();
      envelope.batch.points[0]!.mantissas[0] = VALUE;
      await store.append(envelope);
    }
    if (merged) await store.merge(opened.permit(one.patientId), { all: true });
    assert.deepEqual(found(await dump(database)), []);
  }
  await database.pool.query(
    "CREATE TABLE control (name text, low text, mrn bytea, code int4, form bytea)",
  );
  for (const form of formsOfValue()) {
    await database.pool.query("INSERT INTO control VALUES ($1, $2, $3, $4, $5)", [
      NAME,
      NAME.toLowerCase(),
      Buffer.from(IDENTIFIER),
      HEART_RATE,
      form,
    ]);
  }
  assert.equal(found(await dump(database)).length, 4 + formsOfValue().length);
});
