/**
 * The ciphers an envelope may be sealed with, behind one interface, named by their COSE algorithm
 * numbers (RFC 9053 §4). A new cipher for smaller devices is one more row.
 */
import {
  type CipherChaCha20Poly1305Types,
  type CipherGCMTypes,
  createCipheriv,
  createDecipheriv,
  type KeyObject,
} from "node:crypto";

export interface Suite {
  /** COSE algorithm number. */
  readonly alg: number;
  readonly name: string;
  readonly keyBytes: number;
  readonly nonceBytes: number;
  readonly tagBytes: number;
  /** @returns ciphertext with the tag at its end. */
  seal(key: KeyObject, nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Uint8Array;
  /** @param key the bytes, where a key object would have to be made for it.
   * @returns the plaintext, or undefined if anything was changed. */
  open(
    key: KeyObject | Uint8Array,
    nonce: Uint8Array,
    aad: Uint8Array,
    sealed: Uint8Array,
  ): Uint8Array | undefined;
}

/** Makes a suite of an AEAD that Node offers, with 12-byte nonce and 16-byte tag. */
export function nodeSuite(
  alg: number,
  name: string,
  cipher: CipherGCMTypes | CipherChaCha20Poly1305Types,
  keyBytes: number,
): Suite {
  const tagBytes = 16;
  // Node's types tell the two kinds apart by the literal name; the calls are the same.
  const algorithm = cipher as CipherGCMTypes;
  const options = { authTagLength: tagBytes };
  return {
    alg,
    name,
    keyBytes,
    nonceBytes: 12,
    tagBytes,
    seal(key, nonce, aad, plaintext) {
      const sealing = createCipheriv(algorithm, key, nonce, options);
      sealing.setAAD(aad);
      const body = sealing.update(plaintext);
      sealing.final();
      const sealed = new Uint8Array(body.length + tagBytes);
      sealed.set(body);
      sealed.set(sealing.getAuthTag(), body.length);
      return sealed;
    },
    open(key, nonce, aad, sealed) {
      const bodyBytes = sealed.length - tagBytes;
      if (bodyBytes < 0) return undefined;
      const opening = createDecipheriv(algorithm, key, nonce, options);
      opening.setAAD(aad);
      opening.setAuthTag(sealed.subarray(bodyBytes));
      const plaintext = opening.update(sealed.subarray(0, bodyBytes));
      try {
        opening.final();
      } catch {
        return undefined; // the tag does not fit: a verdict, not a fault
      }
      return plaintext;
    },
  };
}

export const AES_256_GCM = nodeSuite(3, "A256GCM", "aes-256-gcm", 32);
export const CHACHA20_POLY1305 = nodeSuite(24, "ChaCha20/Poly1305", "chacha20-poly1305", 32);

/** What a session may choose from, strongest habit first. */
export const SUITES: readonly Suite[] = [AES_256_GCM, CHACHA20_POLY1305];

export function suiteByAlg(alg: number): Suite | undefined {
  return SUITES.find((suite) => suite.alg === alg);
}
