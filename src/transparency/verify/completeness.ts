/**
 * Judges that these are all of a subject's entries, offline: in every shard the cosigned checkpoint ends in an index
 * root, and that index holds the subject's last tag and none of the next ones; the hidden chain leads from the last
 * leaf to the first.
 *
 * What is still assumed: an honest quorum of witnesses, somebody who makes the index again from the leaves, and that
 * the log did not jump more than `TAGS_AHEAD` numbers ahead.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { joined, uint64, utf8 } from "../bytes.ts";
import type { IndexProof } from "../index-proof.ts";
import { decodeIndexRootLeaf, type IndexRoot, type LogEntry } from "../leaf-format.ts";
import { type CheckpointPolicy, verifyCheckpoint } from "./checkpoint.ts";
import { type Opening, type ShardHead, tagOf, walkHistory } from "./history.ts";
import { verifyIndexProof } from "./index-proof.ts";
import { isIncluded, isSame, leafHashOf } from "./tree.ts";

/** How many numbers after the last must be absent. */
export const TAGS_AHEAD = 8;

/** What a shard shows. Nothing in it is believed. */
export interface ShardEvidence {
  /** A signed checkpoint of the shard. */
  readonly checkpoint: string;
  /** Its last leaf, and the path to it. */
  readonly indexRootLeaf: Uint8Array;
  readonly path: readonly Uint8Array[];
  /** Of the tag of the next shard's opening. */
  readonly nextShard: IndexProof;
  /** Of the subject's last tag there; missing where it has none. */
  readonly last?: IndexProof;
  /** Of the `TAGS_AHEAD` tags after it. */
  readonly ahead: readonly IndexProof[];
}

export type CompletenessReason =
  | "chain" // an opening is missing, out of order or no entry
  | "shards" // a shard with entries is not shown, or a newer one exists
  | "checkpoint"
  | "index-root"
  | "last-entry" // the chain does not end where the index says
  | "more-entries"; // the index has, or may have, entries after the last one shown

export interface CompletenessVerdict {
  readonly holds: boolean;
  readonly reason?: CompletenessReason;
  /** The shard that it is about. */
  readonly shard?: number;
  /** To be believed only when `holds`. */
  readonly entries: readonly LogEntry[];
}

/** Judges; throws for nothing that somebody could have written.
 * @param log its name without the shard. @param openings all of the subject's, oldest first.
 * @param shards from shard 0 to the newest. @param policyOf each shard, whose log keys bear its own name; the newest
 * one's checkpoint must be fresh.
 * @param nowS POSIX seconds. */
export async function verifyCompleteness(o: {
  key: Uint8Array;
  log: string;
  openings: readonly Opening[];
  shards: readonly ShardEvidence[];
  policyOf: (shard: number) => Omit<CheckpointPolicy, "origin">;
  nowS: number;
}): Promise<CompletenessVerdict> {
  const walked = walkHistory(o.key, o.log, o.openings);
  if (walked === undefined) return { holds: false, reason: "chain", entries: [] };
  const { entries, heads } = walked;
  if (o.shards.length === 0 || heads.some(({ shard }) => shard >= o.shards.length)) {
    return { holds: false, reason: "shards", entries };
  }
  for (const [shard, evidence] of o.shards.entries()) {
    const isNewest = shard === o.shards.length - 1;
    const origin = `${o.log}/${shard}`;
    // A closed shard gets no more cosignatures; that it is closed is in its index.
    const given = o.policyOf(shard);
    const freshWithinS = isNewest ? given.freshWithinS : Number.POSITIVE_INFINITY;
    const policy = { ...given, origin, freshWithinS };
    const head = heads.find((one) => one.shard === shard);
    const reason = await shardReason({ ...o, shard, evidence, policy, head, isNewest });
    if (reason !== undefined) return { holds: false, reason, shard, entries };
  }
  return { holds: true, entries };
}

async function shardReason(o: {
  key: Uint8Array;
  log: string;
  shard: number;
  evidence: ShardEvidence;
  policy: CheckpointPolicy;
  head: ShardHead | undefined;
  isNewest: boolean;
  nowS: number;
}): Promise<CompletenessReason | undefined> {
  const { evidence, shard } = o;
  const { holds, checkpoint } = await verifyCheckpoint(evidence.checkpoint, o.policy, o.nowS);
  if (!holds || checkpoint === undefined) return "checkpoint";
  const { size, root } = checkpoint;
  const index = closingIndex(evidence, size, root);
  if (index === undefined) return "index-root";

  const next = verifyIndexProof(nextShardTag(o.log, shard), evidence.nextShard, index.root);
  if (o.isNewest ? next.verdict !== "absent" : next.verdict !== "present") return "shards";
  // After the leaf that closes a shard nothing follows but the index root.
  if (next.verdict === "present" && next.index !== index.covered - 1) return "shards";

  const count = o.head?.count ?? 0;
  if (o.head !== undefined) {
    const last = evidence.last && verifyIndexProof(o.head.tag, evidence.last, index.root);
    if (last?.verdict !== "present" || !isSame(last.leafHash, o.head.leafHash)) return "last-entry";
  }
  for (let n = 0; n < TAGS_AHEAD; n += 1) {
    const proof = evidence.ahead[n];
    const tag = tagOf(o.key, o.log, shard, count + n);
    if (proof === undefined) return "more-entries";
    if (verifyIndexProof(tag, proof, index.root).verdict !== "absent") return "more-entries";
  }
  return undefined;
}

/** The index root that closes a checkpoint; undefined unless it is its last leaf and covers all others. */
function closingIndex(
  { indexRootLeaf, path }: ShardEvidence,
  size: number,
  root: Uint8Array,
): IndexRoot | undefined {
  const index = decodeIndexRootLeaf(indexRootLeaf);
  if (index === undefined || index.covered !== size - 1) return undefined;
  return isIncluded(leafHashOf(indexRootLeaf), size - 1, size, path, root) ? index : undefined;
}

/** The tag under which a shard's index shows that the next one was opened. */
export function nextShardTag(log: string, shard: number): Uint8Array {
  const name = utf8(log);
  const domain = utf8("vitalward/1 log next shard\0");
  return sha256(joined(domain, Uint8Array.of(name.length), name, uint64(shard + 1)));
}
