import assert from "node:assert/strict";
import { test } from "node:test";
import pg from "pg";
import { newRequest } from "../../test/support/csr.ts";
import { testTrust } from "../../test/support/trust.ts";

/** The next COMMIT is done, and the connection breaks before its answer. */
function loseNextAnswer(t: { after(work: () => void): void }): void {
  const { query } = pg.Client.prototype;
  const restore = () => {
    pg.Client.prototype.query = query;
  };
  t.after(restore);
  pg.Client.prototype.query = function broken(this: pg.Client, ...args: unknown[]) {
    const run = query as (...a: unknown[]) => Promise<unknown>;
    const answer = run.apply(this, args);
    if (args[0] !== "COMMIT") return answer;
    restore();
    const lost = Object.assign(new Error("Connection terminated unexpectedly"), { code: "08006" });
    return answer.then(() => Promise.reject(lost));
  } as typeof query;
}

test("a revocation whose answer was lost is completed by asking again: the device is barred", async (t) => {
  const { registry } = await testTrust(t);
  const { deviceId } = await registry.createClaim({ label: "Monitor", kind: "patient-monitor" });
  const barred: string[] = [];
  registry.on("barred", (event) => barred.push(event.deviceId));
  loseNextAnswer(t);
  await assert.rejects(registry.revoke(deviceId));
  await registry.revoke(deviceId);
  assert.equal(registry.device(deviceId)?.state, "revoked");
  assert.deepEqual(barred, [deviceId]);
});

test("an enrolment whose answer was lost is completed by asking again, with one certificate and one span", async (t) => {
  const { registry, clock } = await testTrust(t);
  const patientId = clock.uuid();
  const monitor = { label: "Monitor", kind: "patient-monitor", patientId, assignedFromMs: 0 };
  const { deviceId, claimCode } = await registry.createClaim(monitor);
  const { csr } = await newRequest();
  loseNextAnswer(t);
  await assert.rejects(registry.enrol({ claimCode, csr }), { code: "storage-unavailable" });
  const enrolled = await registry.enrol({ claimCode, csr });
  assert.equal(enrolled.deviceId, deviceId);
  assert.equal(registry.device(deviceId)?.state, "enrolled");
  assert.equal(registry.device(deviceId)?.certificateHashes.length, 1);
  assert.equal(registry.assignmentsOf({ deviceId }).length, 1);
});

test("an assignment whose answer was lost is told and not doubled by asking again", async (t) => {
  const { registry, clock, database } = await testTrust(t);
  const { deviceId } = await registry.createClaim({ label: "Monitor", kind: "patient-monitor" });
  const patientId = clock.uuid();
  const told: string[] = [];
  registry.on("assigned", (event) => told.push(event.patientId));
  loseNextAnswer(t);
  await assert.rejects(registry.assign({ deviceId, patientId }), { code: "storage-unavailable" });
  await registry.assign({ deviceId, patientId });
  assert.deepEqual(told, [patientId]);
  const open = await database.pool.query(
    "SELECT 1 FROM device_assignment WHERE device_id = $1 AND to_ms IS NULL",
    [deviceId],
  );
  assert.equal(open.rowCount, 1);
});

test("a claim code given out before a suspension enrols the device and leaves it suspended", async (t) => {
  const { registry } = await testTrust(t);
  const first = await registry.createClaim({ label: "Monitor", kind: "patient-monitor" });
  const { deviceId } = first;
  await registry.enrol({ claimCode: first.claimCode, csr: (await newRequest()).csr });
  const { claimCode } = await registry.createClaim({ deviceId });
  await registry.suspend(deviceId);
  await registry.enrol({ claimCode, csr: (await newRequest()).csr });
  assert.equal(registry.device(deviceId)?.state, "suspended");
});
