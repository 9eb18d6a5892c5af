/**
 * Data keys and what is derived from them, in memory for a bounded time.
 * X never leaves this folder: a data key, a compartment key.
 */
import { createHmac, createSecretKey, hkdfSync, type KeyObject } from "node:crypto";
import type { Compartment } from "../access/permit.ts";
import type { Clock } from "../clock.ts";
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import type { KeystoreFile } from "./keystore-file.ts";
import { XAES_KEY_BYTES, type XaesKey, xaesKey } from "./xaes.ts";

/** The root key in memory: wraps and unwraps, by context. */
export interface Wrapper {
  wrap(context: string, secret: Uint8Array): Buffer;
  /** @throws Problem "keystore-damaged". */
  unwrap(context: string, wrapped: Uint8Array): Buffer;
}

export interface PatientKeys {
  /** The generation to seal under. */
  readonly newest: number;
  /** The key of one compartment (patient × category × month) in one generation.
   * @throws Problem "sealed-data-damaged" for a generation that never was. */
  compartment(generation: number, compartment: Compartment, monthIndex: number): XaesKey;
  label(what: string): Buffer;
  authenticate(bytes: Uint8Array): Buffer;
}

/** The oldest generation names things, so that names outlive a rotation. */
const NAMING_GENERATION = 1;

export interface KeyCache {
  /** @throws Problem "patient-erased", "not-found" (no such key), "keystore-unavailable". */
  of(patientId: string): PatientKeys;
  forget(patientId: string): void;
  clear(): void;
}

export const patientKeyContext = (patientId: string, generation: number) =>
  `patient-key\0${patientId}\0${generation}`;

interface Kept {
  keys: PatientKeys;
  untilMs: number;
}

export function keyCache(o: {
  file: KeystoreFile;
  root: () => Wrapper;
  tenantId: string;
  clock: Clock;
}): KeyCache {
  const kept = new Map<string, Kept>();
  return {
    of(patientId) {
      const nowMs = o.clock.monotonicMs();
      const found = kept.get(patientId);
      if (found && nowMs < found.untilMs) return found.keys;
      kept.delete(patientId);
      o.file.assertPresent();
      const keys = load(patientId, o);
      if (kept.size >= limits.keysCachedMax) kept.delete(kept.keys().next().value!);
      kept.set(patientId, { keys, untilMs: nowMs + limits.keyCacheLifeMs });
      return keys;
    },
    forget: (patientId) => void kept.delete(patientId),
    clear: () => kept.clear(),
  };
}

function load(
  patientId: string,
  o: { file: KeystoreFile; root: () => Wrapper; tenantId: string; clock: Clock },
): PatientKeys {
  if (o.file.get("isErased", patientId)) throw new Problem("patient-erased");
  const rows = o.file.all("patientKeys", patientId);
  if (rows.length === 0) throw new Problem("not-found");
  const secrets = new Map<number, Buffer>();
  for (const row of rows) {
    const generation = row.generation as number;
    const context = patientKeyContext(patientId, generation);
    secrets.set(generation, o.root().unwrap(context, row.wrapped as Uint8Array));
  }
  const naming = secrets.get(NAMING_GENERATION);
  if (!naming) throw new Problem("keystore-damaged");
  const about = `${o.tenantId}\0${patientId}`;
  return derived(secrets, naming, about, (bytes) => o.clock.random(bytes));
}

function derived(
  secrets: Map<number, Buffer>,
  naming: Buffer,
  about: string,
  random: (bytes: number) => Uint8Array,
): PatientKeys {
  const labelKey = macKey(naming, `label\0${about}`);
  const authenticationKey = macKey(naming, `authenticate\0${about}`);
  const compartments = new Map<string, XaesKey>();
  return {
    newest: Math.max(...secrets.keys()),
    compartment(generation, compartment, monthIndex) {
      const name = `${generation}\0${compartment}\0${monthIndex}`;
      const known = compartments.get(name);
      if (known) return known;
      const secret = secrets.get(generation);
      if (!secret) throw new Problem("sealed-data-damaged");
      const key = xaesKey(expand(secret, `compartment\0${about}\0${name}`), random);
      if (compartments.size >= limits.compartmentKeysCachedMax) compartments.clear();
      compartments.set(name, key);
      return key;
    },
    label: (what) => createHmac("sha256", labelKey).update(what).digest().subarray(0, 16),
    authenticate: (bytes) => createHmac("sha256", authenticationKey).update(bytes).digest(),
  };
}

export function macKey(secret: Uint8Array, info: string): KeyObject {
  return createSecretKey(expand(secret, info));
}

/** HKDF-SHA-256 (RFC 5869); every use of a key has its own info. */
function expand(secret: Uint8Array, info: string): Buffer {
  return Buffer.from(hkdfSync("sha256", secret, "", `vitalward/vault/1\0${info}`, XAES_KEY_BYTES));
}
