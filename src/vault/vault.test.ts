import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { mintTestPermit, testPermit } from "../../test/support/permits.ts";
import { type Clock, systemClock } from "../clock.ts";
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import { StartRefusal } from "../start-refusal.ts";
import { openVault } from "./vault.ts";

const tenantId = randomUUID();
const patientId = randomUUID();
const other = randomUUID();
const passphrase = "a passphrase of a test";
const aad = Buffer.from("segment 1");
const plaintext = Buffer.from("72 /min");
const month = 682;

function folder(t: TestContext): string {
  const dir = join(mkdtempSync(join(tmpdir(), "vault-")), "keystore");
  t.after(() => rmSync(join(dir, ".."), { recursive: true, force: true }));
  return dir;
}

async function fresh(t: TestContext, clock: Clock = systemClock) {
  const dir = folder(t);
  const vault = await openVault({ dir, passphrase, tenantId, clock });
  return { dir, vault };
}

const code = (expected: string) => (error: unknown) =>
  error instanceof Problem && error.code === expected;

test("what was sealed opens under a permit for that patient and compartment, also after a restart", async (t) => {
  const { dir, vault } = await fresh(t);
  vault.ensurePatient(patientId);
  const sealed = vault.seal(patientId, "vital-signs", month, aad, plaintext);
  vault.close();
  const again = await openVault({ dir, passphrase, tenantId, clock: systemClock });
  t.after(() => again.close());
  const permit = testPermit({ tenantId, patientId, categories: ["vital-signs"] });
  assert.deepEqual(again.open(permit, patientId, "vital-signs", month, aad, sealed), plaintext);
  assert.deepEqual(permit.extent.get("vital-signs"), { firstMonth: month, lastMonth: month });
});

test("nothing opens without a live permit for that tenant, patient and compartment", async (t) => {
  const { vault } = await fresh(t);
  t.after(() => vault.close());
  vault.ensurePatient(patientId);
  const sealed = vault.seal(patientId, "vital-signs", month, aad, plaintext);
  const ended = mintTestPermit({ tenantId, patientId });
  ended.end("closed");
  const real = testPermit({ tenantId, patientId });
  const lookAlike = { ...real, live: true, covers: () => true, noteOpened: () => undefined };
  const refused = [
    ended.permit,
    lookAlike as never,
    testPermit({ tenantId, patientId: other }),
    testPermit({ tenantId: randomUUID(), patientId }),
    testPermit({ tenantId, patientId, categories: ["waveform"] }),
    testPermit({ tenantId, patientId, isExpired: () => true }),
  ];
  for (const permit of refused) {
    assert.throws(
      () => vault.open(permit, patientId, "vital-signs", month, aad, sealed),
      code("permit-ended"),
    );
  }
  assert.deepEqual(vault.open(real, patientId, "vital-signs", month, aad, sealed), plaintext);
});

test("sealed bytes do not open elsewhere: other patient, compartment, month, segment, one flipped bit", async (t) => {
  const { vault } = await fresh(t);
  t.after(() => vault.close());
  vault.ensurePatient(patientId);
  vault.ensurePatient(other);
  const sealed = vault.seal(patientId, "vital-signs", month, aad, plaintext);
  const mine = testPermit({ tenantId, patientId });
  const theirs = testPermit({ tenantId, patientId: other });
  const damaged = code("sealed-data-damaged");
  assert.throws(() => vault.open(theirs, other, "vital-signs", month, aad, sealed), damaged);
  assert.throws(() => vault.open(mine, patientId, "waveform", month, aad, sealed), damaged);
  assert.throws(() => vault.open(mine, patientId, "vital-signs", month + 1, aad, sealed), damaged);
  const elsewhere = Buffer.from("segment 2");
  assert.throws(
    () => vault.open(mine, patientId, "vital-signs", month, elsewhere, sealed),
    damaged,
  );
  for (let at = 0; at < sealed.length; at++) {
    const altered = Buffer.from(sealed);
    altered[at]! ^= 1;
    assert.throws(() => vault.open(mine, patientId, "vital-signs", month, aad, altered), damaged);
  }
});

test("the keystore lies apart, readable by its owner alone, and shows no key and no plaintext", async (t) => {
  const { dir, vault } = await fresh(t);
  vault.ensurePatient(patientId);
  await vault.secrets.put("ca", "1", Buffer.from("CANARY-SECRET-BYTES"));
  vault.close();
  assert.equal(statSync(dir).mode & 0o777, 0o700);
  assert.equal(statSync(join(dir, "keystore.sqlite")).mode & 0o777, 0o600);
  const bytes = readFileSync(join(dir, "keystore.sqlite"));
  assert.ok(bytes.includes(patientId), "the control: the file holds this patient's row");
  assert.equal(bytes.includes("CANARY-SECRET-BYTES"), false);
});

test("a wrong passphrase is refused by name, and so is another organisation's keystore", async (t) => {
  const { dir, vault } = await fresh(t);
  vault.close();
  const wrong = openVault({ dir, passphrase: "another", tenantId, clock: systemClock });
  await assert.rejects(wrong, code("passphrase-wrong"));
  const foreign = openVault({ dir, passphrase, tenantId: randomUUID(), clock: systemClock });
  await assert.rejects(foreign, StartRefusal);
});

