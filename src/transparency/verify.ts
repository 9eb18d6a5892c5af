/**
 * The verifier: checks that a device signed a reading, believing nobody but the organisation's authority. It runs in
 * a browser as well as in Node and shares no code with what writes blocks (docs/envelope.md §9). One file of more than
 * 400 lines on purpose: whoever wants to check the checker reads this and nothing else.
 */

/** What there is to check. Nothing in it is believed. */
export interface ReadingProof {
  /** COSE_Sign1 of the block, as the device signed it. */
  readonly block: Uint8Array;
  /** The device's X.509 certificate, DER. */
  readonly certificate: Uint8Array;
  /** The organisation's authority, X.509, DER. */
  readonly authority: Uint8Array;
  /** Salt of the batch's leaf, 32 bytes. */
  readonly salt: Uint8Array;
  /** The batch in its canonical form. */
  readonly batch: Uint8Array;
  readonly index: number;
  /** From the leaf to the root, lowest sibling first. */
  readonly path: readonly Uint8Array[];
}

/** The reading as it was shown. A value is mantissa × 10^exponent. */
export interface ShownReading {
  readonly mdc: number;
  readonly mantissa: number;
  readonly exponent: number;
  /** UTC, ms. */
  readonly timeMs: number;
  readonly quality: number;
  readonly deviceId: string;
  /** Hex. */
  readonly sessionId: string;
  readonly sequence: number;
}

export const PROOF_STEPS = ["batch", "leaf", "root", "signature", "certificate"] as const;
export type ProofStep = (typeof PROOF_STEPS)[number];

export interface ProofVerdict {
  /** All of `steps` hold. */
  readonly holds: boolean;
  readonly steps: Readonly<Record<ProofStep, boolean>>;
  /** What the block says, as far as it could be read. */
  readonly block:
    | {
        readonly sessionId: string;
        readonly from: number;
        readonly to: number;
        readonly count: number;
        readonly root: string;
        readonly signedMs: number;
      }
    | undefined;
  readonly algorithm: string | undefined;
  /** Hex SHA-256 of the device's certificate. */
  readonly certificateHash: string;
}

const encoder = new TextEncoder();
const LEAF_DOMAIN = encoder.encode("vitalward/1 leaf");
const AAD_BLOCK = encoder.encode("vitalward/1 block");
const KIND_BLOCK = 4;

/** Judges; throws for nothing a sender could write. Each step is checked by itself, so that the page can say which
 * one fails. */
export async function verifyReading(
  proof: ReadingProof,
  shown: ShownReading,
): Promise<ProofVerdict> {
  const certificateHash = await sha256(proof.certificate);
  const message = readOr(() => readSign1(proof.block));
  const block = message && readOr(() => readBlock(message.payload));
  const certificate = readOr(() => readCertificate(proof.certificate));
  const authority = readOr(() => readCertificate(proof.authority));
  const isSpokenFor =
    block !== undefined &&
    block.sessionId === shown.sessionId &&
    block.from <= shown.sequence &&
    shown.sequence <= block.to;
  const leaf = await sha256(joined(Uint8Array.of(0), LEAF_DOMAIN, proof.salt, proof.batch));
  const root = block && (await rootFrom(leaf, proof.index, block.count, proof.path));
  const signer =
    message && certificate && (await isSignedBy(message, certificate, certificateHash));
  const steps = {
    batch: readOr(() => batchHolds(readItem(proof.batch), shown)) ?? false,
    leaf: isSpokenFor && proof.salt.length === 32,
    root: isSpokenFor && root !== undefined && hexOf(root) === block.root,
    signature: signer ?? false,
    certificate:
      certificate !== undefined &&
      authority !== undefined &&
      certificate.text.includes(shown.deviceId) &&
      (await isIssuedBy(certificate, authority)),
  };
  return {
    holds: PROOF_STEPS.every((step) => steps[step]),
    steps,
    block,
    algorithm: message && ALGORITHM_NAMES.get(message.algorithm),
    certificateHash: hexOf(certificateHash),
  };
}

/** Malformed input is a step that does not hold, not a fault. */
class Malformed extends Error {}
function readOr<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}
function must(condition: boolean): asserts condition {
  if (!condition) throw new Malformed();
}

