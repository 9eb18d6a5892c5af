import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import {
  admissionWorld,
  joinPayload,
  movedClock,
  type TestDevice,
  type World,
} from "../../test/support/admission.ts";
import { systemClock } from "../clock.ts";
import { metrics } from "../diagnostics.ts";
import { limits } from "../limits.ts";
import type { ProblemCode } from "../problems.ts";
import type { Arrival } from "./verdict.ts";

async function refusalsOf(code: ProblemCode): Promise<number> {
  const found = await metrics.getSingleMetric("vitalward_refusals_total")?.get();
  return found?.values.find((value) => value.labels.code === code)?.value ?? 0;
}

interface Bad {
  readonly name: string;
  readonly code: ProblemCode;
  /** @param other a device of somebody else, with an open session. */
  arrival(world: World, device: TestDevice, other: TestDevice): Promise<Arrival> | Arrival;
}

const cut = (bytes: Uint8Array, length: number) => bytes.slice(0, length);
const flipped = (bytes: Uint8Array, at: number) => {
  const copy = bytes.slice();
  copy[at] = (copy[at] as number) ^ 1;
  return copy;
};

const cases: readonly Bad[] = [
  {
    name: "nothing at all",
    code: "envelope-malformed",
    arrival: (_, device) => device.arrival(new Uint8Array()),
  },
  {
    name: "bytes that are no CBOR",
    code: "envelope-malformed",
    arrival: (_, device) => device.arrival(Uint8Array.of(0xff, 0x00, 0x13)),
  },
  {
    name: "CBOR that is no sealed item",
    code: "envelope-malformed",
    arrival: (_, device) => device.arrival(Uint8Array.of(0x83, 1, 2, 3)),
  },
  {
    name: "an unsealed reading",
    code: "envelope-malformed",
    arrival: (_, device) => device.arrival(Buffer.from('{"heartRate":72}')),
  },
  {
    name: "an envelope cut off anywhere",
    code: "envelope-malformed",
    arrival: (_, device) => {
      const bytes = device.seal([72]);
      return device.arrival(cut(bytes, bytes.length - 5));
    },
  },
  {
    name: "more bytes than an arrival may have",
    code: "envelope-too-large",
    arrival: (_, device) => device.arrival(new Uint8Array(limits.arrivalBytesMax + 1)),
  },
  {
    name: "more items than an arrival may have",
    code: "envelope-malformed",
    arrival: (_, device) =>
      device.arrival(joinPayload(Array(limits.arrivalItemsMax + 1).fill(device.seal([72])))),
  },
  {
    name: "an envelope with one bit changed",
    code: "envelope-refused",
    arrival: (_, device) => {
      const bytes = device.seal([72]);
      return device.arrival(flipped(bytes, bytes.length - 1));
    },
  },
  {
    name: "an envelope of a session that nobody opened",
    code: "envelope-refused",
    arrival: (_, device) => {
      const bytes = device.seal([72]);
      return device.arrival(flipped(bytes, 12));
    },
  },
  {
    name: "another device's envelope",
    code: "envelope-refused",
    arrival: (_, device, other) => device.arrival(other.seal([72])),
  },
  {
    name: "another device's opening",
    code: "opening-refused",
    arrival: (_, device, other) => device.arrival(other.begin().opening),
  },
  {
    name: "an opening with its signature changed",
    code: "opening-refused",
    arrival: (_, device) => {
      const { opening } = device.begin();
      return device.arrival(flipped(opening, opening.length - 1));
    },
  },
  {
    name: "an opening cut off",
    code: "envelope-malformed",
    arrival: (_, device) => device.arrival(cut(device.begin().opening, 40)),
  },
  {
    name: "a certificate that is not ours",
    code: "certificate-unknown",
    arrival: (_, device) => ({
      ...device.arrival(device.seal([72])),
      certificateHash: createHash("sha256").update("a stranger").digest("hex"),
    }),
  },
  {
    name: "a certificate of another device",
    code: "certificate-unknown",
    arrival: (_, device, other) => ({
      ...device.arrival(device.seal([72])),
      certificateHash: other.certificateHash,
    }),
  },
  {
    name: "a suspended device",
    code: "device-suspended",
    async arrival(world, device) {
      await world.registry.suspend(device.deviceId);
      return device.arrival(device.seal([72]));
    },
  },
  {
    name: "a revoked device",
    code: "device-revoked",
    async arrival(world, device) {
      await world.registry.revoke(device.deviceId);
      return device.arrival(device.seal([72]));
    },
  },
];

test("each kind of bad arrival is refused by name, counted, recorded, and stores nothing", async (t) => {
  const world = await admissionWorld(t);
  const other = await world.device();
  await other.open();
  for (const bad of cases) {
    await t.test(bad.name, async () => {
      const device = await world.device();
      await device.open();
      const before = await refusalsOf(bad.code);
      const verdict = await world.admission.admit(await bad.arrival(world, device, other));
      assert.equal(verdict.outcome, "refused");
      assert.equal(verdict.problem, bad.code);
      assert.equal(await refusalsOf(bad.code), before + 1);
      await world.admission.events.flush();
      const found = await world.database.pool.query<{ count: number }>(
        "SELECT count FROM security_event WHERE device_id = $1 AND kind = $2",
        [device.deviceId, bad.code],
      );
      assert.equal(found.rows[0]?.count, 1);
      assert.deepEqual(await world.stored(device.patientId), []);
    });
  }
  // None of it harmed what is good.
  assert.equal((await other.send(other.seal([60]))).outcome, "admitted");
});

