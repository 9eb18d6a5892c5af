import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { openTestStore } from "../../test/support/store.ts";
import { systemClock } from "../clock.ts";
import { Problem, type ProblemCode } from "../problems.ts";
import { createResources } from "./resource-store.ts";
import type { ResourceWrite } from "./resources.ts";

const code = (expected: ProblemCode) => (error: unknown) =>
  error instanceof Problem && error.code === expected;
const DAY_MS = 86_400_000;
const timeMs = Date.UTC(2026, 10, 24);

function patient(patientId: string, family: string): ResourceWrite {
  return {
    patientId,
    compartment: "demographics",
    id: patientId,
    timeMs,
    resource: { resourceType: "Patient", id: patientId, name: [{ family }] },
    tokens: [{ column: "identifier", value: `mrn|${family}-1` }],
    hints: [{ column: "family", value: family.slice(0, 4).toLowerCase() }],
  };
}

function observation(patientId: string, day: number, code = "8867-4"): ResourceWrite {
  return {
    patientId,
    compartment: "vital-signs",
    id: randomUUID(),
    timeMs: timeMs + day * DAY_MS,
    expectedVersion: 0,
    resource: { resourceType: "Observation", note: "x".repeat(day * 300), day },
    tokens: [{ column: "code", value: code }],
  };
}

test("a resource has versions: each is kept, the newest is read, and a stale If-Match is refused", async (t) => {
  const opened = await openTestStore(t);
  const resources = createResources({ ...opened, clock: systemClock });
  const patientId = randomUUID();
  const permit = opened.permit(patientId);
  const of = { resourceType: "Patient", id: patientId };
  assert.equal(
    (await resources.put({ ...patient(patientId, "Ash"), expectedVersion: 0 })).version,
    1,
  );
  const again = { ...patient(patientId, "Birch"), expectedVersion: 1 };
  assert.equal((await resources.put(again)).version, 2);
  await assert.rejects(resources.put(again), code("version-conflict"));
  await assert.rejects(resources.put({ ...again, expectedVersion: 0 }), code("version-conflict"));
  assert.equal((await resources.put({ ...again, expectedVersion: 2, deleted: true })).version, 3);
  const history = await resources.history(permit, of);
  assert.deepEqual(
    history.map(({ version, deleted }) => [version, deleted]),
    [
      [3, true],
      [2, false],
      [1, false],
    ],
  );
  const first = await resources.get(permit, { ...of, version: 1 });
  assert.deepEqual(first?.resource.name, [{ family: "Ash" }]);
  assert.equal((await resources.get(permit, of))?.deleted, true);
});

test("of many writers of one version exactly one wins", async (t) => {
  const opened = await openTestStore(t);
  const resources = createResources({ ...opened, clock: systemClock });
  const patientId = randomUUID();
  await resources.put(patient(patientId, "Ash"));
  const write = { ...patient(patientId, "Elm"), expectedVersion: 1 };
  const done = await Promise.allSettled(Array.from({ length: 8 }, () => resources.put(write)));
  assert.equal(done.filter(({ status }) => status === "fulfilled").length, 1);
});

test("search filters by compartment, time and token before anything is opened, and pages", async (t) => {
  const opened = await openTestStore(t);
  const resources = createResources({ ...opened, clock: systemClock });
  const patientId = randomUUID();
  const days = [0, 1, 2, 3, 4, 5];
  await resources.putMany([
    ...days.map((day) => observation(patientId, day)),
    observation(patientId, 2, "9279-1"),
    { ...observation(patientId, 2), compartment: "laboratory" },
    observation(randomUUID(), 2),
  ]);
  const permit = opened.permit(patientId, { categories: ["vital-signs"] });
  const query = {
    resourceType: "Observation",
    tokens: [{ column: "code", value: "8867-4" }],
    fromMs: timeMs + DAY_MS,
    toMs: timeMs + 5 * DAY_MS,
  };
  assert.equal(await resources.count(permit, query), 4);
  const page = await resources.search(permit, { ...query, newestFirst: true, limit: 2, offset: 1 });
  assert.deepEqual(
    page.map(({ resource }) => resource.day),
    [3, 2],
  );
  assert.deepEqual([...permit.extent.keys()], ["vital-signs"]);
  const all = await resources.count(opened.permit(patientId), { resourceType: "Observation" });
  assert.equal(all, 8);
  const none = opened.permit(patientId, { categories: ["waveform"] });
  assert.equal(await resources.count(none, query), 0);
  assert.equal(
    await resources.get(none, { resourceType: "Observation", id: page[0]!.id }),
    undefined,
  );
});

test("patients are found by identifier and by hints, and no longer by what a new version dropped", async (t) => {
  const opened = await openTestStore(t);
  const resources = createResources({ ...opened, clock: systemClock });
  const [ash, elm] = [randomUUID(), randomUUID()];
  await resources.putMany([patient(ash, "Ashford"), patient(elm, "Elmwood")]);
  const find = (o: { identifier?: string; family?: string }) =>
    resources.candidates({
      resourceType: "Patient",
      tokens: o.identifier ? [{ column: "identifier", value: o.identifier }] : [],
      hints: o.family ? [{ column: "family", value: o.family }] : [],
      limit: 10,
    });
  assert.deepEqual(await find({ identifier: "mrn|Ashford-1" }), [{ patientId: ash, id: ash }]);
  assert.ok((await find({ family: "ashf" })).some(({ patientId }) => patientId === ash));
  assert.deepEqual(await find({ identifier: "mrn|Elmwood-1", family: "elmw" }), [
    { patientId: elm, id: elm },
  ]);
  assert.deepEqual(await find({}), []);
  await resources.put(patient(ash, "Rowan"));
  assert.deepEqual(await find({ identifier: "mrn|Ashford-1" }), []);
});

test("a stored resource that was altered, or moved to another row, does not open", async (t) => {
  const opened = await openTestStore(t);
  const resources = createResources({ ...opened, clock: systemClock });
  const patientId = randomUUID();
  const [one, two] = [observation(patientId, 1), observation(patientId, 1)];
  await resources.putMany([one, two]);
  const { pool } = opened.database;
  await pool.query(
    "UPDATE resource SET sealed = (SELECT sealed FROM resource WHERE id = $1) WHERE id = $2",
    [one.id, two.id],
  );
  const get = (id: string) =>
    resources.get(opened.permit(patientId), { resourceType: "Observation", id });
  assert.equal((await get(one.id))?.id, one.id);
  await assert.rejects(get(two.id), code("sealed-data-damaged"));
  await pool.query("UPDATE resource SET time_ms = time_ms + 1 WHERE id = $1", [one.id]);
  await assert.rejects(get(one.id), code("sealed-data-damaged"));
});
