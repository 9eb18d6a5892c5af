/**
 * HPKE (RFC 9180) in base mode, as far as sessions need it: two KEMs and the exporter, with
 * HKDF-SHA256 and the export-only AEAD. KEM 0x0020 is DHKEM(X25519) (§4.1); KEM 0x0041 is ML-KEM-768
 * (FIPS 203; draft-ietf-hpke-pq), whose shared secret enters the key schedule as it is.
 */
import {
  createPrivateKey,
  createPublicKey,
  decapsulate,
  diffieHellman,
  encapsulate,
  type KeyObject,
} from "node:crypto";
import { concat, expand, extract, label } from "./kdf.ts";

export const KEM_X25519 = 0x0020;
export const KEM_ML_KEM_768 = 0x0041;
export const AEAD_EXPORT_ONLY = 0xffff;
const KDF_HKDF_SHA256 = 0x0001;
const VERSION = label("HPKE-v1");
const NOTHING = new Uint8Array();

/** Bytes of public keys and encapsulations. */
export const X25519_BYTES = 32;
export const ML_KEM_PUBLIC_BYTES = 1_184;
export const ML_KEM_CIPHERTEXT_BYTES = 1_088;
export const ML_KEM_SEED_BYTES = 64;

function labeledExtract(suite: Uint8Array, salt: Uint8Array, name: string, ikm: Uint8Array) {
  return extract(salt, concat(VERSION, suite, label(name), ikm));
}

function labeledExpand(
  suite: Uint8Array,
  prk: Uint8Array,
  name: string,
  info: Uint8Array,
  length: number,
): Uint8Array {
  const size = Uint8Array.of(length >> 8, length & 255);
  return expand(prk, concat(size, VERSION, suite, label(name), info), length);
}

const pair = (n: number) => [n >> 8, n & 255];

/** DHKEM's ExtractAndExpand for X25519 (§4.1). */
function dhSharedSecret(dh: Uint8Array, enc: Uint8Array, recipient: Uint8Array): Uint8Array {
  const suite = concat(label("KEM"), Uint8Array.from(pair(KEM_X25519)));
  const prk = labeledExtract(suite, NOTHING, "eae_prk", dh);
  return labeledExpand(suite, prk, "shared_secret", concat(enc, recipient), 32);
}

/** The exporter secret of base mode with empty PSK (§5.1).
 * @param aeadId the export-only AEAD unless a test vector says otherwise. */
export function exporterSecret(
  kemId: number,
  sharedSecret: Uint8Array,
  info: Uint8Array,
  aeadId = AEAD_EXPORT_ONLY,
): { suite: Uint8Array; secret: Uint8Array } {
  const ids = [...pair(kemId), ...pair(KDF_HKDF_SHA256), ...pair(aeadId)];
  const suite = concat(label("HPKE"), Uint8Array.from(ids));
  const pskIdHash = labeledExtract(suite, NOTHING, "psk_id_hash", NOTHING);
  const infoHash = labeledExtract(suite, NOTHING, "info_hash", info);
  const context = concat(Uint8Array.of(0), pskIdHash, infoHash);
  const secret = labeledExtract(suite, sharedSecret, "secret", NOTHING);
  return { suite, secret: labeledExpand(suite, secret, "exp", context, 32) };
}

/** Context.Export (§5.3). */
export function exportSecret(
  exporter: { suite: Uint8Array; secret: Uint8Array },
  context: Uint8Array,
  length: number,
): Uint8Array {
  return labeledExpand(exporter.suite, exporter.secret, "sec", context, length);
}

export function x25519Private(raw: Uint8Array): KeyObject {
  return createPrivateKey({ key: raw, format: "raw-private", asymmetricKeyType: "x25519" });
}

export function mlKemPrivate(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: seed, format: "raw-seed", asymmetricKeyType: "ml-kem-768" });
}

/** Raw public key of a private (or public) key: 32 bytes for X25519, 1184 for ML-KEM-768. */
export function publicBytes(key: KeyObject): Uint8Array {
  const shared = key.type === "private" ? createPublicKey(key) : key;
  return Uint8Array.from(shared.export({ format: "raw-public" }));
}

/** DHKEM(X25519) Encap with the ephemeral private key given. @throws Error for a point of low order. */
export function x25519Encap(ephemeral: KeyObject, recipient: Uint8Array) {
  const publicKey = createPublicKey({
    key: recipient,
    format: "raw-public",
    asymmetricKeyType: "x25519",
  });
  const dh = diffieHellman({ privateKey: ephemeral, publicKey });
  const enc = publicBytes(ephemeral);
  return { enc, sharedSecret: dhSharedSecret(dh, enc, recipient) };
}

/** DHKEM(X25519) Decap. @throws Error for a point of low order. */
export function x25519Decap(privateKey: KeyObject, enc: Uint8Array): Uint8Array {
  const publicKey = createPublicKey({
    key: enc,
    format: "raw-public",
    asymmetricKeyType: "x25519",
  });
  return dhSharedSecret(diffieHellman({ privateKey, publicKey }), enc, publicBytes(privateKey));
}

/** ML-KEM-768 encapsulation. @throws Error for a malformed key. */
export function mlKemEncap(recipient: Uint8Array): { enc: Uint8Array; sharedSecret: Uint8Array } {
  const key = createPublicKey({
    key: recipient,
    format: "raw-public",
    asymmetricKeyType: "ml-kem-768",
  });
  const { ciphertext, sharedKey } = encapsulate(key);
  return { enc: Uint8Array.from(ciphertext), sharedSecret: sharedKey };
}

/** ML-KEM-768 decapsulation: never fails for 1088 bytes, a changed ciphertext gives another secret. */
export function mlKemDecap(privateKey: KeyObject, enc: Uint8Array): Uint8Array {
  return decapsulate(privateKey, enc);
}
