/** Judges a proof file: the leaf is in the log, and a quorum of witnesses saw the log with it. */
import { parseProofFile } from "../proof-file.ts";
import { type CheckpointPolicy, type CheckpointVerdict, verifyCheckpoint } from "./checkpoint.ts";
import { isIncluded, leafHashOf } from "./tree.ts";

export interface ProofFileVerdict {
  readonly holds: boolean;
  readonly reason?: "malformed" | "checkpoint" | "not-included";
  readonly index?: number;
  /** As carried in the file; authenticated by nothing. */
  readonly extra?: Uint8Array;
  readonly checkpoint?: CheckpointVerdict;
}

/** Judges; throws for nothing that somebody could have written.
 * @param entry the log's entry: a leaf of 107 bytes for our logs.
 * @param policy with `freshWithinS` Infinity, the usual choice here, an old proof stays good.
 * @param nowS POSIX seconds. */
export async function verifyProofFile(
  given: string,
  entry: Uint8Array,
  policy: CheckpointPolicy,
  nowS: number,
): Promise<ProofFileVerdict> {
  const proof = parseProofFile(given);
  if (proof === undefined) return { holds: false, reason: "malformed" };
  const { index, path, extra } = proof;
  const checkpoint = await verifyCheckpoint(proof.checkpoint, policy, nowS);
  const told = { index, checkpoint, ...(extra !== undefined && { extra }) };
  if (!checkpoint.holds || checkpoint.checkpoint === undefined) {
    return { holds: false, reason: "checkpoint", ...told };
  }
  const { size, root } = checkpoint.checkpoint;
  const isThere = isIncluded(leafHashOf(entry), index, size, path, root);
  return isThere ? { holds: true, ...told } : { holds: false, reason: "not-included", ...told };
}
