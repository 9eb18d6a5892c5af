/**
 * Ephemeral shares of a session: X25519 alone ("classical"), or X25519 and ML-KEM-768 together
 * ("hybrid", safe as long as either holds). One side makes shares, the other encapsulates to them.
 */
import type { KeyObject } from "node:crypto";
import {
  exporterSecret,
  exportSecret,
  KEM_ML_KEM_768,
  KEM_X25519,
  ML_KEM_SEED_BYTES,
  mlKemDecap,
  mlKemEncap,
  mlKemPrivate,
  publicBytes,
  X25519_BYTES,
  x25519Decap,
  x25519Encap,
  x25519Private,
} from "./hpke.ts";
import { concat, label } from "./kdf.ts";

export type KemMode = "classical" | "hybrid";

/** Public halves, or encapsulations to them. */
export interface Shares {
  x25519: Uint8Array;
  mlKem?: Uint8Array;
}

/** Raw private halves: 32 bytes and a 64-byte seed. */
export interface ShareSecrets {
  x25519: Uint8Array;
  mlKemSeed?: Uint8Array;
}

/** Where chance comes from; a test vector fixes both. */
export interface Chance {
  random(bytes: number): Uint8Array;
  mlKemEncap?(recipient: Uint8Array): { enc: Uint8Array; sharedSecret: Uint8Array };
}

const INFO = label("vitalward/1 session");
const EXPORT_CONTEXT = label("vitalward/1 session key");

export function makeShares(kem: KemMode, chance: Chance): ShareSecrets {
  const x25519 = chance.random(X25519_BYTES);
  return kem === "classical" ? { x25519 } : { x25519, mlKemSeed: chance.random(ML_KEM_SEED_BYTES) };
}

export function publicShares(secrets: ShareSecrets): Shares {
  const x25519 = publicBytes(x25519Private(secrets.x25519));
  if (secrets.mlKemSeed === undefined) return { x25519 };
  return { x25519, mlKem: publicBytes(mlKemPrivate(secrets.mlKemSeed)) };
}

/** Encapsulates to the other side's shares.
 * @returns what to send, and the exporter secrets one after the other (32 or 64 bytes).
 * @throws Error for shares that are no valid keys. */
export function encapsulateTo(shares: Shares, chance: Chance): { sent: Shares; ikm: Uint8Array } {
  const ephemeral: KeyObject = x25519Private(chance.random(X25519_BYTES));
  const first = x25519Encap(ephemeral, shares.x25519);
  const ikm = exported(KEM_X25519, first.sharedSecret);
  if (shares.mlKem === undefined) return { sent: { x25519: first.enc }, ikm };
  const second = (chance.mlKemEncap ?? mlKemEncap)(shares.mlKem);
  return {
    sent: { x25519: first.enc, mlKem: second.enc },
    ikm: concat(ikm, exported(KEM_ML_KEM_768, second.sharedSecret)),
  };
}

/** The receiving half of `encapsulateTo`. @throws Error for encapsulations that are no valid keys. */
export function decapsulateShares(secrets: ShareSecrets, sent: Shares): Uint8Array {
  const ikm = exported(KEM_X25519, x25519Decap(x25519Private(secrets.x25519), sent.x25519));
  if (secrets.mlKemSeed === undefined) return ikm;
  if (sent.mlKem === undefined) throw new Error("shares: the ML-KEM half is missing");
  const second = mlKemDecap(mlKemPrivate(secrets.mlKemSeed), sent.mlKem);
  return concat(ikm, exported(KEM_ML_KEM_768, second));
}

function exported(kemId: number, sharedSecret: Uint8Array): Uint8Array {
  return exportSecret(exporterSecret(kemId, sharedSecret, INFO), EXPORT_CONTEXT, 32);
}
