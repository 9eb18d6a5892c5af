import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { type ObservationAddress, ObservationIds } from "./observation-id.ts";

const ids = new ObservationIds(randomBytes(64));
const uuid = fc.uuid();
const address: fc.Arbitrary<ObservationAddress> = fc.oneof(
  fc.record({
    kind: fc.constant("sample" as const),
    patientId: uuid,
    mdc: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    timeMs: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
    origin: fc
      .uint8Array({ minLength: 6, maxLength: 6 })
      .map((b) => Buffer.from(b).toString("hex")),
  }),
  fc.record({ kind: fc.constant("resource" as const), patientId: uuid, resourceId: uuid }),
);

test("an id leads back to what it names, and is a valid FHIR id", () => {
  fc.assert(
    fc.property(address, (one) => {
      const id = ids.encode(one);
      assert.match(id, /^[A-Za-z0-9\-.]{1,64}$/);
      assert.deepEqual(ids.decode(id), { ...one });
    }),
  );
});

test("a changed id, another organisation's id and a made-up id name nothing", () => {
  const id = ids.encode({ kind: "resource", patientId: randomUUID(), resourceId: randomUUID() });
  for (let at = 0; at < id.length; at++) {
    const changed = `${id.slice(0, at)}${id[at] === "A" ? "B" : "A"}${id.slice(at + 1)}`;
    assert.equal(ids.decode(changed), undefined);
  }
  assert.equal(new ObservationIds(randomBytes(64)).decode(id), undefined);
  for (const made of ["", "x", "A".repeat(64), "A".repeat(63), "é".repeat(64), `${id}A`]) {
    assert.equal(ids.decode(made), undefined);
  }
});

test("ids of one patient share nothing that shows whose they are", () => {
  const patientId = randomUUID();
  const of = (timeMs: number) =>
    ids.encode({ kind: "sample", patientId, mdc: 147842, timeMs, origin: "000000000000" });
  const [one, two] = [of(1000), of(2000)];
  assert.equal([...one].filter((letter, at) => letter === two[at]).length < 12, true);
});
