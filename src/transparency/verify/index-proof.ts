/** Judges a proof of the index against the index root that a checkpoint is closed with. */
import { sha256 } from "@noble/hashes/sha2.js";
import { joined, uint64 } from "../bytes.ts";
import type { IndexedLeaf, IndexProof } from "../index-proof.ts";
import { isSame } from "./tree.ts";

export type IndexVerdict =
  | { readonly verdict: "present"; readonly index: number; readonly leafHash: Uint8Array }
  | { readonly verdict: "absent" }
  | { readonly verdict: "invalid" };

const INVALID: IndexVerdict = { verdict: "invalid" };

/** Judges; throws for nothing that somebody could have written. */
export function verifyIndexProof(
  tag: Uint8Array,
  proof: IndexProof,
  root: Uint8Array,
): IndexVerdict {
  const { siblings, end } = proof;
  const bits = bitsOf(tag);
  if (tag.length !== 32 || siblings.length > 256) return INVALID;
  if (siblings.some((sibling) => sibling.length !== 32)) return INVALID;
  if (end && !isWellFormed(end)) return INVALID;
  // Another's leaf proves absence only where the tag itself would stand.
  if (end && !bitsOf(end.tag).startsWith(bits.slice(0, siblings.length))) return INVALID;
  let hash = end
    ? sha256(joined(Uint8Array.of(2), end.tag, uint64(end.index), end.leafHash))
    : new Uint8Array(32);
  for (let depth = siblings.length - 1; depth >= 0; depth -= 1) {
    const sibling = siblings[depth]!;
    hash =
      bits[depth] === "1"
        ? sha256(joined(Uint8Array.of(3), sibling, hash))
        : sha256(joined(Uint8Array.of(3), hash, sibling));
  }
  if (!isSame(hash, root)) return INVALID;
  if (end === undefined || !isSame(end.tag, tag)) return { verdict: "absent" };
  return { verdict: "present", index: end.index, leafHash: end.leafHash };
}

/** Under the hash the fields stand without a mark between them: at other lengths the same bytes say another tag. */
function isWellFormed({ tag, index, leafHash }: IndexedLeaf): boolean {
  return tag.length === 32 && leafHash.length === 32 && Number.isSafeInteger(index) && index >= 0;
}

function bitsOf(tag: Uint8Array): string {
  return Array.from(tag, (byte) => byte.toString(2).padStart(8, "0")).join("");
}
