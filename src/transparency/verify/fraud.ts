/**
 * Judges a proof that a log's operator cheated with the index: a leaf that the checkpoint contains, and that its own
 * index proves absent or assigns to a later leaf. Whoever has the files can check it; a mirror that makes the index
 * again finds such a leaf wherever the roots differ.
 */
import type { IndexProof } from "../index-proof.ts";
import { decodeIndexRootLeaf, decodeLeaf } from "../leaf-format.ts";
import { type CheckpointPolicy, verifyCheckpoint } from "./checkpoint.ts";
import { verifyIndexProof } from "./index-proof.ts";
import { isIncluded, isSame, leafHashOf } from "./tree.ts";

/** Nothing in it is believed. */
export interface IndexFraud {
  /** A signed checkpoint. */
  readonly checkpoint: string;
  /** Its last leaf, and the path to it. */
  readonly indexRootLeaf: Uint8Array;
  readonly indexRootPath: readonly Uint8Array[];
  /** The leaf that the index should have, and the path to it. */
  readonly leaf: Uint8Array;
  readonly index: number;
  readonly path: readonly Uint8Array[];
  /** Of the leaf's tag. */
  readonly proof: IndexProof;
}

/** "absent": the index lacks the leaf's tag. "later": it has the tag for a leaf after this one, or for this one with
 * another hash. @param policy the log's own signature is what convicts; witnesses may be left out (quorum 0). */
export async function verifyIndexFraud(
  fraud: IndexFraud,
  policy: CheckpointPolicy,
  nowS: number,
): Promise<"absent" | "later" | undefined> {
  const { holds, checkpoint } = await verifyCheckpoint(fraud.checkpoint, policy, nowS);
  if (!holds || checkpoint === undefined) return undefined;
  const { size, root } = checkpoint;
  const closing = decodeIndexRootLeaf(fraud.indexRootLeaf);
  const closingHash = leafHashOf(fraud.indexRootLeaf);
  if (closing === undefined) return undefined;
  if (!isIncluded(closingHash, size - 1, size, fraud.indexRootPath, root)) return undefined;
  const leaf = decodeLeaf(fraud.leaf);
  const leafHash = leafHashOf(fraud.leaf);
  // A revocation is indexed under a condition of its own (docs/log.md §5); to keep this plain it convicts nobody.
  if (leaf?.class !== "event" && leaf?.class !== "governance") return undefined;
  if (fraud.index >= closing.covered) return undefined;
  if (!isIncluded(leafHash, fraud.index, size, fraud.path, root)) return undefined;
  const found = verifyIndexProof(leaf.tag, fraud.proof, closing.root);
  if (found.verdict === "absent") return "absent";
  if (found.verdict !== "present" || found.index < fraud.index) return undefined;
  // An earlier leaf with this tag would be right: the first counts. Whether it has the tag is not asked, so an index
  // that names an earlier leaf convicts nobody here (docs/log.md §5).
  return found.index === fraud.index && isSame(found.leafHash, leafHash) ? undefined : "later";
}
