import type { IndexProof } from "../../src/transparency/index-proof.ts";

/** The same bytes under the hash, cut one byte later: the tag takes the index' first byte, the index the leaf hash's.
 * Whoever does not check the lengths takes the tag for another one, and so for absent. */
export function cutLater({ siblings, end }: IndexProof): IndexProof {
  if (end === undefined) return { siblings, end };
  const tag = Uint8Array.from([...end.tag, 0]); // u64 of a small number begins with a zero byte
  const index = end.index * 256 + end.leafHash[0]!;
  return { siblings, end: { tag, index, leafHash: end.leafHash.slice(1) } };
}