// --- the tree (RFC 9162 §2.1.3.2) ---

/** @returns the root that leaf and path lead to, or undefined when the path does not fit the tree. */
async function rootFrom(
  leaf: Uint8Array,
  index: number,
  size: number,
  path: readonly Uint8Array[],
): Promise<Uint8Array | undefined> {
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) return undefined;
  let at = index;
  let last = size - 1;
  let hash = leaf;
  for (const sibling of path) {
    if (last === 0 || sibling.length !== 32) return undefined;
    if (at % 2 === 1 || at === last) {
      hash = await sha256(joined(Uint8Array.of(1), sibling, hash));
      while (at % 2 === 0 && at !== 0) {
        at = Math.floor(at / 2);
        last = Math.floor(last / 2);
      }
    } else hash = await sha256(joined(Uint8Array.of(1), hash, sibling));
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 ? hash : undefined;
}

// --- the block (COSE_Sign1, RFC 9052 §4) ---

const ES256 = -7;
const EDDSA = -8;
const ALGORITHM_NAMES = new Map([
  [ES256, "ECDSA P-256, SHA-256"],
  [EDDSA, "Ed25519"],
]);

interface Sign1 {
  readonly algorithm: number;
  readonly certificateHash: Uint8Array;
  readonly protectedBytes: Uint8Array;
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
}

function readSign1(bytes: Uint8Array): Sign1 {
  const item = readItem(bytes);
  must(item instanceof Tagged && item.tag === 18 && Array.isArray(item.value));
  const [protectedBytes, unprotected, payload, signature] = item.value;
  must(item.value.length === 4 && unprotected instanceof Map);
  must(protectedBytes instanceof Uint8Array && payload instanceof Uint8Array);
  must(signature instanceof Uint8Array);
  const header = readItem(protectedBytes);
  must(header instanceof Map);
  const algorithm = header.get(1);
  // x5t (RFC 9360 §2): [SHA-256, hash of the signer's certificate].
  const x5t = header.get(34);
  must(typeof algorithm === "number" && Array.isArray(x5t) && x5t[0] === -16);
  const certificateHash = x5t[1];
  must(certificateHash instanceof Uint8Array);
  return { algorithm, certificateHash, protectedBytes, payload, signature };
}

function readBlock(payload: Uint8Array) {
  const item = readItem(payload);
  must(Array.isArray(item) && item.length === 8 && item[0] === KIND_BLOCK);
  const [, session, from, to, count, root, signedMs] = item;
  must(session instanceof Uint8Array && root instanceof Uint8Array && root.length === 32);
  must(typeof from === "number" && typeof to === "number");
  must(typeof count === "number" && typeof signedMs === "number");
  return { sessionId: hexOf(session), from, to, count, root: hexOf(root), signedMs };
}

async function isSignedBy(
  message: Sign1,
  certificate: Certificate,
  certificateHash: Uint8Array,
): Promise<boolean> {
  if (hexOf(message.certificateHash) !== hexOf(certificateHash)) return false;
  const signed = joined(
    Uint8Array.of(0x84),
    cborHead(3, 10),
    encoder.encode("Signature1"),
    cborHead(2, message.protectedBytes.length),
    message.protectedBytes,
    cborHead(2, AAD_BLOCK.length),
    AAD_BLOCK,
    cborHead(2, message.payload.length),
    message.payload,
  );
  const algorithm = message.algorithm === ES256 ? "P-256" : "Ed25519";
  if (message.algorithm !== ES256 && message.algorithm !== EDDSA) return false;
  return verifyWith(algorithm, certificate.publicKey, message.signature, signed);
}

// --- the batch (docs/envelope.md §3) ---

const LABEL = { name: 0, value: 2, time: 6, exponent: 16, quality: 17, baseTime: -3 };

/** Whether the batch holds exactly this reading: metric, value, time and quality. */
function batchHolds(batch: Cbor, shown: ShownReading): boolean {
  must(Array.isArray(batch) && batch.length === 6);
  const [version, sequence, clockMs, offsetMs, points] = batch;
  must(version === 1 && typeof clockMs === "number" && typeof offsetMs === "number");
  must(Array.isArray(points));
  if (sequence !== shown.sequence) return false;
  return points.some((column) => {
    must(column instanceof Map);
    return column.get(LABEL.name) === shown.mdc && columnHolds(column, clockMs + offsetMs, shown);
  });
}

