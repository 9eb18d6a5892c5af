/**
 * The key by which a device knows the platform inside the envelope layer, whatever carries the bytes:
 * it signs opening replies and prekeys. Pinned by each device at enrolment.
 *
 * If lost: devices must be enrolled again. If altered (another key): they refuse every reply.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from "node:crypto";
import type { Secrets } from "../sealed-fields.ts";

export interface PlatformIdentity {
  /** Ed25519 (RFC 8032). */
  readonly privateKey: KeyObject;
  /** The raw 32 bytes. */
  readonly publicKey: Uint8Array;
}

export async function openPlatformIdentity(secrets: Secrets): Promise<PlatformIdentity> {
  let pkcs8 = await secrets.get("platform-identity", "ed25519");
  if (pkcs8 === undefined) {
    const { privateKey } = generateKeyPairSync("ed25519");
    pkcs8 = privateKey.export({ type: "pkcs8", format: "der" });
    await secrets.put("platform-identity", "ed25519", pkcs8);
  }
  const privateKey = createPrivateKey({ key: Buffer.from(pkcs8), type: "pkcs8", format: "der" });
  const spki = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  // RFC 8410 §4: a SubjectPublicKeyInfo of Ed25519 is 12 fixed bytes and the key.
  return { privateKey, publicKey: new Uint8Array(spki.subarray(-32)) };
}
