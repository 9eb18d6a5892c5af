/** The store of encrypted series, put together: group commit, merging, reading, live. */
import type { Clock } from "../clock.ts";
import type { Database } from "../postgres/database.ts";
import { Problem } from "../problems.ts";
import type { Vault } from "../vault/seal.ts";
import { createCommitter } from "./commit.ts";
import { latestOf } from "./latest.ts";
import { createLive } from "./live.ts";
import { createMergeLoop } from "./merging.ts";
import type { Reading } from "./plan.ts";
import { readSeries } from "./read.ts";
import { reassignDevice } from "./reassign.ts";
import { rebuild } from "./rebuild.ts";
import { deletePatientResources } from "./resource-tables.ts";
import type { CommitHook, Store, StoreCounters } from "./store.ts";
import { deletePatientRows } from "./tables.ts";

export interface StoreOptions {
  readonly database: Database;
  readonly vault: Vault;
  readonly clock: Clock;
}

export function createStore(o: StoreOptions): Store {
  const { database, vault, clock } = o;
  const counters: StoreCounters = {
    envelopes: 0,
    samples: 0,
    commits: 0,
    segmentsMerged: 0,
    unreadable: 0,
  };
  let beforeCommit: CommitHook | undefined;
  const live = createLive();
  const committer = createCommitter({
    database,
    sealer: vault,
    clock,
    counters,
    hook: () => beforeCommit,
    committed: live.tell,
  });
  const merging = createMergeLoop({ database, vault, committer, counters, clock });
  const reading: Reading = {
    database,
    vault,
    known: committer.lanes,
    noteUnreadable: () => {
      counters.unreadable += 1;
    },
  };
  return {
    get beforeCommit() {
      return beforeCommit;
    },
    set beforeCommit(hook) {
      beforeCommit = hook;
    },
    append: committer.append,
    read: (permit, range) => readSeries(reading, permit, range),
    latest: (permit, wanted = {}) => latestOf(reading, permit, wanted.mdcs),
    subscribe: live.subscribe,
    async rebuildBatch(permit, { sessionId, sequence }) {
      const of = { sessionId, fromSequence: sequence, toSequence: sequence };
      const batch = (await rebuild(reading, permit, of)).get(sequence);
      if (!batch) throw new Problem("not-found");
      return batch;
    },
    rebuildBatches: (permit, of) => rebuild(reading, permit, of),
    reassign: (wrong, right, what) =>
      reassignDevice({ ...reading, committer, counters, merging }, wrong, right, what),
    async erasePatient(patientId) {
      vault.destroyPatient(patientId);
      await committer.exclusive(async () => {
        for (const [id, { name }] of committer.lanes) {
          if (name.patientId === patientId) committer.forget(id);
        }
        await database.transaction(async (client) => {
          await deletePatientRows(client, database.tenantId, patientId);
          await deletePatientResources(client, database.tenantId, patientId);
        });
      });
    },
    startMerging: merging.start,
    merge: async (permit, wanted = {}) => ({
      merged: await merging.mergePatient(permit, wanted.all ?? false),
    }),
    counters,
    async close() {
      await merging.stop();
      await committer.close();
    },
  };
}
