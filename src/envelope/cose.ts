/**
 * COSE (RFC 9052): Sign1 with Ed25519 and ECDSA P-256, Encrypt0 with any `Suite`. Written for the
 * general form, so that the working group's examples pass; the envelope's own fixed layout, read on
 * the hot path, is in `envelope.ts`.
 */
import { type KeyObject, sign, verify } from "node:crypto";
import type { ProblemCode } from "../problems.ts";
import { Problem } from "../problems.ts";
import { type CborItem, CborReader, CborWriter, MAJOR } from "./cbor.ts";
import type { Suite } from "./suites.ts";

/** COSE header labels (RFC 9052 §3.1, RFC 9360 §2). */
export const HEADER = { alg: 1, kid: 4, iv: 5, partialIv: 6, x5t: 34 } as const;
/** COSE algorithms (RFC 9053 §2). */
export const ALG = { es256: -7, edDsa: -8, sha256: -16 } as const;
export const TAG_ENCRYPT0 = 16;
export const TAG_SIGN1 = 18;

const NOTHING = new Uint8Array();

export interface CoseMessage {
  /** As it stood on the wire: the signature or tag covers these bytes. */
  protectedBytes: Uint8Array;
  protectedHeader: Map<CborItem, CborItem>;
  unprotectedHeader: Map<CborItem, CborItem>;
  /** Payload (Sign1) or ciphertext (Encrypt0). */
  content: Uint8Array;
}

export interface Sign1 extends CoseMessage {
  signature: Uint8Array;
}

/** Parses a tagged COSE_Sign1 with its payload inside. @throws Problem with that code. */
export function parseSign1(bytes: Uint8Array, code: ProblemCode): Sign1 {
  const reader = new CborReader(bytes, code);
  reader.tag(TAG_SIGN1);
  reader.array(4, 4);
  const message = parseCommon(reader);
  const signature = reader.byteString(1, 512);
  reader.end();
  return { ...message, signature };
}

/** Parses a tagged COSE_Encrypt0. @throws Problem with that code. */
export function parseEncrypt0(bytes: Uint8Array, code: ProblemCode): CoseMessage {
  const reader = new CborReader(bytes, code);
  reader.tag(TAG_ENCRYPT0);
  reader.array(3, 3);
  const message = parseCommon(reader);
  reader.end();
  return message;
}

function parseCommon(reader: CborReader): CoseMessage {
  const protectedBytes = reader.byteString(0, reader.bytes.length);
  const protectedHeader = headerMap(new CborReader(protectedBytes, reader.code));
  if (reader.peek() !== MAJOR.map) reader.refuse("a header that is no map");
  const unprotectedHeader = reader.item() as Map<CborItem, CborItem>;
  for (const name of unprotectedHeader.keys()) {
    if (protectedHeader.has(name)) reader.refuse("a header in both places");
  }
  const content = reader.byteString(0, reader.bytes.length);
  return { protectedBytes, protectedHeader, unprotectedHeader, content };
}

function headerMap(reader: CborReader): Map<CborItem, CborItem> {
  if (reader.bytes.length === 0) return new Map();
  if (reader.peek() !== MAJOR.map) reader.refuse("a header that is no map");
  const header = reader.item() as Map<CborItem, CborItem>;
  reader.end();
  return header;
}

/** Sig_structure of Sign1 (RFC 9052 §4.4): the bytes that are signed. */
export function toBeSigned(
  protectedBytes: Uint8Array,
  externalAad: Uint8Array,
  payload: Uint8Array,
): Uint8Array {
  const writer = new CborWriter(payload.length + protectedBytes.length + externalAad.length + 64);
  writer.array(4);
  writer.text("Signature1");
  writer.bytes(protectedBytes);
  writer.bytes(externalAad);
  writer.bytes(payload);
  return writer.take();
}

/** Enc_structure of Encrypt0 (RFC 9052 §5.3): the associated data. */
export function encStructure(protectedBytes: Uint8Array, externalAad: Uint8Array): Uint8Array {
  const writer = new CborWriter(protectedBytes.length + externalAad.length + 32);
  writer.array(3);
  writer.text("Encrypt0");
  writer.bytes(protectedBytes);
  writer.bytes(externalAad);
  return writer.take();
}

