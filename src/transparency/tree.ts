/**
 * The Merkle tree of RFC 6962 §2 and RFC 9162 §2.1, over SHA-256. Sizes and indexes reach 2^53 - 1,
 * so halves are taken by division: JavaScript's shifts would cut them to 32 bits.
 */
import { hash } from "node:crypto";

const EMPTY_ROOT = sha256(new Uint8Array());

/** SHA-256 of the bytes: 32 bytes. By way of a string, since a result of its own outside the heap
 * costs more than the hash of an envelope. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return Buffer.from(hash("sha256", bytes, "latin1"), "latin1");
}

/** As `sha256`, written at a place of the caller's. */
export function sha256Into(bytes: Uint8Array, into: Buffer, at: number): void {
  into.write(hash("sha256", bytes, "latin1"), at, "latin1");
}

/** MTH of one entry: SHA-256(0x00 | entry) (RFC 9162 §2.1.1). */
export function leafHash(entry: Uint8Array): Uint8Array {
  const input = new Uint8Array(entry.length + 1);
  input.set(entry, 1);
  return sha256(input);
}

/** SHA-256(0x01 | left | right). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  const input = new Uint8Array(65);
  input[0] = 1;
  input.set(left, 1);
  input.set(right, 33);
  return sha256(input);
}

/** The largest power of two smaller than `size`, which is at least 2. */
export function splitOf(size: number): number {
  let split = 1;
  while (split * 2 < size) split *= 2;
  return split;
}

/** Root hash over the leaf hashes, in order; of none: SHA-256 of nothing. */
export function rootOf(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 0) return EMPTY_ROOT;
  let level: readonly Uint8Array[] = leaves;
  while (level.length > 1) {
    const above: Uint8Array[] = [];
    for (let i = 0; i + 1 < level.length; i += 2) above.push(nodeHash(level[i]!, level[i + 1]!));
    // An odd one out rises as it is: the same tree as splitting at the power of two.
    if (level.length % 2 === 1) above.push(level[level.length - 1]!);
    level = above;
  }
  return level[0]!;
}

/** The inclusion path of leaf `index`, lowest sibling first (RFC 9162 §2.1.3.1).
 * @throws RangeError for an index outside the tree. */
export function inclusionPath(leaves: readonly Uint8Array[], index: number): Uint8Array[] {
  if (!Number.isInteger(index) || index < 0 || index >= leaves.length) {
    throw new RangeError("the leaf index is outside the tree");
  }
  const path: Uint8Array[] = [];
  let level: readonly Uint8Array[] = leaves;
  let at = index;
  while (level.length > 1) {
    const sibling = at % 2 === 0 ? at + 1 : at - 1;
    if (sibling < level.length) path.push(level[sibling]!);
    const above: Uint8Array[] = [];
    for (let i = 0; i + 1 < level.length; i += 2) above.push(nodeHash(level[i]!, level[i + 1]!));
    if (level.length % 2 === 1) above.push(level[level.length - 1]!);
    level = above;
    at = Math.floor(at / 2);
  }
  return path;
}

/** The consistency path from the tree of the first `oldSize` leaves to all (RFC 9162 §2.1.4.1).
 * @throws RangeError for a size outside 1 to the number of leaves. */
export function consistencyPath(leaves: readonly Uint8Array[], oldSize: number): Uint8Array[] {
  if (!Number.isInteger(oldSize) || oldSize < 1 || oldSize > leaves.length) {
    throw new RangeError("the old size is outside the tree");
  }
  const path: Uint8Array[] = [];
  let from = 0;
  let size = leaves.length;
  let old = oldSize;
  let whole = true;
  const above: Uint8Array[] = [];
  while (old !== size) {
    const split = splitOf(size);
    if (old <= split) {
      above.push(rootOf(leaves.slice(from + split, from + size)));
      size = split;
    } else {
      above.push(rootOf(leaves.slice(from, from + split)));
      from += split;
      size -= split;
      old -= split;
      whole = false;
    }
  }
  if (!whole) path.push(rootOf(leaves.slice(from, from + size)));
  return path.concat(above.reverse());
}

/** Is the leaf at `index` of the tree with this size and root? (RFC 9162 §2.1.3.2) */
export function verifyInclusion(
  leaf: Uint8Array,
  index: number,
  size: number,
  path: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size)) return false;
  if (index < 0 || index >= size || leaf.length !== 32 || root.length !== 32) return false;
  let fn = index;
  let sn = size - 1;
  let r = leaf;
  for (const p of path) {
    if (p.length !== 32 || sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      r = nodeHash(p, r);
      while (fn % 2 === 0 && fn !== 0) {
        fn = Math.floor(fn / 2);
        sn = Math.floor(sn / 2);
      }
    } else {
      r = nodeHash(r, p);
    }
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  return sn === 0 && equalBytes(r, root);
}

/** Does the tree of `newSize` only add to that of `oldSize`? (RFC 9162 §2.1.4.2; size 0 is a prefix of all) */
export function verifyConsistency(
  oldSize: number,
  newSize: number,
  path: readonly Uint8Array[],
  oldRoot: Uint8Array,
  newRoot: Uint8Array,
): boolean {
  if (!Number.isSafeInteger(oldSize) || !Number.isSafeInteger(newSize)) return false;
  if (oldSize < 0 || oldSize > newSize) return false;
  if (path.some((p) => p.length !== 32)) return false;
  if (oldSize === newSize) return path.length === 0 && equalBytes(oldRoot, newRoot);
  if (oldSize === 0) return path.length === 0 && equalBytes(oldRoot, EMPTY_ROOT);
  if (path.length === 0) return false;
  const steps = isPowerOfTwo(oldSize) ? [oldRoot, ...path] : [...path];
  let fn = oldSize - 1;
  let sn = newSize - 1;
  while (fn % 2 === 1) {
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  let fr = steps[0]!;
  let sr = steps[0]!;
  for (const c of steps.slice(1)) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      fr = nodeHash(c, fr);
      sr = nodeHash(c, sr);
      while (fn % 2 === 0 && fn !== 0) {
        fn = Math.floor(fn / 2);
        sn = Math.floor(sn / 2);
      }
    } else {
      sr = nodeHash(sr, c);
    }
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  return sn === 0 && equalBytes(fr, oldRoot) && equalBytes(sr, newRoot);
}

function isPowerOfTwo(size: number): boolean {
  let power = 1;
  while (power < size) power *= 2;
  return power === size;
}

/** Not constant in time: for public values only. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
