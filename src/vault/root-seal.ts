/**
 * How the organisation's root key rests: sealed by something outside of the keystore file.
 * Here: a passphrase. A PKCS#11 token or a cloud KMS is another `RootSeal`.
 */
import { argon2Sync } from "node:crypto";
import { Problem } from "../problems.ts";
import { XAES_KEY_BYTES, xaesKey } from "./xaes.ts";

export interface RootSeal {
  /** @param context the keystore's id: a sealed root does not open in another keystore. */
  seal(rootKey: Uint8Array, context: string): Promise<Uint8Array>;
  /** @throws Problem "passphrase-wrong" (also when the bytes were altered: they look alike). */
  open(sealed: Uint8Array, context: string): Promise<Uint8Array>;
}

const VERSION = 1;
const SALT_BYTES = 16;
/** RFC 9106 §4, second recommended option. */
const COST = { memory: 64 * 1024, passes: 3, parallelism: 4 } as const;

/** Argon2id (RFC 9106) over the passphrase, then XAES-256-GCM.
 * Sealed form: `version(1) | salt(16) | nonce(24) | ciphertext(32) | tag(16)`. */
export function passphraseSeal(
  passphrase: string,
  random: (bytes: number) => Uint8Array,
): RootSeal {
  const keyFor = (salt: Uint8Array) => {
    const message = Buffer.from(passphrase.normalize("NFC"), "utf8");
    const key = argon2Sync("argon2id", {
      ...COST,
      message,
      nonce: salt,
      tagLength: XAES_KEY_BYTES,
    });
    return xaesKey(key, random);
  };
  const aad = (context: string) => Buffer.from(`vitalward/root/${VERSION}\0${context}`);
  return {
    async seal(rootKey, context) {
      const salt = random(SALT_BYTES);
      const sealed = keyFor(salt).seal(aad(context), rootKey);
      return Buffer.concat([Uint8Array.of(VERSION), salt, sealed]);
    },
    async open(sealed, context) {
      const salt = sealed.subarray(1, 1 + SALT_BYTES);
      if (sealed[0] !== VERSION || salt.length !== SALT_BYTES)
        throw new Problem("keystore-damaged");
      const rootKey = keyFor(salt).open(aad(context), sealed.subarray(1 + SALT_BYTES));
      if (!rootKey) throw new Problem("passphrase-wrong");
      return rootKey;
    },
  };
}
