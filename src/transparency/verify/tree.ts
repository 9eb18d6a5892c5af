/**
 * Checks inclusion and consistency proofs by the recursive definitions of RFC 6962 §2.1, with a synchronous SHA-256
 * for browsers. The writer's `tree.ts` does the same by RFC 9162's loops; neither knows the other.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { joined, toHex } from "../bytes.ts";

export const EMPTY_ROOT = sha256(new Uint8Array());

/** SHA-256(0x00 | entry). */
export function leafHashOf(entry: Uint8Array): Uint8Array {
  return sha256(joined(Uint8Array.of(0), entry));
}

function nodeHashOf(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(joined(Uint8Array.of(1), left, right));
}

/** Is the leaf hash the one at `index` of the tree with this size and root? */
export function isIncluded(
  leafHash: Uint8Array,
  index: number,
  size: number,
  path: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size)) return false;
  if (index < 0 || index >= size || leafHash.length !== 32 || !areHashes(path)) return false;
  const left = [...path];
  const found = rootOver(leafHash, index, size, left);
  return found !== undefined && left.length === 0 && isSame(found, root);
}

/** Uses up the path from its end, which is the top of the tree. */
function rootOver(
  leafHash: Uint8Array,
  index: number,
  size: number,
  path: Uint8Array[],
): Uint8Array | undefined {
  if (size === 1) return leafHash;
  const sibling = path.pop();
  if (sibling === undefined) return undefined;
  const split = largestPowerBelow(size);
  if (index < split) {
    const below = rootOver(leafHash, index, split, path);
    return below && nodeHashOf(below, sibling);
  }
  const below = rootOver(leafHash, index - split, size - split, path);
  return below && nodeHashOf(sibling, below);
}

/** Does the tree of `newSize` only add to that of `oldSize`? */
export function isConsistent(
  oldSize: number,
  newSize: number,
  path: readonly Uint8Array[],
  oldRoot: Uint8Array,
  newRoot: Uint8Array,
): boolean {
  if (!Number.isSafeInteger(oldSize) || !Number.isSafeInteger(newSize)) return false;
  if (oldSize < 0 || oldSize > newSize || !areHashes(path)) return false;
  if (oldSize === newSize) return path.length === 0 && isSame(oldRoot, newRoot);
  if (oldSize === 0) return path.length === 0 && isSame(oldRoot, EMPTY_ROOT);
  const left = [...path];
  const found = rootsOver(oldSize, newSize, true, left, oldRoot);
  return (
    found !== undefined &&
    left.length === 0 &&
    isSame(found.old, oldRoot) &&
    isSame(found.new, newRoot)
  );
}

/** SUBPROOF of RFC 6962 §2.1.2, read backwards. @param isStart whether this subtree starts the whole tree. */
function rootsOver(
  oldSize: number,
  size: number,
  isStart: boolean,
  path: Uint8Array[],
  oldRoot: Uint8Array,
): { old: Uint8Array; new: Uint8Array } | undefined {
  if (oldSize === size) {
    const hash = isStart ? oldRoot : path.pop();
    return hash && { old: hash, new: hash };
  }
  const sibling = path.pop();
  if (sibling === undefined) return undefined;
  const split = largestPowerBelow(size);
  if (oldSize <= split) {
    const below = rootsOver(oldSize, split, isStart, path, oldRoot);
    return below && { old: below.old, new: nodeHashOf(below.new, sibling) };
  }
  const below = rootsOver(oldSize - split, size - split, false, path, oldRoot);
  return below && { old: nodeHashOf(sibling, below.old), new: nodeHashOf(sibling, below.new) };
}

function largestPowerBelow(size: number): number {
  let power = 1;
  while (power * 2 < size) power *= 2;
  return power;
}

function areHashes(path: readonly Uint8Array[]): boolean {
  return path.every((hash) => hash.length === 32);
}

/** Not constant in time: for public values only. */
export function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return toHex(a) === toHex(b);
}
