/**
 * The vault: one data key per patient, wrapped by the organisation's root key, in a keystore file
 * apart from the database. Opens nothing without a live permit for that patient and compartment.
 */
import { createHmac, type KeyObject } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Compartment, Permit } from "../access/permit.ts";
import type { Clock } from "../clock.ts";
import { Problem } from "../problems.ts";
import { StartRefusal } from "../start-refusal.ts";
import { KEYSTORE_FILE, type KeystoreFile, openKeystoreFile } from "./keystore-file.ts";
import { keyCache, macKey, patientKeyContext, type Wrapper } from "./patient-keys.ts";
import { passphraseSeal, type RootSeal } from "./root-seal.ts";
import type { Vault } from "./seal.ts";
import { secretContext, secretStore } from "./secrets.ts";
import { XAES_KEY_BYTES, xaesKey } from "./xaes.ts";

const FORMAT = 1;
const SEALED_VERSION = 1;
/** Version and data-key generation in front of the nonce. */
const HEAD_BYTES = 5;

export interface VaultOptions {
  /** The keystore's own folder, `<data>/keystore`. Made (0700) when missing. */
  readonly dir: string;
  readonly passphrase: string;
  readonly tenantId: string;
  readonly clock: Clock;
  /** The keystore the database was written with (`boundKeystore` in store/tables.ts). */
  readonly expectedKeystoreId?: string | undefined;
  /** Instead of the passphrase: a token or a key service that holds the root key. */
  readonly rootSeal?: RootSeal;
}

/** @throws StartRefusal when there is data without its keystore; Problem "passphrase-wrong",
 *   "keystore-damaged", "keystore-unavailable". */
export async function openVault(o: VaultOptions): Promise<Vault> {
  const isNew = !existsSync(join(o.dir, KEYSTORE_FILE));
  if (isNew && o.expectedKeystoreId !== undefined) throw missing(o.dir, o.expectedKeystoreId);
  const file = openKeystoreFile(o.dir);
  try {
    const random = (bytes: number) => o.clock.random(bytes);
    const rootSeal = o.rootSeal ?? passphraseSeal(o.passphrase, random);
    const root = await openRoot(file, rootSeal, o);
    return await vaultOver(file, root, o);
  } catch (error) {
    file.close();
    throw error;
  }
}

function missing(dir: string, id: string): StartRefusal {
  return new StartRefusal(
    `The database holds data sealed under keystore ${id}, which is not in ${dir}: restore the backup of that keystore folder, then start again.`,
  );
}

/** The root key in memory, and how it turns over. */
interface Root {
  readonly keystoreId: string;
  wrapper(): Wrapper;
  /** A new root key; `rewrapAll` runs in the same durable step with old and new. */
  turnOver(rewrapAll: (from: Wrapper, to: Wrapper) => void): Promise<void>;
  changeSeal(next: RootSeal): Promise<void>;
}

async function openRoot(file: KeystoreFile, seal: RootSeal, o: VaultOptions): Promise<Root> {
  if (!file.get("readKeystore")) {
    if (o.expectedKeystoreId !== undefined) throw missing(o.dir, o.expectedKeystoreId);
    const id = o.clock.uuid();
    const sealed = await seal.seal(o.clock.random(XAES_KEY_BYTES), id);
    file.run("makeKeystore", FORMAT, id, o.tenantId, 1, sealed);
  }
  const row = file.get("readKeystore")!;
  const keystoreId = row.keystore_id as string;
  if (row.format !== FORMAT)
    throw new StartRefusal("The keystore is of a newer version of this program.");
  if (row.tenant_id !== o.tenantId) {
    throw new StartRefusal(`The keystore in ${o.dir} belongs to another organisation.`);
  }
  if (o.expectedKeystoreId !== undefined && keystoreId !== o.expectedKeystoreId) {
    throw missing(o.dir, o.expectedKeystoreId);
  }
  let current = seal;
  let generation = row.root_generation as number;
  let key = await current.open(row.sealed_root as Uint8Array, keystoreId);
  const random = (bytes: number) => o.clock.random(bytes);
  let wrapper = wrapperOf(key, o.tenantId, random);
  return {
    keystoreId,
    wrapper: () => wrapper,
    async turnOver(rewrapAll) {
      const nextKey = random(XAES_KEY_BYTES);
      const next = wrapperOf(nextKey, o.tenantId, random);
      const sealed = await current.seal(nextKey, keystoreId);
      file.transaction(() => {
        rewrapAll(wrapper, next);
        file.run("setRoot", generation + 1, sealed);
      });
      file.scrub();
      generation += 1;
      key = nextKey;
      wrapper = next;
    },
    async changeSeal(next) {
      file.run("setRoot", generation, await next.seal(key, keystoreId));
      file.scrub();
      current = next;
    },
  };
}

