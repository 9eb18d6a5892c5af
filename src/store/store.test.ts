import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { gather, HEART_RATE, START_MS, sequencesOf, source } from "../../test/support/envelopes.ts";
import { mintTestPermit } from "../../test/support/permits.ts";
import { openTestStore } from "../../test/support/store.ts";
import { encodeBatch } from "../envelope/batch.ts";
import { Problem, type ProblemCode } from "../problems.ts";
import { METRICS } from "../vitals/metric.ts";
import { mark } from "../vitals/quality.ts";
import type { SeriesChunk } from "./chunk.ts";

const code = (expected: ProblemCode) => (error: unknown) =>
  error instanceof Problem && error.code === expected;
const ALL = { fromMs: 0, toMs: 1e15 };
const GLUCOSE = METRICS.find(({ category }) => category === "laboratory")!.mdc;

test("a permit for one category reads, watches and counts that category only", async (t) => {
  const { store, permit } = await openTestStore(t);
  const one = source(
    randomUUID(),
    [HEART_RATE, GLUCOSE].sort((a, b) => a - b),
  );
  const heard: SeriesChunk[] = [];
  const narrow = permit(one.patientId, { categories: ["vital-signs"] });
  store.subscribe(narrow, (chunks) => heard.push(...chunks));
  await store.append(one.next());
  await store.append(one.next());
  for (const merged of [false, true]) {
    if (merged) await store.merge(permit(one.patientId), { all: true });
    const seen = await gather(store.read(narrow, ALL));
    assert.deepEqual([...new Set(seen.map(({ mdc }) => mdc))], [HEART_RATE]);
    const asked = await gather(store.read(narrow, { ...ALL, mdcs: [GLUCOSE] }));
    assert.deepEqual(asked, []);
    assert.deepEqual([...narrow.extent.keys()], ["vital-signs"]);
    const newest = await store.latest(permit(one.patientId));
    assert.deepEqual(
      newest.map(({ mdc, sequences }) => [mdc, ...sequences]).sort(),
      [
        [HEART_RATE, 2],
        [GLUCOSE, 2],
      ].sort(),
    );
  }
  assert.deepEqual(
    heard.map(({ mdc, sequences }) => [mdc, ...sequences]),
    [
      [HEART_RATE, 1],
      [HEART_RATE, 2],
    ],
  );
  await assert.rejects(
    store.rebuildBatch(narrow, { sessionId: one.sessionId, sequence: 1 }),
    code("not-found"),
  );
});

test("a read and a subscription end with their permit, in the middle", async (t) => {
  const { store, database } = await openTestStore(t);
  const one = source();
  await store.append(one.next());
  const other = source(one.patientId);
  await store.append(other.next());
  const minted = mintTestPermit({ tenantId: database.tenantId, patientId: one.patientId });
  let heard = 0;
  store.subscribe(minted.permit, () => {
    heard += 1;
  });
  await store.append(one.next());
  minted.end("session");
  await store.append(one.next());
  assert.equal(heard, 1);
  await assert.rejects(gather(store.read(minted.permit, ALL)), code("permit-ended"));
});

test("an envelope without samples stores nothing, and the hook sees it in the same transaction", async (t) => {
  const { store, database, permit } = await openTestStore(t);
  const one = source();
  const seen: number[][] = [];
  store.beforeCommit = async (client, group) => {
    const inside = await client.query<{ count: number }>("SELECT count(*) AS count FROM arrival");
    seen.push([group.length, inside.rows[0]!.count]);
  };
  const empty = { sequence: 9, clockMs: START_MS, offsetMs: 0, points: [], waveforms: [] };
  await Promise.all([store.append(one.next()), store.append(one.next({ batch: empty }))]);
  assert.deepEqual(seen, [[2, 1]]);
  const rows = await database.pool.query("SELECT count(*) AS count FROM arrival");
  assert.equal(rows.rows[0].count, 1);
  assert.deepEqual(sequencesOf(await gather(store.read(permit(one.patientId), ALL))), [1]);
});