function columnHolds(column: Map<Cbor, Cbor>, sealedMs: number, shown: ShownReading): boolean {
  const exponent = numberOf(column.get(LABEL.exponent) ?? 0);
  const baseMs = numberOf(column.get(LABEL.baseTime));
  const values = listOf(column.get(LABEL.value));
  const steps = column.get(LABEL.time);
  const quality = column.get(LABEL.quality) ?? 0;
  let timeMs = sealedMs + baseMs;
  for (const [index, mantissa] of values.entries()) {
    if (index > 0) timeMs += numberOf(Array.isArray(steps) ? steps[index - 1] : steps);
    if (timeMs !== shown.timeMs) continue;
    const bits = numberOf(Array.isArray(quality) ? quality[index] : quality);
    return bits === shown.quality && isSameValue(numberOf(mantissa), exponent, shown);
  }
  return false;
}

/** Compared as integers at the finer of the two resolutions: 720 × 10^-1 is 72. */
function isSameValue(mantissa: number, exponent: number, shown: ShownReading): boolean {
  const finest = Math.min(exponent, shown.exponent);
  const whole = (m: number, e: number) => BigInt(m) * 10n ** BigInt(e - finest);
  return whole(mantissa, exponent) === whole(shown.mantissa, shown.exponent);
}

function numberOf(value: Cbor | undefined): number {
  must(typeof value === "number");
  return value;
}
function listOf(value: Cbor | undefined): readonly Cbor[] {
  return Array.isArray(value) ? value : [numberOf(value)];
}

// --- certificates (RFC 5280), as much as is needed ---

interface Certificate {
  /** The signed part, with its DER header. */
  readonly signedPart: Uint8Array;
  /** ECDSA signature, DER. */
  readonly signature: Uint8Array;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  /** The signed part as Latin-1, to find the device's id in its names. */
  readonly text: string;
}

interface Der {
  readonly tag: number;
  readonly body: Uint8Array;
  /** With tag and length. */
  readonly whole: Uint8Array;
}

function readDer(bytes: Uint8Array): Der[] {
  const found: Der[] = [];
  let at = 0;
  while (at < bytes.length) {
    const start = at;
    const tag = bytes[at] ?? 0;
    let length = bytes[at + 1] ?? 0x80;
    at += 2;
    if (length > 0x7f) {
      const width = length & 0x7f;
      must(width >= 1 && width <= 4);
      length = 0;
      for (let n = 0; n < width; n += 1) length = length * 256 + (bytes[at + n] ?? 0);
      at += width;
    }
    must(at + length <= bytes.length);
    found.push({
      tag,
      body: bytes.subarray(at, at + length),
      whole: bytes.subarray(start, at + length),
    });
    at += length;
  }
  return found;
}

function readCertificate(bytes: Uint8Array): Certificate {
  const [outer] = readDer(bytes);
  must(outer !== undefined && outer.tag === 0x30);
  const [signedPart, , signature] = readDer(outer.body);
  must(signedPart !== undefined && signature?.tag === 0x03 && signature.body[0] === 0);
  const fields = readDer(signedPart.body);
  // [0] version, serial, algorithm, issuer, validity, subject, SubjectPublicKeyInfo (RFC 5280 §4.1).
  const publicKey = fields[fields[0]?.tag === 0xa0 ? 6 : 5];
  must(publicKey !== undefined && publicKey.tag === 0x30);
  return {
    signedPart: signedPart.whole,
    signature: signature.body.subarray(1),
    publicKey: publicKey.whole,
    text: Array.from(signedPart.body, (byte) => String.fromCharCode(byte)).join(""),
  };
}

async function isIssuedBy(certificate: Certificate, authority: Certificate): Promise<boolean> {
  const raw = readOr(() => rawSignature(certificate.signature));
  if (raw === undefined) return false;
  return verifyWith("P-256", authority.publicKey, raw, certificate.signedPart);
}

