import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "./clock.ts";
import { openSealedFields, type Secrets } from "./sealed-fields.ts";

function keystore(): Secrets {
  const kept = new Map<string, Uint8Array>();
  return {
    get: (kind, id) => kept.get(`${kind}/${id}`),
    put: (kind, id, secret) => void kept.set(`${kind}/${id}`, secret),
    delete: (kind, id) => kept.delete(`${kind}/${id}`),
  };
}
const open = (secrets: Secrets, tenantId = "t1", name: "access" | "audit" = "access") =>
  openSealedFields({ secrets, tenantId, name, clock: systemClock });

test("a text opens in its own context, also after a restart, and shows nothing of itself", async () => {
  const secrets = keystore();
  const sealed = (await open(secrets)).seal("person/1", "Nora Exämple");
  assert.equal((await open(secrets)).open("person/1", sealed), "Nora Exämple");
  assert.ok(!Buffer.from(sealed).toString("latin1").includes("Nora"));
  const again = (await open(secrets)).seal("person/1", "Nora Exämple");
  assert.notDeepEqual(again, sealed, "equal texts do not look equal");
});

test("it opens for no other person, part or organisation, and not with one bit changed", async () => {
  const secrets = keystore();
  const fields = await open(secrets);
  const sealed = fields.seal("person/1", "Nora");
  assert.throws(() => fields.open("person/2", sealed));
  for (const other of [await open(secrets, "t2"), await open(secrets, "t1", "audit")]) {
    assert.throws(() => other.open("person/1", sealed));
  }
  for (let bit = 0; bit < sealed.length * 8; bit += 1) {
    const flipped = Buffer.from(sealed);
    flipped[bit >> 3] = flipped[bit >> 3]! ^ (1 << (bit & 7));
    assert.throws(() => fields.open("person/1", flipped));
  }
  for (let length = 0; length < sealed.length; length += 1) {
    assert.throws(() => fields.open("person/1", sealed.subarray(0, length)));
  }
});

test("a secret's hash depends on the keystore's key, the kind and the organisation", async () => {
  const secrets = keystore();
  const hash = (await open(secrets)).hash("link", "s");
  assert.deepEqual((await open(secrets)).hash("link", "s"), hash);
  const others = [
    (await open(secrets)).hash("cookie", "s"),
    (await open(secrets)).hash("link", "t"),
    (await open(secrets, "t2")).hash("link", "s"),
    (await open(keystore())).hash("link", "s"),
  ];
  for (const other of others) assert.notDeepEqual(other, hash);
});
