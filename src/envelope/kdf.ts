/** HKDF-SHA256 (RFC 5869) in its two halves, and the bytes of labels. */
import { createHmac, type KeyObject } from "node:crypto";

const encoder = new TextEncoder();

/** UTF-8 bytes of a label. */
export function label(text: string): Uint8Array {
  return encoder.encode(text);
}

/** The byte strings one after the other. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** HMAC-SHA256: 32 bytes. */
export function hmac(key: Uint8Array | KeyObject, message: Uint8Array): Uint8Array {
  return createHmac("sha256", key).update(message).digest();
}

/** HKDF-Extract (RFC 5869 §2.2): 32 bytes. */
export function extract(salt: Uint8Array, ikm: Uint8Array): Uint8Array {
  return hmac(salt, ikm);
}

/** HKDF-Expand (RFC 5869 §2.3).
 * @param length 1 to 8160 bytes. @throws RangeError beyond. */
export function expand(prk: Uint8Array, info: Uint8Array, length: number): Uint8Array {
  if (length < 1 || length > 255 * 32) throw new RangeError("HKDF: the length is out of bounds");
  if (length <= 32) return hmac(prk, concat(info, Uint8Array.of(1))).subarray(0, length);
  const output = new Uint8Array(length);
  let block = new Uint8Array() as Uint8Array;
  for (let at = 0, counter = 1; at < length; at += 32, counter++) {
    block = hmac(prk, concat(block, info, Uint8Array.of(counter)));
    output.set(block.subarray(0, Math.min(32, length - at)), at);
  }
  return output;
}
