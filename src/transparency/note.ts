/**
 * Signed notes: a text with signature lines, and the keys that may sign it. Encodings only; who may sign what is
 * judged in verify/. A note that anybody handed over is parsed or it is none: nothing here throws for it.
 * @see C2SP signed-note v1.0.0; the type bytes are those of signed-note and tlog-cosignature v1.0.1.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { fromBase64, joined, toBase64, utf8 } from "./bytes.ts";

/** The types that Vitalward writes and checks. Lines of other types are kept and ignored. */
export const SIGNATURE_TYPES = {
  /** Ed25519 over the text. */
  ed25519: 0x01,
  /** Ed25519 over "cosignature/v1", a time and the text. */
  cosignatureEd25519: 0x04,
  /** ML-DSA-44 over a `cosigned_message`; a log may sign its own checkpoint so, too. */
  cosignatureMlDsa44: 0x06,
} as const;

const PUBLIC_KEY_BYTES = new Map<number, number>([
  [SIGNATURE_TYPES.ed25519, 32],
  [SIGNATURE_TYPES.cosignatureEd25519, 32],
  [SIGNATURE_TYPES.cosignatureMlDsa44, 1312],
]);

/** A signature of ML-DSA-44 takes 3.3 kB of text, so this is room for twice the 16 lines that C2SP asks for. */
export const NOTE_CHARACTERS_MAX = 256_000;
export const NOTE_SIGNATURES_MAX = 64;

export interface NoteKey {
  /** The signer: not empty, no space, no plus. */
  readonly name: string;
  /** 32 bits; with the name it says which key and which algorithm. */
  readonly id: number;
  readonly type: number;
  readonly publicKey: Uint8Array;
}

export interface NoteSignature {
  readonly name: string;
  readonly id: number;
  /** What follows the key id: a signature, or a time of 8 bytes and a signature. */
  readonly signature: Uint8Array;
}

export interface Note {
  /** With its last line feed, without the empty line that follows. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** SHA-256(name | line feed | type | public key), its first four bytes. */
export function keyId(name: string, type: number, publicKey: Uint8Array): number {
  const digest = sha256(joined(utf8(`${name}\n`), Uint8Array.of(type), publicKey));
  return new DataView(digest.buffer, digest.byteOffset).getUint32(0);
}

/** @throws RangeError for a name or a length that no note may carry. */
export function noteKey(name: string, type: number, publicKey: Uint8Array): NoteKey {
  if (!isKeyName(name)) throw new RangeError("not a name of a note's signer");
  if ((PUBLIC_KEY_BYTES.get(type) ?? publicKey.length) !== publicKey.length) {
    throw new RangeError("the public key is not of its type's length");
  }
  return { name, id: keyId(name, type, publicKey), type, publicKey };
}

/** The verifier key string: name+id+base64(type | public key). */
export function formatKey(key: NoteKey): string {
  const material = joined(Uint8Array.of(key.type), key.publicKey);
  return `${key.name}+${key.id.toString(16).padStart(8, "0")}+${toBase64(material)}`;
}

/** @returns undefined for what is no verifier key, or one whose id is not that of its bytes. */
export function parseKey(text: string): NoteKey | undefined {
  const [, name = "", id = "", base64 = ""] =
    /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text) ?? [];
  const material = fromBase64(base64);
  if (material === undefined || material.length < 2 || !isKeyName(name)) return undefined;
  const type = material[0]!;
  const publicKey = material.subarray(1);
  if ((PUBLIC_KEY_BYTES.get(type) ?? publicKey.length) !== publicKey.length) return undefined;
  const key = { name, id: keyId(name, type, publicKey), type, publicKey };
  return Number.parseInt(id, 16) === key.id ? key : undefined;
}

/** @throws RangeError for a text or a name that no note may carry. */
export function formatNote(note: Note): string {
  if (!isText(note.text) || !note.text.endsWith("\n")) throw new RangeError("not a note's text");
  if (note.signatures.length === 0) throw new RangeError("a note has a signature at least");
  return `${note.text}\n${note.signatures.map(formatSignature).join("")}`;
}

/** One signature line with its line feed. */
export function formatSignature(line: NoteSignature): string {
  if (!isKeyName(line.name)) throw new RangeError("not a name of a note's signer");
  const id = new Uint8Array(4);
  new DataView(id.buffer).setUint32(0, line.id);
  return `— ${line.name} ${toBase64(joined(id, line.signature))}\n`;
}

/** @returns undefined for what is no signed note. */
export function parseNote(given: string): Note | undefined {
  if (given.length > NOTE_CHARACTERS_MAX || !isText(given)) return undefined;
  const gap = given.lastIndexOf("\n\n");
  if (gap < 0) return undefined;
  const signatures = parseSignatures(given.slice(gap + 2));
  if (signatures === undefined || signatures.length === 0) return undefined;
  return { text: given.slice(0, gap + 1), signatures };
}

/** Signature lines, each with its line feed; undefined when one of them is none. */
export function parseSignatures(given: string): NoteSignature[] | undefined {
  if (given === "") return [];
  if (!given.endsWith("\n")) return undefined;
  const lines = given.slice(0, -1).split("\n");
  if (lines.length > NOTE_SIGNATURES_MAX) return undefined;
  const parsed: NoteSignature[] = [];
  for (const line of lines) {
    const [, name = "", base64 = ""] = /^— ([^ ]+) ([A-Za-z0-9+/=]+)$/.exec(line) ?? [];
    const bytes = fromBase64(base64);
    if (!isKeyName(name) || bytes === undefined || bytes.length < 5) return undefined;
    const id = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
    parsed.push({ name, id, signature: bytes.subarray(4) });
  }
  return parsed;
}

export function isKeyName(name: string): boolean {
  return name !== "" && isText(name) && !/[\s\u0085+]/u.test(name);
}

/** Valid Unicode without control characters other than the line feed. */
function isText(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is the rule
  return text.isWellFormed() && !/[\u0000-\u0009\u000b-\u001f]/.test(text);
}
