/**
 * XAES-256-GCM: AES-256-GCM with 24-byte nonces that may be random (C2SP xaes-256-gcm).
 *
 * The first half of a nonce N derives an AES-256-GCM key from K (NIST SP 800-108r1 counter mode
 * over CMAC), the second half is that key's GCM nonce. Deriving costs as much as sealing a small
 * segment, so one first half serves `MESSAGES_PER_PREFIX` messages of one key object; both halves
 * are random. Chance that two nonces of one prefix meet: below 2^-64 (decision 0005).
 */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from "node:crypto";

export const XAES_KEY_BYTES = 32;
export const XAES_NONCE_BYTES = 24;
export const XAES_TAG_BYTES = 16;
/** Bytes that sealing adds: nonce and tag. */
export const XAES_OVERHEAD = XAES_NONCE_BYTES + XAES_TAG_BYTES;

const HALF = 12;
const BLOCK = 16;
const MESSAGES_PER_PREFIX = 2 ** 16;
const NONCES_AT_ONCE = 64;
const DERIVED_KEPT = 32;

export interface XaesKey {
  /** @returns nonce(24) | ciphertext | tag(16), behind `headBytes` free bytes for the caller. */
  seal(aad: Uint8Array, plaintext: Uint8Array, headBytes?: number): Buffer;
  /** @returns undefined when the bytes or the associated data were altered. */
  open(aad: Uint8Array, sealed: Uint8Array): Buffer | undefined;
}

/** @param random unpredictable bytes: every nonce comes from there. */
export function xaesKey(key: Uint8Array, random: (bytes: number) => Uint8Array): XaesKey {
  const derive = subkeys(key);
  let prefix = random(HALF);
  let current = derive(prefix);
  let used = 0;
  let pool = random(0);
  let at = 0;
  function nonceHalf(): Uint8Array {
    if (at + HALF > pool.length) {
      pool = random(HALF * NONCES_AT_ONCE);
      at = 0;
    }
    at += HALF;
    return pool.subarray(at - HALF, at);
  }
  return {
    seal(aad, plaintext, headBytes = 0) {
      if (++used > MESSAGES_PER_PREFIX) {
        prefix = random(HALF);
        current = derive(prefix);
        used = 1;
      }
      const half = nonceHalf();
      const out = Buffer.allocUnsafe(headBytes + XAES_OVERHEAD + plaintext.length);
      out.set(prefix, headBytes);
      out.set(half, headBytes + HALF);
      const cipher = createCipheriv("aes-256-gcm", current, half);
      cipher.setAAD(aad);
      out.set(cipher.update(plaintext), headBytes + XAES_NONCE_BYTES);
      cipher.final();
      out.set(cipher.getAuthTag(), out.length - XAES_TAG_BYTES);
      return out;
    },
    open: (aad, sealed) => openWith(derive, aad, sealed),
  };
}

/** Seals with a nonce of the caller's choice: for the published vectors only. */
export function sealXaesWithNonce(
  key: Uint8Array,
  nonce: Uint8Array,
  aad: Uint8Array,
  plaintext: Uint8Array,
): Buffer {
  const derived = subkeys(key)(nonce.subarray(0, HALF));
  const cipher = createCipheriv("aes-256-gcm", derived, nonce.subarray(HALF)).setAAD(aad);
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

function openWith(
  derive: (prefix: Uint8Array) => KeyObject,
  aad: Uint8Array,
  sealed: Uint8Array,
): Buffer | undefined {
  const end = sealed.length - XAES_TAG_BYTES;
  if (end < XAES_NONCE_BYTES) return undefined;
  const derived = derive(sealed.subarray(0, HALF));
  const nonce = sealed.subarray(HALF, XAES_NONCE_BYTES);
  const decipher = createDecipheriv("aes-256-gcm", derived, nonce, {
    authTagLength: XAES_TAG_BYTES,
  });
  decipher.setAAD(aad).setAuthTag(sealed.subarray(end));
  const plaintext = decipher.update(sealed.subarray(XAES_NONCE_BYTES, end));
  try {
    decipher.final();
  } catch {
    return undefined; // node:crypto says "altered" by throwing; the caller gives it its own name
  }
  return plaintext;
}

/** The derived key of a nonce's first half; the last few are kept. */
function subkeys(key: Uint8Array): (prefix: Uint8Array) => KeyObject {
  if (key.length !== XAES_KEY_BYTES) throw new RangeError("an XAES-256-GCM key has 32 bytes");
  const root = createSecretKey(key);
  const k1 = doubled(encryptBlocks(root, Buffer.alloc(BLOCK)));
  const kept = new Map<string, KeyObject>();
  return (prefix) => {
    const name = Buffer.from(prefix.buffer, prefix.byteOffset, HALF).toString("latin1");
    const known = kept.get(name);
    if (known) return known;
    // M1 = 0x00 0x01 "X" 0x00 | N[:12], M2 the same with 0x02 (C2SP xaes-256-gcm).
    const blocks = Buffer.alloc(2 * BLOCK);
    for (let i = 0; i < 2; i++) {
      blocks.set([0, i + 1, 0x58, 0], i * BLOCK);
      blocks.set(prefix, i * BLOCK + 4);
      for (let j = 0; j < BLOCK; j++) blocks[i * BLOCK + j]! ^= k1[j]!;
    }
    const derived = createSecretKey(encryptBlocks(root, blocks));
    if (kept.size >= DERIVED_KEPT) kept.delete(kept.keys().next().value!);
    kept.set(name, derived);
    return derived;
  };
}

/** Raw AES-256 on whole blocks that each stand alone (a building block of CMAC, not a mode in use). */
function encryptBlocks(key: KeyObject, blocks: Uint8Array): Buffer {
  return createCipheriv("aes-256-ecb", key, null).setAutoPadding(false).update(blocks);
}

/** Doubling in GF(2^128), NIST SP 800-38B §6.1. */
function doubled(block: Buffer): Buffer {
  const out = Buffer.alloc(BLOCK);
  for (let i = 0; i < BLOCK; i++) out[i] = (block[i]! << 1) | ((block[i + 1] ?? 0) >> 7);
  if (block[0]! & 0x80) out[BLOCK - 1]! ^= 0x87;
  return out;
}