/** ECDSA-Sig-Value (RFC 3279 §2.2.3) → r | s, 32 bytes each, as WebCrypto wants it. */
function rawSignature(der: Uint8Array): Uint8Array {
  const [outer] = readDer(der);
  must(outer !== undefined);
  const [r, s] = readDer(outer.body);
  must(r !== undefined && s !== undefined);
  const raw = new Uint8Array(64);
  for (const [part, end] of [
    [r.body, 32],
    [s.body, 64],
  ] as const) {
    const digits = part[0] === 0 ? part.subarray(1) : part;
    must(digits.length <= 32);
    raw.set(digits, end - digits.length);
  }
  return raw;
}

// --- WebCrypto ---

async function verifyWith(
  algorithm: "P-256" | "Ed25519",
  publicKey: Uint8Array,
  signature: Uint8Array,
  signed: Uint8Array,
): Promise<boolean> {
  const { subtle } = globalThis.crypto;
  const how = algorithm === "P-256" ? { name: "ECDSA", namedCurve: "P-256" } : { name: "Ed25519" };
  try {
    const key = await subtle.importKey("spki", copied(publicKey), how, false, ["verify"]);
    const check = algorithm === "P-256" ? { name: "ECDSA", hash: "SHA-256" } : how;
    return await subtle.verify(check, key, copied(signature), copied(signed));
  } catch (error) {
    // A key of another kind than the algorithm says, or no key at all: not signed by it.
    if (error instanceof DOMException) return false;
    throw error;
  }
}

async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await globalThis.crypto.subtle.digest("SHA-256", copied(bytes)));
}

/** On a buffer of its own, as WebCrypto's types ask. */
function copied(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// --- CBOR (RFC 8949), definite lengths and integers up to 2^53 - 1 only ---

class Tagged {
  readonly tag: number;
  readonly value: Cbor;
  constructor(tag: number, value: Cbor) {
    this.tag = tag;
    this.value = value;
  }
}
type Cbor = number | string | Uint8Array | Cbor[] | Map<Cbor, Cbor> | Tagged;

const DEPTH_MAX = 16;

function cborHead(major: number, length: number): Uint8Array {
  const type = major << 5;
  if (length < 24) return Uint8Array.of(type | length);
  if (length < 0x100) return Uint8Array.of(type | 24, length);
  if (length < 0x1_0000) return Uint8Array.of(type | 25, length >> 8, length & 0xff);
  const head = new Uint8Array(5);
  head[0] = type | 26;
  new DataView(head.buffer).setUint32(1, length);
  return head;
}

function readItem(bytes: Uint8Array): Cbor {
  const reader = { bytes, at: 0 };
  const item = nextItem(reader, 0);
  must(reader.at === bytes.length);
  return item;
}

function nextItem(reader: { bytes: Uint8Array; at: number }, depth: number): Cbor {
  must(depth < DEPTH_MAX);
  const { major, argument } = nextHead(reader);
  const take = () => {
    must(argument <= reader.bytes.length - reader.at);
    reader.at += argument;
    return reader.bytes.subarray(reader.at - argument, reader.at);
  };
  switch (major) {
    case 0:
      return argument;
    case 1:
      return -1 - argument;
    case 2:
      return take();
    case 3:
      return new TextDecoder().decode(take());
    case 4: {
      must(argument <= reader.bytes.length);
      return Array.from({ length: argument }, () => nextItem(reader, depth + 1));
    }
    case 5: {
      must(argument <= reader.bytes.length);
      const map = new Map<Cbor, Cbor>();
      for (let left = argument; left > 0; left -= 1) {
        const key = nextItem(reader, depth + 1);
        must(!map.has(key));
        map.set(key, nextItem(reader, depth + 1));
      }
      return map;
    }
    case 6:
      return new Tagged(argument, nextItem(reader, depth + 1));
    default:
      throw new Malformed();
  }
}

function nextHead(reader: { bytes: Uint8Array; at: number }): { major: number; argument: number } {
  const first = reader.bytes[reader.at];
  must(first !== undefined);
  reader.at += 1;
  const short = first & 31;
  if (short < 24) return { major: first >> 5, argument: short };
  must(short <= 27);
  const width = 2 ** (short - 24);
  let argument = 0;
  for (let n = 0; n < width; n += 1) argument = argument * 256 + (reader.bytes[reader.at + n] ?? 0);
  reader.at += width;
  must(reader.at <= reader.bytes.length && Number.isSafeInteger(argument));
  return { major: first >> 5, argument };
}
