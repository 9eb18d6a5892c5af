import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "../../test/support/envelopes.ts";
import { testPermit } from "../../test/support/permits.ts";
import { openTestStore } from "../../test/support/store.ts";
import { systemClock } from "../clock.ts";
import { limits } from "../limits.ts";

test("a damaged manifest and the rows of an erased patient do not stop merging for the others", async (t) => {
  let aheadMs = 0;
  const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + aheadMs };
  const opened = await openTestStore(t, clock);
  const [damaged, erased, well] = [source(), source(), source()];
  for (const one of [damaged, erased, well]) {
    for (let i = 0; i < 3; i++) await opened.store.append(one.next());
  }
  await opened.database.pool.query(
    "UPDATE lane SET next_arrival = next_arrival - 1 WHERE patient_id = $1",
    [damaged.patientId],
  );
  opened.vault.destroyPatient(erased.patientId);
  const store = await opened.restart();
  const { tenantId } = opened.database;
  store.startMerging(async (patientId) => testPermit({ tenantId, patientId }));
  for (let tries = 0; tries < 100 && store.counters.segmentsMerged === 0; tries++) {
    aheadMs += limits.arrivalAgeMaxMs;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  assert.equal(store.counters.segmentsMerged, 3);
  assert.equal(store.counters.unreadable, 1);
});
