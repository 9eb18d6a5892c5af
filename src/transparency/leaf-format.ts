/**
 * The bytes of a leaf and of the entry behind it. Every leaf is 107 bytes, whatever it stands for. Encodings only.
 * @see docs/log.md §3.
 */
import { joined, readUint64, uint64 } from "./bytes.ts";
import { type Canonical, decodeCanonical, encodeCanonical } from "./canonical.ts";

export const LEAF_BYTES = 107;
const VERSION = 1;
const HASH_BYTES = 32;

/** All that a leaf tells a stranger about what it stands for. */
export const LEAF_CLASSES = { event: 1, "index-root": 2, revocation: 3, governance: 4 } as const;
export type LeafClass = keyof typeof LEAF_CLASSES;

/** What an event may be; told only inside its payload. */
export const ENTRY_KINDS = [
  "access-opened",
  "access-closed",
  "denial",
  "consent",
  "break-glass",
  "sign-in",
  "enrolment",
  "revocation",
  "key-operation",
  "device-heads",
  "maintenance",
  "release",
  "export",
  "erasure",
  "policy-change",
] as const;
export type EntryKind = (typeof ENTRY_KINDS)[number];

export interface Leaf {
  readonly class: LeafClass;
  /** 32 bytes each. */
  readonly tag: Uint8Array;
  readonly commit: Uint8Array;
  readonly basis: Uint8Array;
}

export interface LogEntry {
  readonly kind: EntryKind;
  /** UTC, ms since 1970: of the batch that was made durable together, no finer. */
  readonly atMs: number;
  /** Made while the log was away, and merged from the emergency journal. */
  readonly late?: true;
  /** Who, in which role, why, what: ids and codes only. */
  readonly facts: { readonly [key: string]: Canonical };
}

/** @throws RangeError for a field of another length than 32 bytes. */
export function encodeLeaf(leaf: Leaf): Uint8Array {
  const fields = [leaf.tag, leaf.commit, leaf.basis];
  if (fields.some((field) => field.length !== HASH_BYTES)) throw new RangeError("not a leaf");
  return joined(Uint8Array.of(VERSION, LEAF_CLASSES[leaf.class]), ...fields, new Uint8Array(9));
}

/** @returns undefined for what is no leaf of this version, reserved bytes that are not zero included. */
export function decodeLeaf(bytes: Uint8Array): Leaf | undefined {
  if (bytes.length !== LEAF_BYTES || bytes[0] !== VERSION) return undefined;
  if (bytes.subarray(98).some((byte) => byte !== 0)) return undefined;
  const found = Object.entries(LEAF_CLASSES).find(([, code]) => code === bytes[1]);
  if (found === undefined) return undefined;
  return {
    class: found[0] as LeafClass,
    tag: bytes.subarray(2, 34),
    commit: bytes.subarray(34, 66),
    basis: bytes.subarray(66, 98),
  };
}

/** The index as it stood when a checkpoint was closed. */
export interface IndexRoot {
  /** 32 bytes. */
  readonly root: Uint8Array;
  /** The leaves before this one: the index was built from them, all of them, in order. */
  readonly covered: number;
  /** How many tags the index holds. */
  readonly tags: number;
}

/** The last leaf under every checkpoint. */
export function encodeIndexRootLeaf({ root, covered, tags }: IndexRoot): Uint8Array {
  const commit = joined(uint64(covered), uint64(tags), new Uint8Array(16));
  return encodeLeaf({ class: "index-root", tag: root, commit, basis: new Uint8Array(HASH_BYTES) });
}

/** @returns undefined for any other leaf. */
export function decodeIndexRootLeaf(bytes: Uint8Array): IndexRoot | undefined {
  const leaf = decodeLeaf(bytes);
  if (leaf?.class !== "index-root") return undefined;
  const covered = readUint64(leaf.commit);
  const tags = readUint64(leaf.commit, 8);
  const rest = [...leaf.commit.subarray(16), ...leaf.basis];
  if (covered === undefined || tags === undefined || rest.some((byte) => byte !== 0)) {
    return undefined;
  }
  return { root: leaf.tag, covered, tags };
}

/** The payload of an event, which the database keeps encrypted and the leaf only commits to. */
export function encodeEntry({ kind, atMs, late, facts }: LogEntry): Uint8Array {
  return encodeCanonical({ v: VERSION, kind, atMs, facts, ...(late === true && { late }) });
}

/** @returns undefined for what is not the one form of an entry. */
export function decodeEntry(payload: Uint8Array): LogEntry | undefined {
  const value = decodeCanonical(payload);
  if (!isObject(value)) return undefined;
  const { v, kind, atMs, late, facts, ...rest } = value;
  if (v !== VERSION || typeof atMs !== "number" || !isObject(facts)) return undefined;
  if (!ENTRY_KINDS.includes(kind as EntryKind) || Object.keys(rest).length > 0) return undefined;
  if (late !== undefined && late !== true) return undefined;
  return { kind: kind as EntryKind, atMs, facts, ...(late === true && { late }) };
}

function isObject(value: Canonical | undefined): value is { readonly [key: string]: Canonical } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
