/** The signed messages that start a session (docs/envelope.md §7): opening, reply and prekey. */
import { createPublicKey, type KeyObject } from "node:crypto";
import { limits } from "../limits.ts";
import type { ProblemCode } from "../problems.ts";
import { Problem } from "../problems.ts";
import { sha256 } from "../transparency/tree.ts";
import { CborReader, CborWriter } from "./cbor.ts";
import { certificateHashOf, parseSign1, type Sign1, sign1, verifySign1 } from "./cose.ts";
import { fromHex, hex } from "./envelope.ts";
import { ML_KEM_CIPHERTEXT_BYTES, ML_KEM_PUBLIC_BYTES, X25519_BYTES } from "./hpke.ts";
import { label } from "./kdf.ts";
import {
  type Chance,
  type KemMode,
  makeShares,
  publicShares,
  type ShareSecrets,
  type Shares,
} from "./shares.ts";

/** First number of each signed payload; also keeps their signatures apart. */
export const KIND = { opening: 1, reply: 2, prekey: 3, block: 4 } as const;

const AAD_OPENING = label("vitalward/1 opening");
const AAD_REPLY = label("vitalward/1 reply");
const AAD_PREKEY = label("vitalward/1 prekey");
const TIME_MAX = 2 ** 52;
const KEM_NUMBER = { classical: 1, hybrid: 2 } as const;
const ID_BYTES = 16;

/** What a device signs with, and whose word it takes. */
export interface DeviceIdentity {
  /** SHA-256 of the certificate, DER. */
  certificateHash: Uint8Array;
  /** Ed25519 or P-256. */
  privateKey: KeyObject;
  /** The platform's signing key, pinned at enrolment (Ed25519 or P-256). */
  platformKey: KeyObject;
}

/** What the platform signs replies and prekeys with. */
export interface PlatformIdentity {
  privateKey: KeyObject;
}

export interface Opening {
  /** Hex of 16 random bytes; never used again while the certificate lives. */
  sessionId: string;
  /** Hex SHA-256 of the signer's certificate (DER). */
  certificateHash: string;
  /** COSE number of the AEAD. */
  alg: number;
  kem: KemMode;
  /** Hex id of the prekey used; undefined when the platform must reply. */
  prekeyId: string | undefined;
  /** Device clock, milliseconds: for diagnostics only. */
  openedMs: number;
  /** The device's ephemeral public shares, or its encapsulations to the prekey. */
  shares: Shares;
  /** For the signature's check. */
  signed: Sign1;
}

export interface Reply {
  sessionId: string;
  openingHash: Uint8Array;
  /** Platform clock, milliseconds UTC: what the device sets its offset by. */
  platformMs: number;
  storeEpoch: number;
  /** Encapsulations to the device's shares. */
  sent: Shares;
}

export interface Prekey {
  /** Hex of 16 bytes. */
  id: string;
  kem: KemMode;
  expiresMs: number;
  shares: Shares;
}

function writeShares(writer: CborWriter, shares: Shares): void {
  writer.array(shares.mlKem === undefined ? 1 : 2);
  writer.bytes(shares.x25519);
  if (shares.mlKem !== undefined) writer.bytes(shares.mlKem);
}

function readShares(reader: CborReader, kem: KemMode, mlKemBytes: number): Shares {
  const count = kem === "hybrid" ? 2 : 1;
  reader.array(count, count);
  const x25519 = reader.byteString(X25519_BYTES, X25519_BYTES).slice();
  if (count === 1) return { x25519 };
  return { x25519, mlKem: reader.byteString(mlKemBytes, mlKemBytes).slice() };
}

function readKem(reader: CborReader): KemMode {
  return reader.int(1, 2) === KEM_NUMBER.hybrid ? "hybrid" : "classical";
}

function start(bytes: Uint8Array, kind: number, code: ProblemCode) {
  if (bytes.length > limits.signedBytesMax) throw new Problem(code, { detail: "too large" });
  const signed = parseSign1(bytes, code);
  if (signed.unprotectedHeader.size !== 0) {
    throw new Problem(code, { detail: "an unprotected header" });
  }
  const reader = new CborReader(signed.content, code);
  return { signed, reader, count: reader.array(2, 16), kind: reader.expect(kind) };
}

/** The kind of a tag-18 item, or undefined if it is none of ours. */
export function kindOfSigned(bytes: Uint8Array): number | undefined {
  try {
    const reader = new CborReader(parseSign1(bytes, "envelope-malformed").content, "bad-request");
    reader.array(2, 16);
    return reader.int(1, 4);
  } catch (error) {
    if (error instanceof Problem) return undefined;
    throw error;
  }
}

export function signOpening(
  identity: DeviceIdentity,
  opening: Omit<Opening, "certificateHash" | "signed">,
): Uint8Array {
  const writer = new CborWriter(2_048);
  writer.array(7);
  writer.int(KIND.opening);
  writer.bytes(fromHex(opening.sessionId));
  writer.int(opening.alg);
  writer.int(KEM_NUMBER[opening.kem]);
  writer.bytes(opening.prekeyId === undefined ? new Uint8Array() : fromHex(opening.prekeyId));
  writer.int(opening.openedMs);
  writeShares(writer, opening.shares);
  return sign1(identity.privateKey, writer.take(), AAD_OPENING, identity.certificateHash);
}

