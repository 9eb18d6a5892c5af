import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { admissionWorld, joinPayload, movedClock } from "../../test/support/admission.ts";
import { limits } from "../limits.ts";

const HOUR_MS = 3_600_000;

async function silentDevice(t: TestContext) {
  const clock = movedClock();
  const world = await admissionWorld(t, { clock });
  const device = await world.device();
  await device.open();
  assert.equal((await device.send(device.seal([72]))).outcome, "admitted");
  const keys = () => world.vault.secrets.get("session", device.session.sessionId);
  const sweep = () => world.admission.sweep();
  return { clock, world, device, keys, sweep };
}

test("a wall clock that jumps past the horizon and comes back destroys no receive key", async (t) => {
  const { clock, device, keys, sweep } = await silentDevice(t);
  for (let jump = 0; jump < 3; jump++) {
    clock.advance(limits.spoolHorizonMs + HOUR_MS);
    for (let minute = 0; minute < 3; minute++) await sweep();
    clock.pass(limits.overdueConfirmMs / 2);
    await sweep();
    clock.advance(-limits.spoolHorizonMs - HOUR_MS);
    await sweep();
    clock.pass(limits.overdueConfirmMs / 2);
    await sweep();
  }
  assert.ok(keys());
  assert.equal((await device.send(device.seal([73]))).outcome, "admitted");
});

test("a session that is silent past the horizon loses its keys, once that was so for long enough", async (t) => {
  const { clock, device, keys, sweep } = await silentDevice(t);
  const late = device.seal([73]);
  for (const ms of [
    limits.spoolHorizonMs - HOUR_MS,
    2 * HOUR_MS,
    limits.overdueConfirmMs - HOUR_MS,
  ]) {
    clock.pass(ms);
    await sweep();
    assert.ok(keys());
  }
  clock.pass(HOUR_MS);
  await sweep();
  assert.equal(keys(), undefined);
  assert.equal((await device.send(late)).problem, "envelope-refused");
});

test("a prekey outlives a jump of the wall clock, and not its time", async (t) => {
  const clock = movedClock();
  const world = await admissionWorld(t, { clock });
  const device = await world.device();
  const { opening } = await device.fromPrekey();
  const payload = joinPayload([opening, device.seal([72])]);
  const prekeys = () => [...world.vault.secrets.ids("prekey")].length;
  const before = prekeys();
  assert.ok(before > 0);
  clock.advance(2 * limits.spoolHorizonMs + HOUR_MS);
  await world.admission.sweep();
  clock.advance(-2 * limits.spoolHorizonMs - HOUR_MS);
  await world.admission.sweep();
  clock.pass(limits.overdueConfirmMs);
  await world.admission.sweep();
  assert.equal(prekeys(), before);
  assert.equal((await device.send(payload)).outcome, "admitted");
  clock.pass(2 * limits.spoolHorizonMs + HOUR_MS);
  await world.admission.sweep();
  clock.pass(limits.overdueConfirmMs);
  await world.admission.sweep();
  assert.equal(prekeys(), 0);
});

test("a device that opens session after session keeps so many, and those it uses to the last", async (t) => {
  const clock = movedClock();
  const world = await admissionWorld(t, { clock });
  const device = await world.device();
  const sessions: string[] = [];
  const open = async () => {
    await device.open();
    sessions.push(device.session.sessionId);
  };
  const isAlive = (id: string) => world.vault.secrets.get("session", id) !== undefined;
  // One with something still to come, and one of which the next session says that nothing is.
  await open();
  await device.send(device.seal([71]));
  const late = device.seal([72]);
  await device.send(device.seal([73]));
  await open();
  await device.send(device.seal([74]));
  await open();
  await device.send(device.seal([75]));
  for (let unused = 0; unused < limits.deviceSessionsMax; unused++) {
    if (unused % 64 === 0) clock.pass(HOUR_MS);
    await open();
  }
  await world.admission.idle();
  await world.admission.sweep();
  const left = sessions.map(isAlive);
  assert.equal(left.filter(Boolean).length, limits.deviceSessionsMax);
  assert.deepEqual(left.slice(0, 3), [true, false, true]);
  assert.equal(left.at(-1), true);
  assert.equal((await device.send(late)).outcome, "admitted");
  assert.equal((await device.send(device.seal([76]))).outcome, "admitted");
  const values = (await world.stored(device.patientId)).map((sample) => sample.mantissa);
  assert.deepEqual(values, [71, 72, 73, 74, 75, 76]);
});
