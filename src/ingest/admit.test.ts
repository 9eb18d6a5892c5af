import assert from "node:assert/strict";
import { test } from "node:test";
import {
  admissionWorld,
  joinPayload,
  type TestDevice,
  type World,
} from "../../test/support/admission.ts";
import { testPermit } from "../../test/support/permits.ts";
import { receiptCovers } from "../envelope/receipt.ts";
import { CHACHA20_POLY1305 } from "../envelope/suites.ts";
import { limits } from "../limits.ts";
import { mark } from "../vitals/quality.ts";

const values = async (world: World, device: TestDevice) =>
  (await world.stored(device.patientId)).map((sample) => [sample.sequence, sample.mantissa]);

test("what a device seals is stored once, and the receipt says so after the commit", async (t) => {
  const world = await admissionWorld(t);
  for (const o of [
    { kem: "classical" as const },
    { kem: "hybrid" as const, suite: CHACHA20_POLY1305 },
  ]) {
    const device = await world.device(o);
    await device.open();
    const verdict = await device.send(device.seal([72, 73]));
    assert.equal(verdict.outcome, "admitted");
    const [receipt] = device.receipts(verdict);
    assert.equal(receipt?.contiguous, 1);
    assert.deepEqual(await values(world, device), [
      [1, 72],
      [1, 73],
    ]);
  }
});

test("the same envelope again is acknowledged again and stored once, also after a restart", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  await device.open();
  const bytes = device.seal([72]);
  const both = await Promise.all([device.send(bytes), device.send(bytes), device.send(bytes)]);
  assert.deepEqual(both.map((verdict) => verdict.outcome).sort(), [
    "admitted",
    "duplicate",
    "duplicate",
  ]);
  await world.restart();
  assert.equal((await device.send(bytes)).outcome, "duplicate");
  assert.deepEqual(await values(world, device), [[1, 72]]);
});

test("order is not required: receipts name what came as a bitmap until the gap closes", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  await device.open();
  const [one, two, three, four] = [70, 71, 72, 73].map((value) => device.seal([value]));
  const late = await device.send(joinPayload([four!, two!]));
  const [open] = device.receipts(late);
  assert.equal(open?.contiguous, 0);
  assert.ok(receiptCovers(open!, 2) && receiptCovers(open!, 4) && !receiptCovers(open!, 3));
  assert.deepEqual(
    (await world.admission.chainOf(device.deviceId, device.session.sessionId)).map((r) => r.state),
    ["open gap", "contiguous", "open gap", "contiguous"],
  );
  const closed = await device.send(joinPayload([three!, one!]));
  assert.equal(device.receipts(closed)[0]?.contiguous, 4);
  assert.deepEqual(await values(world, device), [
    [1, 70],
    [2, 71],
    [3, 72],
    [4, 73],
  ]);
});

test("the same number with other bytes is a fork: kept, marked, reported, and known when repeated", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  await device.open();
  await device.send(device.seal([72]));
  const batch = { ...device.batch([81]), sequence: 1 };
  const clone = device.twin.seal({ sequence: 1, batch });
  assert.equal((await device.send(clone)).outcome, "admitted");
  assert.equal((await device.send(clone)).outcome, "duplicate");
  const stored = await world.stored(device.patientId);
  assert.deepEqual(stored.map((s) => [s.mantissa, s.marks & mark.fork]).sort(), [
    [72, 0],
    [81, mark.fork],
  ]);
  assert.ok((await world.events()).includes("sequence-forked"));
});

test("one fork that comes twice at the same time is stored once", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  await device.open();
  await device.send(device.seal([72]));
  const batch = { ...device.batch([81]), sequence: 1 };
  const clone = device.twin.seal({ sequence: 1, batch });
  const verdicts = await Promise.all([device.send(clone), device.send(clone), device.send(clone)]);
  assert.deepEqual(verdicts.map(({ outcome }) => outcome).sort(), [
    "admitted",
    "duplicate",
    "duplicate",
  ]);
  const stored = await world.stored(device.patientId);
  assert.deepEqual(stored.map((s) => s.mantissa).sort(), [72, 81]);
});

test("in a burst repetitions, forks and changed envelopes are told apart as one by one", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  await device.open();
  const sealed = Array.from({ length: 40 }, (_, i) => device.seal([60 + i]));
  const batch = { ...device.batch([199]), sequence: 1 };
  const fork = device.twin.seal({ sequence: 1, batch });
  const changed = sealed[6]!.slice();
  changed[changed.length - 1]! ^= 1;
  const burst = [...sealed, ...sealed.slice(0, 20), changed, fork, fork];
  const verdicts = await Promise.all(burst.map((bytes) => device.send(bytes)));
  const count = (outcome: string) => verdicts.filter((one) => one.outcome === outcome).length;
  assert.deepEqual(
    [count("admitted"), count("duplicate"), count("refused")],
    [41, 21, 1],
    "40 and the fork; 20 repetitions and the fork's; the changed one",
  );
  const stored = await world.stored(device.patientId);
  assert.equal(stored.length, 41);
  assert.deepEqual(
    stored.filter((s) => s.marks & mark.fork).map((s) => s.mantissa),
    [199],
  );
});