/** Reads an opening; its signature is not yet checked. @throws Problem "envelope-malformed". */
export function parseOpening(bytes: Uint8Array): Opening {
  const { signed, reader } = start(bytes, KIND.opening, "envelope-malformed");
  const sessionId = hex(reader.byteString(ID_BYTES, ID_BYTES));
  const alg = reader.int(-0xffff, 0xffff);
  const kem = readKem(reader);
  const prekey = reader.byteString(0, ID_BYTES);
  if (prekey.length !== 0 && prekey.length !== ID_BYTES) reader.refuse("a broken prekey id");
  const prekeyId = prekey.length === 0 ? undefined : hex(prekey);
  const openedMs = reader.int(0, TIME_MAX);
  const mlKemBytes = prekeyId === undefined ? ML_KEM_PUBLIC_BYTES : ML_KEM_CIPHERTEXT_BYTES;
  const shares = readShares(reader, kem, mlKemBytes);
  reader.end();
  const certificate = certificateHashOf(signed);
  if (certificate === undefined) return reader.refuse("no certificate hash");
  const certificateHash = hex(certificate);
  return { sessionId, certificateHash, alg, kem, prekeyId, openedMs, shares, signed };
}

/** @param publicKey SubjectPublicKeyInfo of the device's certificate, DER. */
export function verifyOpening(opening: Opening, publicKey: Uint8Array): boolean {
  const key = createPublicKey({ key: Buffer.from(publicKey), format: "der", type: "spki" });
  return verifySign1(opening.signed, key, AAD_OPENING);
}

export function signReply(identity: PlatformIdentity, reply: Reply): Uint8Array {
  const writer = new CborWriter(2_048);
  writer.array(6);
  writer.int(KIND.reply);
  writer.bytes(fromHex(reply.sessionId));
  writer.bytes(reply.openingHash);
  writer.int(reply.platformMs);
  writer.int(reply.storeEpoch);
  writeShares(writer, reply.sent);
  return sign1(identity.privateKey, writer.take(), AAD_REPLY);
}

/** Reads and verifies a reply. @throws Problem "opening-refused". */
export function openReply(bytes: Uint8Array, kem: KemMode, platformKey: KeyObject): Reply {
  const { signed, reader } = start(bytes, KIND.reply, "opening-refused");
  const sessionId = hex(reader.byteString(ID_BYTES, ID_BYTES));
  const openingHash = reader.byteString(32, 32).slice();
  const platformMs = reader.int(0, TIME_MAX);
  const storeEpoch = reader.int(0, TIME_MAX);
  const sent = readShares(reader, kem, ML_KEM_CIPHERTEXT_BYTES);
  reader.end();
  if (!verifySign1(signed, platformKey, AAD_REPLY)) reader.refuse("not signed by the platform");
  return { sessionId, openingHash, platformMs, storeEpoch, sent };
}

/** Makes a one-time prekey.
 * @returns its id; the signed prekey, to hand to one device; and the secret, which goes to the
 * keystore and is destroyed when the session it opened is closed, or when it expires. */
export function makePrekey(
  identity: PlatformIdentity,
  o: { kem: KemMode; expiresMs: number },
  chance: Chance,
): { id: string; prekey: Uint8Array; secret: Uint8Array } {
  const id = chance.random(ID_BYTES);
  const secrets = makeShares(o.kem, chance);
  const writer = new CborWriter(2_048);
  writer.array(5);
  writer.int(KIND.prekey);
  writer.bytes(id);
  writer.int(KEM_NUMBER[o.kem]);
  writer.int(o.expiresMs);
  writeShares(writer, publicShares(secrets));
  const prekey = sign1(identity.privateKey, writer.take(), AAD_PREKEY);
  writer.array(5);
  writer.int(1);
  writer.bytes(sha256(prekey));
  writer.int(o.expiresMs);
  writer.bytes(secrets.x25519);
  writer.bytes(secrets.mlKemSeed ?? new Uint8Array());
  return { id: hex(id), prekey, secret: writer.take() };
}

/** Reads and verifies a prekey. @throws Problem "opening-refused". */
export function openPrekey(bytes: Uint8Array, platformKey: KeyObject): Prekey {
  const { signed, reader } = start(bytes, KIND.prekey, "opening-refused");
  const id = hex(reader.byteString(ID_BYTES, ID_BYTES));
  const kem = readKem(reader);
  const expiresMs = reader.int(0, TIME_MAX);
  const shares = readShares(reader, kem, ML_KEM_PUBLIC_BYTES);
  reader.end();
  if (!verifySign1(signed, platformKey, AAD_PREKEY)) reader.refuse("not signed by the platform");
  return { id, kem, expiresMs, shares };
}

/** The keystore's side of a prekey. */
export interface PrekeySecret {
  prekeyHash: Uint8Array;
  expiresMs: number;
  kem: KemMode;
  secrets: ShareSecrets;
}

/** @throws Problem "internal-fault" for what `makePrekey` did not write. */
export function parsePrekeySecret(bytes: Uint8Array): PrekeySecret {
  const reader = new CborReader(bytes, "internal-fault");
  reader.array(5, 5);
  reader.expect(1);
  const prekeyHash = reader.byteString(32, 32).slice();
  const expiresMs = reader.int(0, TIME_MAX);
  const x25519 = reader.byteString(X25519_BYTES, X25519_BYTES).slice();
  const seed = reader.byteString(0, 64).slice();
  reader.end();
  if (seed.length === 0) return { prekeyHash, expiresMs, kem: "classical", secrets: { x25519 } };
  return { prekeyHash, expiresMs, kem: "hybrid", secrets: { x25519, mlKemSeed: seed } };
}
