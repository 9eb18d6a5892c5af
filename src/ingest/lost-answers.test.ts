import assert from "node:assert/strict";
import { test } from "node:test";
import pg from "pg";
import { admissionWorld, joinPayload } from "../../test/support/admission.ts";
import { splitPayload } from "../envelope/payload.ts";
import type { DeviceSession } from "../envelope/session.ts";
import { Problem } from "../problems.ts";

/** The next session's row is committed, or not, and the connection breaks before the answer. */
function breakNextOpening(t: { after(work: () => void): void }, o: { committed: boolean }) {
  const original = pg.Client.prototype.query;
  const restore = () => {
    pg.Client.prototype.query = original;
  };
  t.after(restore);
  let isOpening = false;
  pg.Client.prototype.query = function query(this: pg.Client, ...args: unknown[]) {
    const [first] = args as [unknown];
    const run = original as (...a: unknown[]) => Promise<unknown>;
    if ((first as { name?: string }).name === "ingest-insert-session") isOpening = true;
    if (first !== "COMMIT" || !isOpening) return run.apply(this, args);
    restore();
    const lost = Object.assign(new Error("Connection terminated unexpectedly"), { code: "08006" });
    const done = run.call(this, o.committed ? "COMMIT" : "ROLLBACK");
    return done.then(() => Promise.reject(lost));
  } as typeof original;
}

for (const committed of [true, false]) {
  test(`a session begun offline is completed by its opening when the row ${committed ? "was" : "was not"} committed and no answer came`, async (t) => {
    const world = await admissionWorld(t);
    const device = await world.device();
    const { opening } = await device.fromPrekey();
    const payload = joinPayload([opening, device.seal([70])]);
    breakNextOpening(t, { committed });
    const verdict = await device.send(opening);
    assert.equal(verdict.problem, "storage-unavailable");
    assert.equal((await device.send(payload)).outcome, "admitted");
    assert.deepEqual(
      (await world.stored(device.patientId)).map(({ mantissa }) => mantissa),
      [70],
    );
  });
}

test("a receipt for a session from before a restart can be read under the session after it", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  await device.open();
  const { sessionId } = device.session;
  const unsent = device.seal([70]);
  await device.open();
  await device.send(device.seal([71]));
  const verdict = await device.send(unsent);
  assert.equal(verdict.outcome, "admitted");
  const receipts = verdict.downlink
    .flatMap((bytes) => splitPayload(bytes))
    .flatMap(({ bytes }) => readable(device.session, bytes)?.receipt ?? []);
  const about = receipts.find((receipt) => receipt.sessionId === sessionId);
  assert.equal(about?.contiguous, 1);
});

function readable(session: DeviceSession, bytes: Uint8Array) {
  try {
    return session.openDownlink(bytes);
  } catch (error) {
    if (error instanceof Problem) return undefined;
    throw error;
  }
}
