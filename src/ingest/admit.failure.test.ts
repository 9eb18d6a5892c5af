import assert from "node:assert/strict";
import { test } from "node:test";
import pg from "pg";
import { admissionWorld, joinPayload, movedClock } from "../../test/support/admission.ts";
import { Problem } from "../problems.ts";
import { mark } from "../vitals/quality.ts";

/** Lets the next COMMIT through, or not, and then breaks the connection before its answer. */
function breakNextCommit(t: { after(work: () => void): void }, o: { committed: boolean }) {
  const original = pg.Client.prototype.query;
  const restore = () => {
    pg.Client.prototype.query = original;
  };
  t.after(restore);
  let isIngest = false;
  pg.Client.prototype.query = function query(this: pg.Client, ...args: unknown[]) {
    const [first] = args as [unknown];
    const name = (first as { name?: string }).name;
    if (name === "ingest-append-journal") isIngest = true;
    if (first === "COMMIT" && isIngest) {
      restore();
      const lost = Object.assign(new Error("Connection terminated unexpectedly"), {
        code: "08006",
      });
      const done = (original as (...a: unknown[]) => Promise<unknown>).call(
        this,
        o.committed ? "COMMIT" : "ROLLBACK",
      );
      return done.then(() => Promise.reject(lost));
    }
    return (original as (...a: unknown[]) => unknown).apply(this, args);
  } as typeof original;
}

async function untilTaken(send: () => Promise<{ outcome: string; problem?: string }>) {
  for (let tries = 0; tries < 100; tries++) {
    const verdict = await send();
    if (verdict.outcome !== "refused") return verdict.outcome;
    assert.equal(verdict.problem, "storage-unavailable");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("never taken");
}

for (const committed of [true, false]) {
  test(`a commit whose answer was lost ${committed ? "and happened" : "and did not happen"} stores the envelope once`, async (t) => {
    const world = await admissionWorld(t);
    const device = await world.device();
    await device.open();
    await device.send(device.seal([70]));
    const bytes = device.seal([71]);
    breakNextCommit(t, { committed });
    const verdict = await device.send(bytes);
    assert.equal(verdict.problem, "storage-unavailable");
    assert.equal(device.receipts(verdict)[0]?.contiguous, 1);
    const outcome = await untilTaken(() => device.send(bytes));
    assert.equal(outcome, committed ? "duplicate" : "admitted");
    const values = (await world.stored(device.patientId)).map((sample) => sample.mantissa);
    assert.deepEqual(values, [70, 71]);
    await world.restart();
    assert.equal((await device.send(bytes)).outcome, "duplicate");
    assert.equal((await world.stored(device.patientId)).length, 2);
  });
}

test("a store that fails refuses with 'send again', and the next try succeeds", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  await device.open();
  const bytes = device.seal([70]);
  const { append } = world.store;
  world.store.append = () => Promise.reject(new Problem("storage-unavailable"));
  assert.equal((await device.send(bytes)).problem, "storage-unavailable");
  world.store.append = append;
  assert.equal((await device.send(bytes)).outcome, "admitted");
  assert.equal((await world.stored(device.patientId)).length, 1);
});

test("what is under way when the platform stops is stored with its number, or not at all", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  await device.open();
  const values = Array.from({ length: 120 }, (_, i) => 40 + i);
  const sealed = values.map((value) => device.seal([value]));
  const under = [];
  let stopped: Promise<void> | undefined;
  for (const [i, bytes] of sealed.entries()) {
    under.push(device.send(bytes));
    if (i === 20) stopped = world.restart();
    // One after the other, so that some wait for the next transaction at each moment of stopping.
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all([stopped, ...under]);
  for (const bytes of sealed) await untilTaken(() => device.send(bytes));
  const stored = (await world.stored(device.patientId)).map((sample) => sample.mantissa);
  assert.deepEqual(stored, values);
});

