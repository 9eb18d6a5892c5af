import assert from "node:assert/strict";
import { test } from "node:test";
import pg from "pg";
import { testTrust } from "../../test/support/trust.ts";

test("a revocation whose answer was lost is completed by asking again: the device is barred", async (t) => {
  const { registry } = await testTrust(t);
  const { deviceId } = await registry.createClaim({ label: "Monitor", kind: "patient-monitor" });
  const barred: string[] = [];
  registry.on("barred", (event) => barred.push(event.deviceId));
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
  await assert.rejects(registry.revoke(deviceId));
  await registry.revoke(deviceId);
  assert.equal(registry.device(deviceId)?.state, "revoked");
  assert.deepEqual(barred, [deviceId]);
});
