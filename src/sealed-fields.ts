/**
 * Short texts about people and devices (names, labels, notes) sealed under one organisation key each.
 * Patient records are not sealed here: they live in `vault/` under a key per patient.
 *
 * If lost: the texts are unreadable, ids and history remain. If altered: opening fails, typed.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from "node:crypto";
import type { Clock } from "./clock.ts";

/** Secret bytes by kind and id, kept in the keystore and never in the database (`vault.secrets`). */
export interface Secrets {
  get(kind: string, id: string): Uint8Array | undefined | Promise<Uint8Array | undefined>;
  put(kind: string, id: string, secret: Uint8Array): void | Promise<void>;
  delete(kind: string, id: string): unknown;
}

export interface SealedFields {
  /** AES-256-GCM, random nonce: `nonce(12) | ciphertext | tag(16)`.
   * @param context what the bytes belong to ("person/<id>"); another context does not open. */
  seal(context: string, text: string): Uint8Array;
  /** @throws Error when the bytes were altered, or sealed for another context or organisation. */
  open(context: string, sealed: Uint8Array): string;
  /** HMAC-SHA-256 of a secret, to find it again without keeping it: who writes the database but
   * lacks the keystore can neither have it back nor put one of his own there. */
  hash(context: string, secret: string): Buffer;
}

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Opens the key of that name, making it on first use.
 * @param name one of "access", "registry", "audit": each part of the platform has its own key. */
export async function openSealedFields(o: {
  secrets: Secrets;
  tenantId: string;
  name: "access" | "registry" | "audit";
  clock: Clock;
}): Promise<SealedFields> {
  let key = await o.secrets.get("field-key", o.name);
  if (key === undefined) {
    key = o.clock.random(32);
    await o.secrets.put("field-key", o.name, key);
  }
  const secret = key;
  const hashKey = Buffer.from(hkdfSync("sha256", secret, "", "vitalward/field/1 hash", 32));
  const associated = (context: string) =>
    Buffer.from(`vitalward/field/1\0${o.tenantId}\0${o.name}\0${context}`);
  return {
    hash: (context, text) =>
      createHmac("sha256", hashKey).update(associated(context)).update("\0").update(text).digest(),
    seal(context, text) {
      const nonce = o.clock.random(NONCE_BYTES);
      const cipher = createCipheriv("aes-256-gcm", secret, nonce).setAAD(associated(context));
      return Buffer.concat([
        nonce,
        cipher.update(text, "utf8"),
        cipher.final(),
        cipher.getAuthTag(),
      ]);
    },
    open(context, sealed) {
      const nonce = sealed.subarray(0, NONCE_BYTES);
      const body = sealed.subarray(NONCE_BYTES, sealed.length - TAG_BYTES);
      const decipher = createDecipheriv("aes-256-gcm", secret, nonce, { authTagLength: TAG_BYTES })
        .setAAD(associated(context))
        .setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
      return Buffer.concat([decipher.update(body), decipher.final()]).toString("utf8");
    },
  };
}
