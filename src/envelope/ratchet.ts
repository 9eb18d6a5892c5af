/**
 * The one-way ratchet (docs/envelope.md §6): from an epoch's chain key come its kid, key and Context
 * IV, and the next chain key; from a later chain key no earlier one can be had.
 */
import { createSecretKey, type KeyObject } from "node:crypto";
import { expand, label } from "./kdf.ts";
import type { Suite } from "./suites.ts";

export const KID_BYTES = 8;
export const CHAIN_KEY_BYTES = 32;

const KID = label("vitalward/1 kid");
const KEY = label("vitalward/1 key");
const IV = label("vitalward/1 iv");
const NEXT = label("next");

/** What seals and opens the envelopes of one epoch. */
export interface EpochKeys {
  key: KeyObject;
  /** The same key's bytes, for another thread. */
  keyBytes: Uint8Array;
  /** Context IV (RFC 9052 §3.1). */
  contextIv: Uint8Array;
}

export function epochKid(chainKey: Uint8Array): Uint8Array {
  return expand(chainKey, KID, KID_BYTES);
}

export function epochKeys(chainKey: Uint8Array, suite: Suite): EpochKeys {
  const keyBytes = expand(chainKey, KEY, suite.keyBytes);
  return {
    key: createSecretKey(keyBytes),
    keyBytes,
    contextIv: expand(chainKey, IV, suite.nonceBytes),
  };
}

/** ck_{n+1} = HKDF-Expand(ck_n, "next", 32). */
export function nextChainKey(chainKey: Uint8Array): Uint8Array {
  return expand(chainKey, NEXT, CHAIN_KEY_BYTES);
}

/** Nonce = Context IV XOR Partial IV, the latter one byte here (RFC 9052 §3.1). */
export function nonceOf(contextIv: Uint8Array, partialIv: number): Uint8Array {
  const nonce = new Uint8Array(contextIv);
  const last = nonce.length - 1;
  nonce[last] = nonce[last]! ^ partialIv;
  return nonce;
}
