import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { gather, sequencesOf, source } from "../../test/support/envelopes.ts";
import { testPermit } from "../../test/support/permits.ts";
import { openTestStore } from "../../test/support/store.ts";
import { systemClock } from "../clock.ts";
import { openDatabase } from "../postgres/database.ts";
import { Problem } from "../problems.ts";
import { openVault } from "../vault/vault.ts";
import { createStore } from "./append.ts";
import type { AdmittedEnvelope } from "./store.ts";

const ALL = { fromMs: 0, toMs: 1e15 };
const KILLS = 4;
const ENVELOPES_MIN = 3_000;
const WITHIN_MS = 60_000;

const isAway = (error: unknown) => error instanceof Problem && error.code === "storage-unavailable";

test("PostgreSQL is killed again and again during ingest: what was acknowledged is there exactly once", async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), "store-kill-"));
  chmodSync(dataDir, 0o711);
  const database = await openDatabase({ dataDir, clock: systemClock, mayMove: true });
  const { tenantId } = database;
  const dir = join(dataDir, "keystore");
  const vault = await openVault({ dir, passphrase: "test", tenantId, clock: systemClock });
  const store = createStore({ database, vault, clock: systemClock });
  t.after(async () => {
    await store.close();
    vault.close();
    await database.close();
    rmSync(dataDir, { recursive: true, force: true });
  });
  await database.pool.query(
    "CREATE TABLE seen (device text, sequence int8, PRIMARY KEY (device, sequence))",
  );
  store.beforeCommit = async (client, group) => {
    await client.query("INSERT INTO seen SELECT * FROM unnest($1::text[], $2::int8[])", [
      group.map(({ deviceId }) => deviceId),
      group.map(({ batch }) => batch.sequence),
    ]);
  };
  const sources = Array.from({ length: 8 }, () => source());
  const acknowledged = new Map(sources.map((one) => [one.deviceId, [] as number[]]));
  const endMs = performance.now() + WITHIN_MS;
  let isDone = false;
  let refusals = 0;

  /** As admission does: after a rejection its own rows tell whether the commit happened. */
  async function appendOnce(envelope: AdmittedEnvelope): Promise<void> {
    for (;;) {
      assert.ok(performance.now() < endMs, "it recovers in time");
      try {
        await store.append(envelope);
        return;
      } catch (error) {
        assert.ok(isAway(error), String(error));
        refusals += 1;
      }
      while (!(await isSeen(envelope))) {
        if (await isUp()) break;
        await sleep(20);
      }
      if (await isSeen(envelope)) return;
    }
  }
  const isUp = () =>
    database.pool.query("SELECT 1").then(
      () => true,
      () => false,
    );
  const isSeen = ({ deviceId, batch }: AdmittedEnvelope) =>
    database.pool
      .query("SELECT 1 FROM seen WHERE device = $1 AND sequence = $2", [deviceId, batch.sequence])
      .then(
        ({ rowCount }) => rowCount === 1,
        () => false,
      );

  const sending = sources.flatMap((one) =>
    Array.from({ length: 4 }, async () => {
      while (!isDone && performance.now() < endMs) {
        const envelope = one.next();
        await appendOnce(envelope);
        acknowledged.get(one.deviceId)!.push(envelope.batch.sequence);
      }
    }),
  );
  const merging = (async () => {
    while (!isDone && performance.now() < endMs) {
      const permit = testPermit({ tenantId, patientId: sources[0]!.patientId });
      await store.merge(permit, { all: true }).catch((error: unknown) => {
        assert.ok(isAway(error), String(error));
      });
      await sleep(5);
    }
  })();
  for (let kill = 0; kill < KILLS; kill++) {
    await sleep(400);
    const pid = database.serverPid;
    if (pid !== undefined) process.kill(pid, "SIGKILL");
    while (!(await isUp())) await sleep(50);
  }
  while ([...acknowledged.values()].flat().length < ENVELOPES_MIN) await sleep(50);
  isDone = true;
  await Promise.all([...sending, merging]);
  assert.ok(refusals > 0, "the kills were felt");
  for (const one of sources) {
    const permit = testPermit({ tenantId, patientId: one.patientId });
    const chunks = await gather(store.read(permit, ALL));
    assert.ok(chunks.every(({ unreadable }) => unreadable === undefined));
    const expected = acknowledged.get(one.deviceId)!.toSorted((a, b) => a - b);
    assert.deepEqual(
      sequencesOf(chunks).sort((a, b) => a - b),
      expected,
    );
  }
});

test("a hook that throws stores nothing of its patient, and the store goes on", async (t) => {
  const { store, permit } = await openTestStore(t);
  const [bad, good] = [source(), source()];
  const fault = new Error("the hook says no");
  store.beforeCommit = async (_, group) => {
    if (group.some(({ patientId }) => patientId === bad.patientId)) throw fault;
  };
  const done = await Promise.allSettled([store.append(bad.next()), store.append(good.next())]);
  assert.deepEqual(
    done.map(({ status }) => status),
    ["rejected", "fulfilled"],
  );
  store.beforeCommit = undefined;
  assert.deepEqual(await gather(store.read(permit(bad.patientId), ALL)), []);
  await store.append(bad.next());
  assert.deepEqual(sequencesOf(await gather(store.read(permit(bad.patientId), ALL))), [2]);
});

test("a merge that overlaps a failed group commit never takes its stale manifest for damage", async (t) => {
  const { store, permit } = await openTestStore(t);
  const [bad, good] = [source(), source()];
  for (let i = 0; i < 5; i++) await store.append(good.next());
  let merge: Promise<unknown> | undefined;
  store.beforeCommit = async (_, group) => {
    if (!group.some(({ patientId }) => patientId === bad.patientId)) return;
    // The merge reads the manifest now and writes after this group, which fails meanwhile.
    merge ??= store.merge(permit(good.patientId), { all: true });
    await sleep(300);
    throw new Error("the hook says no");
  };
  const done = await Promise.allSettled([store.append(bad.next()), store.append(good.next())]);
  assert.deepEqual(
    done.map(({ status }) => status),
    ["rejected", "fulfilled"],
  );
  await merge;
  await store.append(good.next());
  await store.merge(permit(good.patientId), { all: true });
  const chunks = await gather(store.read(permit(good.patientId), ALL));
  assert.deepEqual(sequencesOf(chunks), [1, 2, 3, 4, 5, 6, 7]);
  assert.equal(store.counters.unreadable, 0);
});

test("a connection that dies before COMMIT rejects the append, and the same append then succeeds", async (t) => {
  const { store, database, permit } = await openTestStore(t);
  const one = source();
  await store.append(one.next());
  store.beforeCommit = async (client) => {
    const found = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
    await database.pool.query("SELECT pg_terminate_backend($1)", [found.rows[0]!.pid]);
    await sleep(50);
  };
  const envelope = one.next();
  await assert.rejects(store.append(envelope), (error: unknown) => {
    return error instanceof Problem && error.code === "storage-unavailable";
  });
  store.beforeCommit = undefined;
  await store.append(envelope);
  assert.deepEqual(sequencesOf(await gather(store.read(permit(one.patientId), ALL))), [1, 2]);
});