test("data without its keystore refuses to start and says what to restore", async (t) => {
  const dir = folder(t);
  const open = (expectedKeystoreId: string) =>
    openVault({ dir, passphrase, tenantId, clock: systemClock, expectedKeystoreId });
  const says = (error: unknown) =>
    error instanceof StartRefusal && /restore the backup/.test(error.message);
  await assert.rejects(open("lost-id"), says);
  const vault = await openVault({ dir, passphrase, tenantId, clock: systemClock });
  vault.close();
  await assert.rejects(open("lost-id"), says);
  (await open(vault.keystoreId)).close();
});

test("secrets survive a restart, are replaced and deleted, and are read before they are durable", async (t) => {
  const { dir, vault } = await fresh(t);
  const write = vault.secrets.put("session", "b", Buffer.from("one"));
  assert.deepEqual(Buffer.from(vault.secrets.get("session", "b")!), Buffer.from("one"));
  await Promise.all([
    write,
    vault.secrets.put("session", "a", Buffer.from("two")),
    vault.secrets.put("session", "b", Buffer.from("three")),
    vault.secrets.put("prekey", "a", Buffer.from("four")),
  ]);
  assert.deepEqual(vault.secrets.ids("session"), ["a", "b"]);
  await vault.secrets.deleteMany("session", ["a", "never"]);
  vault.close();
  const again = await openVault({ dir, passphrase, tenantId, clock: systemClock });
  t.after(() => again.close());
  assert.equal(again.secrets.get("session", "a"), undefined);
  assert.deepEqual(Buffer.from(again.secrets.get("session", "b")!), Buffer.from("three"));
  assert.deepEqual(Buffer.from(again.secrets.get("prekey", "a")!), Buffer.from("four"));
});

test("a new root key, a new data key and a new passphrase leave everything readable", async (t) => {
  const { dir, vault } = await fresh(t);
  vault.ensurePatient(patientId);
  await vault.secrets.put("ca", "1", Buffer.from("secret"));
  const permit = testPermit({ tenantId, patientId });
  const old = vault.seal(patientId, "laboratory", month, aad, plaintext);
  const label = vault.label(patientId, "series");
  const token = vault.token("identifier", "x");
  await vault.rewrap();
  vault.rotatePatient(patientId);
  const newer = vault.seal(patientId, "laboratory", month, aad, plaintext);
  assert.notDeepEqual(old.subarray(0, 5), newer.subarray(0, 5));
  await vault.changePassphrase("the next one");
  vault.close();
  await assert.rejects(
    openVault({ dir, passphrase, tenantId, clock: systemClock }),
    code("passphrase-wrong"),
  );
  const again = await openVault({ dir, passphrase: "the next one", tenantId, clock: systemClock });
  t.after(() => again.close());
  for (const sealed of [old, newer]) {
    assert.deepEqual(again.open(permit, patientId, "laboratory", month, aad, sealed), plaintext);
  }
  assert.deepEqual(again.label(patientId, "series"), label);
  assert.deepEqual(again.token("identifier", "x"), token);
  assert.deepEqual(Buffer.from(again.secrets.get("ca", "1")!), Buffer.from("secret"));
});

test("a destroyed patient stays destroyed: nothing opens, nothing is sealed, no key byte remains", async (t) => {
  const { dir, vault } = await fresh(t);
  vault.ensurePatient(patientId);
  const sealed = vault.seal(patientId, "vital-signs", month, aad, plaintext);
  const permit = testPermit({ tenantId, patientId });
  vault.destroyPatient(patientId);
  const erased = code("patient-erased");
  const check = (open: typeof vault) => {
    assert.throws(() => open.open(permit, patientId, "vital-signs", month, aad, sealed), erased);
    assert.throws(() => open.seal(patientId, "vital-signs", month, aad, plaintext), erased);
    assert.throws(() => open.ensurePatient(patientId), erased);
  };
  check(vault);
  vault.close();
  const again = await openVault({ dir, passphrase, tenantId, clock: systemClock });
  check(again);
  again.close();
});

test("a keystore that is taken away closes everything once the keys in memory have aged", async (t) => {
  let aheadMs = 0;
  const clock: Clock = {
    ...systemClock,
    monotonicMs: () => systemClock.monotonicMs() + aheadMs,
  };
  const { dir, vault } = await fresh(t, clock);
  t.after(() => vault.close());
  vault.ensurePatient(patientId);
  vault.seal(patientId, "vital-signs", month, aad, plaintext);
  renameSync(join(dir, "keystore.sqlite"), join(dir, "elsewhere"));
  aheadMs = limits.keyCacheLifeMs + 1;
  const away = code("keystore-unavailable");
  assert.throws(() => vault.seal(patientId, "vital-signs", month, aad, plaintext), away);
  assert.throws(() => vault.ensurePatient(other), away);
  await assert.rejects(vault.secrets.put("ca", "1", Buffer.from("x")), away);
  renameSync(join(dir, "elsewhere"), join(dir, "keystore.sqlite"));
  vault.seal(patientId, "vital-signs", month, aad, plaintext);
});