test("a session full of holes takes no further one, keeps what it has, and goes on when one closes", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  await device.open();
  const sealed = Array.from({ length: 2 * limits.sessionRangesMax + 3 }, () => device.seal([72]));
  const odd = sealed.filter((_, i) => i % 2 === 0);
  for (let at = 0; at < limits.sessionRangesMax; at += 1_024) {
    await Promise.all(odd.slice(at, at + 1_024).map((bytes) => device.send(bytes)));
  }
  for (const bytes of odd.slice(limits.sessionRangesMax)) {
    assert.equal((await device.send(bytes)).problem, "rate-limited");
  }
  assert.equal((await device.send(sealed[1]!)).outcome, "admitted");
  assert.equal((await device.send(odd.at(-1)!)).outcome, "admitted");
  assert.equal((await world.stored(device.patientId)).length, limits.sessionRangesMax + 2);
});

test("a device that opens without end asks nothing of the database past its rate", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  for (let i = 0; i < limits.deviceOpeningsPerHour; i++) {
    const { opening } = device.begin();
    opening[opening.length - 1]! ^= 1; // its signature does not verify; it counts all the same
    await device.send(opening);
  }
  const query = t.mock.method(world.database.pool, "query");
  const verdict = await device.send(device.begin().opening);
  assert.equal(verdict.problem, "rate-limited");
  assert.equal(query.mock.callCount(), 0);
});

test("a signed block is verified when its last batch is in, and a reading is then provable", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  await device.open();
  const envelopes = [72, 73, 74].map((value) => device.seal([value]));
  const block = device.sealBlock();
  await device.send(joinPayload([block, envelopes[2]!, envelopes[0]!]));
  await world.admission.idle();
  const name = { deviceId: device.deviceId, sessionId: device.session.sessionId, sequence: 1 };
  const permit = testPermit({ tenantId: world.database.tenantId, patientId: device.patientId });
  assert.equal(await world.admission.proofOf(permit, name), undefined);
  await device.send(envelopes[1]!);
  await world.admission.idle();
  assert.ok(await world.admission.isSigned({ ...name, patientId: device.patientId }));
  const proof = await world.admission.proofOf(permit, name);
  assert.equal(proof?.index, 0);
  await world.restart();
  const again = testPermit({ tenantId: world.database.tenantId, patientId: device.patientId });
  assert.deepEqual(await world.admission.proofOf(again, name), proof);
});

test("a block whose root does not fit is reported, and its readings never count as signed", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  await device.open();
  await device.send(joinPayload([device.seal([72]), device.sealBlock({ spoil: true })]));
  assert.ok((await world.events()).includes("block-failed"));
  const { deviceId, patientId } = device;
  const { sessionId } = device.session;
  assert.equal(
    await world.admission.isSigned({ deviceId, patientId, sessionId, sequence: 1 }),
    false,
  );
});

test("a restart between a batch and its block loses no leaf", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  await device.open();
  await device.send(device.seal([72]));
  await device.send(device.seal([73]));
  await world.restart();
  await device.send(device.sealBlock());
  await world.admission.idle();
  const { deviceId, patientId } = device;
  const { sessionId } = device.session;
  assert.ok(await world.admission.isSigned({ deviceId, patientId, sessionId, sequence: 2 }));
});

test("batches that overtake the salt key are signed all the same", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  await device.open();
  const [first, second] = [device.seal([72]), device.seal([73])];
  await device.send(second);
  await device.send(first);
  await device.send(device.sealBlock());
  await world.admission.idle();
  const { deviceId, patientId } = device;
  const { sessionId } = device.session;
  assert.ok(await world.admission.isSigned({ deviceId, patientId, sessionId, sequence: 2 }));
});

test("a stated gap closes the gap in the receipt", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  await device.open();
  const first = device.seal([70]);
  device.seal([71]);
  device.seal([72]);
  const verdict = await device.send(
    joinPayload([first, device.sealContent({ gaps: [{ from: 2, to: 3, reason: "spool-full" }] })]),
  );
  assert.equal(device.receipts(verdict)[0]?.contiguous, 4);
  const states = await world.admission.chainOf(device.deviceId, device.session.sessionId);
  assert.deepEqual(states[1], { from: 2, to: 3, state: "closed gap", reason: "spool-full" });
});

test("values out of every plausible range, old ones and future ones are kept and marked", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  await device.open();
  const odd = device.batch([9_999]);
  const old = (ms: number) => {
    const batch = device.batch([60]);
    for (const column of batch.points) column.timesMs = column.timesMs.map((time) => time + ms);
    return { ...batch, clockMs: batch.clockMs + ms };
  };
  await device.send(device.sealContent({ batch: odd }));
  await device.send(device.sealContent({ batch: old(-86_400_000) }));
  await device.send(device.sealContent({ batch: old(3_600_000) }));
  const marks = (await world.stored(device.patientId)).map((sample) => sample.marks);
  assert.deepEqual(marks, [mark.implausible, mark.late, mark.futureDated]);
});

test("after the signed close is fully admitted the session's keys are gone for ever", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  await device.open();
  const envelope = device.seal([72]);
  const close = device.sealBlock({ close: true });
  await device.send(close);
  await world.admission.sweep();
  assert.equal((await device.send(envelope)).outcome, "admitted");
  await world.admission.idle();
  await world.admission.sweep();
  await world.restart();
  const verdict = await device.send(envelope);
  assert.equal(verdict.problem, "envelope-refused");
  assert.deepEqual(await values(world, device), [[1, 72]]);
});

test("a device on a prekey needs no reply, and the prekey opens one session only", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  const { opening } = await device.fromPrekey();
  const verdict = await device.send(joinPayload([opening, device.seal([72])]));
  assert.equal(verdict.outcome, "admitted");
  assert.equal((await device.send(opening)).outcome, "duplicate");
  const again = await device.fromPrekey({ again: true });
  assert.equal((await device.send(again.opening)).problem, "opening-refused");
  assert.deepEqual(await values(world, device), [[1, 72]]);
});