/** The COSE algorithm that goes with a key, or undefined if none of ours does. */
export function algOf(key: KeyObject): number | undefined {
  if (key.asymmetricKeyType === "ed25519") return ALG.edDsa;
  const isP256 = key.asymmetricKeyDetails?.namedCurve === "prime256v1";
  return key.asymmetricKeyType === "ec" && isP256 ? ALG.es256 : undefined;
}

/** Signs a payload and writes a tagged COSE_Sign1.
 * @param certificateHash goes into the protected header as x5t (RFC 9360 §2), if given.
 * @throws Error for a key that is neither Ed25519 nor P-256. */
export function sign1(
  privateKey: KeyObject,
  payload: Uint8Array,
  externalAad: Uint8Array = NOTHING,
  certificateHash?: Uint8Array,
): Uint8Array {
  const alg = algOf(privateKey);
  if (alg === undefined) throw new Error("cose: the key is neither Ed25519 nor P-256");
  const header = new CborWriter(64);
  header.map(certificateHash === undefined ? 1 : 2);
  header.int(HEADER.alg);
  header.int(alg);
  if (certificateHash !== undefined) {
    header.int(HEADER.x5t);
    header.array(2);
    header.int(ALG.sha256);
    header.bytes(certificateHash);
  }
  const protectedBytes = header.take();
  const signed = toBeSigned(protectedBytes, externalAad, payload);
  const signature = sign(alg === ALG.es256 ? "sha256" : null, signed, {
    key: privateKey,
    dsaEncoding: "ieee-p1363",
  });
  const writer = new CborWriter(payload.length + 192);
  writer.tag(TAG_SIGN1);
  writer.array(4);
  writer.bytes(protectedBytes);
  writer.map(0);
  writer.bytes(payload);
  writer.bytes(signature);
  return writer.take();
}

/** Was the message signed by the owner of this key, with the algorithm its header names? */
export function verifySign1(
  message: Sign1,
  publicKey: KeyObject,
  externalAad: Uint8Array = NOTHING,
): boolean {
  const alg = algOf(publicKey);
  if (alg === undefined || message.protectedHeader.get(HEADER.alg) !== alg) return false;
  const signed = toBeSigned(message.protectedBytes, externalAad, message.content);
  const key = { key: publicKey, dsaEncoding: "ieee-p1363" as const };
  return verify(alg === ALG.es256 ? "sha256" : null, signed, key, message.signature);
}

/** The SHA-256 of the signer's certificate, if the protected header names it by x5t. */
export function certificateHashOf(message: CoseMessage): Uint8Array | undefined {
  const x5t = message.protectedHeader.get(HEADER.x5t);
  if (!Array.isArray(x5t) || x5t.length !== 2 || x5t[0] !== ALG.sha256) return undefined;
  return x5t[1] instanceof Uint8Array && x5t[1].length === 32 ? x5t[1] : undefined;
}

/** Opens an Encrypt0 with the key and the whole nonce. @returns undefined if anything was changed. */
export function openEncrypt0(
  message: CoseMessage,
  suite: Suite,
  key: KeyObject,
  nonce: Uint8Array,
  externalAad: Uint8Array = NOTHING,
): Uint8Array | undefined {
  if (message.protectedHeader.get(HEADER.alg) !== suite.alg) return undefined;
  const aad = encStructure(message.protectedBytes, externalAad);
  return suite.open(key, nonce, aad, message.content);
}

/** Splits a CBOR sequence (RFC 8742) into its items. @throws Problem with that code. */
export function splitSequence(bytes: Uint8Array, itemsMax: number, code: ProblemCode) {
  const reader = new CborReader(bytes, code);
  const items: Uint8Array[] = [];
  while (reader.at < bytes.length) {
    if (items.length === itemsMax) throw new Problem(code, { detail: "too many items" });
    items.push(reader.skip());
  }
  return items;
}