test("a device restored from an old copy is rolled back, and its readings are kept", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  await device.open();
  await device.send(device.seal([70]));
  const copy = { ...device.memory };
  await device.send(device.seal([71]));
  await device.send(device.seal([72]));
  device.memory = copy;
  await device.open();
  await device.send(device.seal([80]));
  assert.ok((await world.events()).includes("device-rolled-back"));
  assert.ok(!(await world.events()).includes("clone-suspected"));
  await device.send(device.seal([81]));
  const stored = await world.stored(device.patientId);
  assert.deepEqual(stored.map((sample) => sample.mantissa).sort(), [70, 71, 72, 80, 81]);
  const reused = stored.find((sample) => sample.mantissa === 81);
  assert.equal(reused?.marks, mark.fork);
});

test("two devices with one identity are noticed: both quarantined, readings kept and marked", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  await device.open();
  await device.send(device.seal([70]));
  const clone = device.copy();
  await device.send(device.seal([71]));
  await clone.open();
  await clone.send(clone.seal([90]));
  await world.events();
  await device.send(device.seal([72]));
  assert.ok((await world.events()).includes("clone-suspected"));
  assert.equal(world.registry.device(device.deviceId)?.state, "quarantined");
  for (const one of [device, clone]) {
    assert.equal((await one.send(one.seal([99]))).outcome, "admitted");
  }
  const stored = await world.stored(device.patientId);
  assert.deepEqual(stored.map((s) => s.mantissa).sort(), [70, 71, 72, 90, 99, 99]);
  for (const sample of stored.filter((s) => s.mantissa === 99)) {
    assert.ok(sample.marks & mark.quarantined);
  }
});

test("what of an old session is still in the spool may arrive after the new session began", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  await device.open();
  await device.send(device.seal([70]));
  const late = device.seal([71]);
  await device.open();
  await device.send(device.seal([72]));
  assert.equal((await device.send(late)).outcome, "admitted");
  const kinds = await world.events();
  assert.ok(!kinds.includes("device-rolled-back") && !kinds.includes("clone-suspected"));
});

test("a database restored from a backup begins a new epoch, and devices send again", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  await device.open();
  const first = device.seal([70]);
  const verdict = await device.send(first);
  assert.equal(device.receipts(verdict)[0]?.storeEpoch, 1);
  await world.restart();
  const backup = await copyOf(world.database.url);
  const second = device.seal([71]);
  await device.send(second);
  await world.restart();
  await world.restart({ database: await reopened(t, backup) });
  assert.equal(world.admission.storeEpoch, 2);
  const again = await device.send(joinPayload([first, second]));
  const [receipt] = device.receipts(again);
  assert.equal(receipt?.storeEpoch, 2);
  assert.equal(receipt?.contiguous, 2);
  assert.deepEqual(
    (await world.stored(device.patientId)).map((sample) => sample.mantissa),
    [70, 71],
  );
  assert.ok((await world.events()).includes("store-restored"));
});

test("a platform clock that jumps refuses nothing and doubles nothing", async (t) => {
  const clock = movedClock();
  const world = await admissionWorld(t, { clock });
  const device = await world.device();
  await device.open();
  for (const jumpMs of [0, 86_400_000, -3 * 86_400_000, 2 * 86_400_000]) {
    clock.advance(jumpMs);
    assert.equal((await device.send(device.seal([70]))).outcome, "admitted");
  }
  assert.deepEqual(
    (await world.stored(device.patientId)).map((sample) => sample.sequence),
    [1, 2, 3, 4],
  );
});

/** A copy of the database as a backup would be; nobody may be connected meanwhile. */
async function copyOf(url: string): Promise<string> {
  const name = /\/(test_[0-9a-f]+)/.exec(url)?.[1];
  const copy = `${name}_copy`;
  const admin = new pg.Client({ connectionString: url.replace(`/${name}`, "/postgres") });
  await admin.connect();
  await admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", [
    name,
  ]);
  await admin.query(`CREATE DATABASE ${copy} TEMPLATE ${name}`);
  await admin.end();
  return url.replace(`/${name}`, `/${copy}`);
}

async function reopened(t: { after(work: () => Promise<void>): void }, url: string) {
  const { connect } = await import("../postgres/database.ts");
  const { systemClock } = await import("../clock.ts");
  const database = await connect(url, { clock: systemClock });
  t.after(() => database.close());
  return database;
}