test("every single-bit change of an envelope is refused and the true one is still admitted", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  await device.open();
  const bytes = device.seal([72]);
  for (let at = 0; at < bytes.length; at++) {
    const verdict = await device.send(flipped(bytes, at));
    assert.equal(verdict.outcome, "refused", `byte ${at}`);
  }
  assert.equal((await device.send(bytes)).outcome, "admitted");
  assert.equal((await world.stored(device.patientId)).length, 1);
});

test("a bad item does not harm the good ones beside it", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  await device.open();
  const [one, two, three] = [device.seal([70]), device.seal([71]), device.seal([72])];
  const verdict = await device.send(joinPayload([one, flipped(two, two.length - 1), three]));
  assert.equal(verdict.problem, "envelope-refused");
  const [receipt] = device.receipts(verdict);
  assert.equal(receipt?.contiguous, 1);
  assert.deepEqual(
    (await world.stored(device.patientId)).map((sample) => sample.sequence),
    [1, 3],
  );
});

test("an old opening is not taken twice, in this life or the next", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  const opening = await device.open();
  await device.send(device.sealBlock({ close: true }));
  await world.admission.sweep();
  await world.restart();
  assert.equal((await device.send(opening)).problem, "opening-replayed");
  const borrowed = await world.device();
  assert.equal((await borrowed.send(opening)).problem, "opening-refused");
});

test("an opening whose answer was lost is answered again with the same words", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  const begun = device.begin();
  const first = await device.send(begun.opening);
  const second = await device.send(begun.opening);
  assert.equal(second.outcome, "duplicate");
  const reply = Buffer.from(second.downlink[0] as Uint8Array);
  assert.ok(Buffer.from(first.downlink[0] as Uint8Array).includes(reply));
});

test("an expired certificate opens nothing and sends nothing", async (t) => {
  const clock = movedClock();
  const world = await admissionWorld(t, { clock });
  const device = await world.device();
  await device.open();
  clock.advance(limits.deviceCertificateLifeMs + 60_000);
  assert.equal((await device.send(device.seal([72]))).problem, "certificate-expired");
  assert.equal((await device.send(device.begin().opening)).problem, "certificate-expired");
  assert.deepEqual(await world.stored(device.patientId), []);
});

test("an envelope of a device that is assigned to nobody is kept by the device, not lost", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device({ assigned: false });
  await device.open();
  const bytes = device.seal([72]);
  const verdict = await device.send(bytes);
  assert.equal(verdict.problem, "device-unassigned");
  assert.equal(device.receipts(verdict)[0]?.contiguous, 0);
  assert.deepEqual(device.receipts(verdict)[0]?.refused, []);
  const { deviceId, patientId } = device;
  await world.registry.assign({ deviceId, patientId, fromMs: 0 });
  assert.equal((await device.send(bytes)).outcome, "admitted");
  assert.equal((await world.stored(device.patientId)).length, 1);
});

test("what opens but is not in canonical form is refused for good and named in the receipt", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  await device.open();
  const good = device.seal([70]);
  await device.send(good); // tells the platform, and so this test, the session's first number
  await world.restart();
  const bad = device.sealRaw(Uint8Array.of(0xa1, 0x01, 0x18, 0x02), 2);
  const verdict = await device.send(joinPayload([good, bad]));
  assert.equal(verdict.problem, "batch-refused");
  const [receipt] = device.receipts(verdict);
  assert.equal(receipt?.contiguous, 2);
  assert.deepEqual(receipt?.refused, [{ sequence: 2, problem: "batch-refused" }]);
  await world.restart();
  const again = await device.send(bad);
  assert.equal(again.problem, "batch-refused");
  assert.equal(device.receipts(again)[0]?.contiguous, 2);
});

test("a device that floods is told to wait, and others are not", async (t) => {
  const world = await admissionWorld(t, { clock: { ...systemClock, monotonicMs: () => 0 } });
  const [device, other] = [await world.device(), await world.device()];
  await device.open();
  await other.open();
  const garbage = new Uint8Array(limits.arrivalBytesMax).fill(0xd0);
  let problem: ProblemCode | undefined;
  const arrivals = Math.ceil(limits.deviceBytesBurst / limits.arrivalBytesMax) + 8;
  for (let i = 0; i < arrivals && problem !== "rate-limited"; i++) {
    problem = (await device.send(garbage)).problem;
  }
  assert.equal(problem, "rate-limited");
  assert.equal((await other.send(other.seal([72]))).outcome, "admitted");
});

test("however many bad arrivals come, one row tells of them", async (t) => {
  const world = await admissionWorld(t);
  const device = await world.device();
  for (let i = 0; i < 100; i++) await device.send(Uint8Array.of(0xff));
  await world.admission.events.flush();
  const found = await world.database.pool.query<{ count: number }>(
    "SELECT count FROM security_event WHERE device_id = $1",
    [device.deviceId],
  );
  assert.deepEqual(
    found.rows.map((row) => row.count),
    [100],
  );
});