/** Wrapping is bound to tenant and context, not to the root's generation. */
function wrapperOf(key: Uint8Array, tenantId: string, random: (n: number) => Uint8Array): Wrapper {
  const sealing = xaesKey(key, random);
  const aad = (context: string) => Buffer.from(`vitalward/wrap/1\0${tenantId}\0${context}`);
  return {
    wrap: (context, secret) => sealing.seal(aad(context), secret),
    unwrap(context, wrapped) {
      const secret = sealing.open(aad(context), wrapped);
      if (!secret) throw new Problem("keystore-damaged");
      return secret;
    },
  };
}

async function vaultOver(file: KeystoreFile, root: Root, o: VaultOptions): Promise<Vault> {
  const secrets = secretStore(file, root.wrapper);
  const cache = keyCache({ file, root: root.wrapper, tenantId: o.tenantId, clock: o.clock });
  const token = tokenMaker(await openTokenKey(secrets, o), o.tenantId);
  return {
    keystoreId: root.keystoreId,
    secrets,
    ...patientKeys(file, root, cache, o),
    ...sealingUnder(cache, o.tenantId),
    label: (patientId, what) => cache.of(patientId).label(what),
    authenticate: (patientId, bytes) => cache.of(patientId).authenticate(bytes),
    token,
    async rewrap() {
      secrets.flush();
      await root.turnOver((from, to) => rewrapAll(file, from, to));
      cache.clear();
    },
    changePassphrase: (passphrase) =>
      root.changeSeal(passphraseSeal(passphrase, (bytes) => o.clock.random(bytes))),
    anchor: {
      get: (name) => file.get("getAnchor", name)?.value as string | undefined,
      set: (entries) =>
        file.transaction(() => {
          for (const [name, value] of entries) file.run("setAnchor", name, value);
        }),
    },
    close() {
      secrets.flush();
      cache.clear();
      file.close();
    },
  };
}

type KeyCache = ReturnType<typeof keyCache>;

/** The life of a patient's data keys: made, turned over, destroyed. */
function patientKeys(
  file: KeystoreFile,
  root: Root,
  cache: KeyCache,
  o: VaultOptions,
): Pick<Vault, "hasPatient" | "ensurePatient" | "rotatePatient" | "destroyPatient"> {
  function addKey(patientId: string, generation: number): void {
    if (file.get("isErased", patientId)) throw new Problem("patient-erased");
    file.assertPresent();
    const context = patientKeyContext(patientId, generation);
    const wrapped = root.wrapper().wrap(context, o.clock.random(XAES_KEY_BYTES));
    file.run("addPatientKey", patientId, generation, wrapped, o.clock.nowMs());
    cache.forget(patientId);
  }
  return {
    hasPatient: (patientId) => file.all("patientKeys", patientId).length > 0,
    ensurePatient(patientId) {
      try {
        cache.of(patientId);
      } catch (error) {
        if (!(error instanceof Problem) || error.code !== "not-found") throw error;
        addKey(patientId, 1);
      }
    },
    rotatePatient(patientId) {
      addKey(patientId, cache.of(patientId).newest + 1);
    },
    destroyPatient(patientId) {
      cache.forget(patientId);
      file.transaction(() => {
        file.run("markErased", patientId, o.clock.nowMs());
        file.run("deletePatientKeys", patientId);
      });
      file.scrub();
    },
  };
}