test("implausible values are kept and marked, quality said by the device is untouched", async (t) => {
  const { store, permit } = await openTestStore(t);
  const one = source();
  const envelope = one.next({ marks: mark.late });
  const column = envelope.batch.points[0]!;
  Object.assign(column, {
    timesMs: [START_MS, START_MS + 1, START_MS + 2],
    mantissas: [70, 9_000, 71],
    quality: [0, 2, 0],
  });
  await store.append(envelope);
  const [chunk] = await gather(store.read(permit(one.patientId), ALL));
  assert.deepEqual([...chunk!.mantissas], [70, 9_000, 71]);
  assert.deepEqual([...chunk!.marks], [mark.late, mark.late | mark.implausible, mark.late]);
  assert.deepEqual([...chunk!.quality], [0, 2, 0]);
});

test("many batches are rebuilt at once; of a fork the one that is not marked", async (t) => {
  const { store, permit } = await openTestStore(t);
  const one = source();
  const sent = Array.from({ length: 20 }, () => one.next());
  const fork = structuredClone(sent[4]!);
  fork.batch.points[0]!.mantissas[0] = 1;
  await store.append({ ...fork, marks: mark.fork, receivedMs: fork.receivedMs + 5 });
  await Promise.all(sent.map((envelope) => store.append(envelope)));
  const range = { sessionId: one.sessionId, fromSequence: 3, toSequence: 30 };
  for (const merged of [false, true]) {
    if (merged) await store.merge(permit(one.patientId), { all: true });
    const batches = await store.rebuildBatches(permit(one.patientId), range);
    assert.equal(batches.size, 18);
    for (const [sequence, batch] of batches) {
      assert.deepEqual(encodeBatch(batch), encodeBatch(sent[sequence - 1]!.batch));
    }
  }
});

test("what was stored for the wrong patient is resealed under the right one, and the old marked; twice does it once", async (t) => {
  const opened = await openTestStore(t);
  const { store, permit } = opened;
  const right = randomUUID();
  const one = source(
    randomUUID(),
    [HEART_RATE, GLUCOSE].sort((a, b) => a - b),
  );
  const other = source(one.patientId);
  const sent = Array.from({ length: 30 }, () => one.next());
  await Promise.all([...sent, other.next()].map((envelope) => store.append(envelope)));
  const what = { deviceId: one.deviceId, fromMs: START_MS + 10_000, toMs: START_MS + 20_000 };
  const admitted: number[] = [];
  store.beforeCommit = async (_, group) => void admitted.push(group.length);
  for (const _ of [1, 2]) {
    const done = await store.reassign(permit(one.patientId), permit(right), what);
    assert.equal(done.envelopes, 10);
  }
  assert.deepEqual(admitted, [], "admission's state is not written again");
  const moved = await gather(store.read(permit(right), { ...ALL, mdcs: [HEART_RATE] }));
  assert.equal(sequencesOf(moved).length, 10);
  for (const sequence of sequencesOf(moved)) {
    const of = { sessionId: one.sessionId, sequence };
    const rebuilt = await store.rebuildBatch(permit(right), of);
    assert.deepEqual(encodeBatch(rebuilt), encodeBatch(sent[sequence - 1]!.batch));
  }
  await opened.restart();
  const old = await gather(opened.store.read(permit(one.patientId), ALL));
  const wrong = old.flatMap((chunk) =>
    [...chunk.sequences].filter((_, i) => chunk.marks[i]! & mark.enteredInError),
  );
  assert.deepEqual(new Set(wrong), new Set(sequencesOf(moved)));
  assert.equal(
    old.reduce((sum, chunk) => sum + chunk.timesMs.length, 0),
    61,
  );
});

test("an erased patient is unreadable, its rows are gone, and the others are untouched", async (t) => {
  const { store, database, permit } = await openTestStore(t);
  const [gone, stays] = [source(), source()];
  await Promise.all([gone, stays].map((one) => store.append(one.next())));
  await store.merge(permit(gone.patientId), { all: true });
  await store.append(gone.next());
  await store.erasePatient(gone.patientId);
  assert.deepEqual(await gather(store.read(permit(gone.patientId), ALL)), []);
  await assert.rejects(store.append(gone.next()), code("patient-erased"));
  for (const table of ["lane", "arrival", "shelf", "segment"]) {
    const found = await database.pool.query(
      `SELECT count(*) AS count FROM ${table} WHERE patient_id = $1`,
      [gone.patientId],
    );
    assert.equal(found.rows[0].count, 0);
  }
  await store.append(stays.next());
  assert.deepEqual(sequencesOf(await gather(store.read(permit(stays.patientId), ALL))), [1, 2]);
});
