/**
 * Proofs of the index: that a tag is there, and for which leaf, or that it is not. Encodings only.
 * @see docs/log.md §5.
 */
import { joined, readUint64, uint64 } from "./bytes.ts";

const HASH_BYTES = 32;
/** A tag has 256 bits, so no path is longer. */
const DEPTH_MAX = 256;

/** What the index holds of a tag. */
export interface IndexedLeaf {
  readonly tag: Uint8Array;
  /** Of the first leaf with that tag in the log. */
  readonly index: number;
  readonly leafHash: Uint8Array;
}

export interface IndexProof {
  /** From the root's child down to where the path ends. */
  readonly siblings: readonly Uint8Array[];
  /** What stands at the end of the path: nothing, the tag's leaf, or another's. */
  readonly end: IndexedLeaf | undefined;
}

export function encodeIndexProof({ siblings, end }: IndexProof): Uint8Array {
  const depth = Uint8Array.of(siblings.length >> 8, siblings.length & 0xff);
  const tail = end
    ? [Uint8Array.of(1), end.tag, uint64(end.index), end.leafHash]
    : [Uint8Array.of(0)];
  return joined(depth, ...siblings, ...tail);
}

/** @returns undefined for bytes that are no proof. */
export function decodeIndexProof(bytes: Uint8Array): IndexProof | undefined {
  const depth = (bytes[0] ?? 0) * 256 + (bytes[1] ?? 0);
  if (depth > DEPTH_MAX) return undefined;
  const at = 2 + depth * HASH_BYTES;
  const siblings = Array.from({ length: depth }, (_, n) =>
    bytes.subarray(2 + n * HASH_BYTES, 2 + (n + 1) * HASH_BYTES),
  );
  if (bytes[at] === 0 && bytes.length === at + 1) return { siblings, end: undefined };
  if (bytes[at] !== 1 || bytes.length !== at + 1 + 72) return undefined;
  const index = readUint64(bytes, at + 33);
  if (index === undefined) return undefined;
  const tag = bytes.subarray(at + 1, at + 33);
  return { siblings, end: { tag, index, leafHash: bytes.subarray(at + 41) } };
}