/** Seals for anybody who holds the vault, opens for a live permit only. */
function sealingUnder(cache: KeyCache, tenantId: string): Pick<Vault, "seal" | "open"> {
  return {
    seal(patientId, compartment, monthIndex, aad, plaintext) {
      const keys = cache.of(patientId);
      const bound = bind(tenantId, patientId, compartment, monthIndex, keys.newest, aad);
      const key = keys.compartment(keys.newest, compartment, monthIndex);
      const sealed = key.seal(bound, plaintext, HEAD_BYTES);
      sealed[0] = SEALED_VERSION;
      sealed.writeUInt32BE(keys.newest, 1);
      return sealed;
    },
    open(permit, patientId, compartment, monthIndex, aad, sealed) {
      if (!Permit.is(permit) || permit.tenantId !== tenantId) throw new Problem("permit-ended");
      if (!permit.covers(patientId, compartment)) throw new Problem("permit-ended");
      const keys = cache.of(patientId);
      if (sealed.length <= HEAD_BYTES || sealed[0] !== SEALED_VERSION) throw damaged();
      const generation = Buffer.from(sealed.buffer, sealed.byteOffset, HEAD_BYTES).readUInt32BE(1);
      const key = keys.compartment(generation, compartment, monthIndex);
      permit.noteOpened(compartment, monthIndex);
      const bound = bind(tenantId, patientId, compartment, monthIndex, generation, aad);
      const plaintext = key.open(bound, sealed.subarray(HEAD_BYTES));
      if (!plaintext) throw damaged();
      return plaintext;
    },
  };
}

/** Equality tokens: one key a column, derived once. */
function tokenMaker(tokenKey: Uint8Array, tenantId: string): Vault["token"] {
  const columnKeys = new Map<string, KeyObject>();
  return (column, value) => {
    let key = columnKeys.get(column);
    if (!key) {
      key = macKey(tokenKey, `token\0${tenantId}\0${column}`);
      columnKeys.set(column, key);
    }
    return createHmac("sha256", key).update(value, "utf8").digest();
  };
}

/** The key of all search tokens: its own secret, so that a new root key changes no token. */
async function openTokenKey(
  secrets: ReturnType<typeof secretStore>,
  o: VaultOptions,
): Promise<Uint8Array> {
  const known = secrets.get("token-key", "1");
  if (known) return known;
  const made = o.clock.random(XAES_KEY_BYTES);
  await secrets.put("token-key", "1", made);
  return made;
}

function rewrapAll(file: KeystoreFile, from: Wrapper, to: Wrapper): void {
  for (const row of file.all("allPatientKeys")) {
    const patientId = row.patient_id as string;
    const generation = row.generation as number;
    const context = patientKeyContext(patientId, generation);
    const secret = from.unwrap(context, row.wrapped as Uint8Array);
    file.run("rewrapPatientKey", to.wrap(context, secret), patientId, generation);
  }
  for (const row of file.all("allSecrets")) {
    const kind = row.kind as string;
    const id = row.id as string;
    const context = secretContext(kind, id);
    file.run(
      "putSecret",
      kind,
      id,
      to.wrap(context, from.unwrap(context, row.wrapped as Uint8Array)),
    );
  }
}

/** Associated data: the fixed part in a form in which no two contexts look alike, then the caller's. */
function bind(
  tenantId: string,
  patientId: string,
  compartment: Compartment,
  monthIndex: number,
  generation: number,
  aad: Uint8Array,
): Buffer {
  const fixed = `vitalward/sealed/1\0${tenantId}\0${patientId}\0${compartment}\0${monthIndex}\0${generation}\0`;
  const out = Buffer.allocUnsafe(fixed.length + aad.length);
  out.write(fixed, 0, "latin1");
  out.set(aad, fixed.length);
  return out;
}

const damaged = () => new Problem("sealed-data-damaged");
