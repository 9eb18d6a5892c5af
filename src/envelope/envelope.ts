/**
 * The envelope's bytes: COSE_Encrypt0 in one fixed layout (docs/envelope.md §5), written and read
 * without a general parser because every reading passes here.
 */
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import { CborReader, CborWriter, MAJOR } from "./cbor.ts";
import { encStructure, TAG_ENCRYPT0 } from "./cose.ts";
import { KID_BYTES } from "./ratchet.ts";
import type { Suite } from "./suites.ts";

export interface EnvelopeParts {
  /** COSE algorithm number. */
  alg: number;
  kid: Uint8Array;
  /** Number within the epoch, 0 to 255. */
  partialIv: number;
  /** Ciphertext and tag. */
  sealed: Uint8Array;
}

if (limits.epochEnvelopesMax > 256) {
  throw new Error("envelope: the partial IV is one byte");
}

const writer = new CborWriter(4_096);

const headers = new Map<Suite, Uint8Array>();

/** The protected header {1: alg}. */
function protectedHeader(suite: Suite): Uint8Array {
  const known = headers.get(suite);
  if (known) return known;
  const header = new CborWriter(8);
  header.map(1);
  header.int(1);
  header.int(suite.alg);
  const made = header.take();
  headers.set(suite, made);
  return made;
}

/** Associated data of a session's envelopes: Enc_structure with the session id outside. */
export function sessionAad(suite: Suite, sessionId: Uint8Array): Uint8Array {
  return encStructure(protectedHeader(suite), sessionId);
}

/** Writes tag 16 [{1: alg}, {4: kid, 6: partial IV}, ciphertext]. */
export function writeEnvelope(
  suite: Suite,
  kid: Uint8Array,
  partialIv: number,
  sealed: Uint8Array,
): Uint8Array {
  writer.at = 0;
  writer.tag(TAG_ENCRYPT0);
  writer.array(3);
  writer.bytes(protectedHeader(suite));
  writer.map(2);
  writer.int(4);
  writer.bytes(kid);
  writer.int(6);
  writer.bytes(Uint8Array.of(partialIv));
  writer.bytes(sealed);
  if (writer.at > limits.envelopeBytesMax) throw new Problem("envelope-too-large");
  return writer.take();
}

/** Takes an envelope apart; opens nothing.
 * @param kidBytes 8 for envelopes of devices, 16 for the platform's answers.
 * @throws Problem "envelope-too-large", "envelope-malformed". */
export function parseEnvelope(bytes: Uint8Array, kidBytes = KID_BYTES): EnvelopeParts {
  if (bytes.length > limits.envelopeBytesMax) throw new Problem("envelope-too-large");
  const reader = new CborReader(bytes, "envelope-malformed");
  reader.tag(TAG_ENCRYPT0);
  reader.array(3, 3);
  const end = reader.head(MAJOR.bytes) + reader.at;
  reader.map(1, 1);
  reader.expect(1);
  const alg = reader.int(-0xffff, 0xffff);
  if (reader.at !== end) reader.refuse("a header of another size");
  reader.map(2, 2);
  reader.expect(4);
  const kid = reader.byteString(kidBytes, kidBytes);
  reader.expect(6);
  const partialIv = reader.byteString(1, 1)[0]!;
  const sealed = reader.byteString(16, limits.envelopeBytesMax);
  reader.end();
  return { alg, kid, partialIv, sealed };
}

/** Where the parts of the usual envelope lie: an algorithm number below 24, a kid of 8 bytes. */
const USUAL = { alg: 5, kid: 9, iv: 19, length: 20 };
/** `d0 83 43 a1 01 alg a2 04 48 kid 06 41 iv`, and zero where any byte may stand. */
const USUAL_FRONT = Uint8Array.of(
  ...[0xd0, 0x83, 0x43, 0xa1, 0x01, 0, 0xa2, 0x04, 0x48],
  ...[0, 0, 0, 0, 0, 0, 0, 0, 0x06, 0x41, 0],
);

/** As `parseEnvelope`, for bytes that are one envelope in the usual layout and nothing else, at a
 * fraction of the price. @returns undefined for anything else: `parseEnvelope` says what it is. */
export function parseUsualEnvelope(bytes: Uint8Array): EnvelopeParts | undefined {
  if (bytes.length > limits.envelopeBytesMax || bytes.length < USUAL.length + 1 + 16)
    return undefined;
  for (let i = 0; i < USUAL_FRONT.length; i++) {
    const wanted = USUAL_FRONT[i]!;
    if (wanted !== 0 && bytes[i] !== wanted) return undefined;
  }
  const alg = bytes[USUAL.alg]!;
  const at = usualSealedAt(bytes);
  if (alg > 23 || at === 0) return undefined;
  const { buffer, byteOffset } = bytes;
  return {
    alg,
    kid: new Uint8Array(buffer, byteOffset + USUAL.kid, KID_BYTES),
    partialIv: bytes[USUAL.iv]!,
    sealed: new Uint8Array(buffer, byteOffset + at, bytes.length - at),
  };
}

/** Where the ciphertext begins, if its length is in its shortest form and it ends the bytes; else 0. */
function usualSealedAt(bytes: Uint8Array): number {
  const head = bytes[USUAL.length]!;
  const one = bytes[USUAL.length + 1]!;
  if (head >= 0x40 && head < 0x58) return endsAt(bytes, USUAL.length + 1, head - 0x40);
  if (head === 0x58 && one >= 24) return endsAt(bytes, USUAL.length + 2, one);
  const two = (one << 8) | bytes[USUAL.length + 2]!;
  if (head === 0x59 && two >= 0x100) return endsAt(bytes, USUAL.length + 3, two);
  return 0;
}

function endsAt(bytes: Uint8Array, at: number, length: number): number {
  return length >= 16 && at + length === bytes.length ? at : 0;
}

/** Hex of a kid, the key under which sessions are found. */
export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}

/** Bytes of a hex string. */
export function fromHex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, "hex"));
}
