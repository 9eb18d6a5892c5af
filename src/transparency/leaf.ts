/**
 * Makes leaves. Those of one subject (a patient, or the organisation itself) form a chain that only the subject's
 * audit key shows: to everybody else each leaf is three random strings.
 *
 * Lost key: tags, commitments and links of that subject are random strings for ever, and every Merkle proof and
 * checkpoint still verifies; that is what erasure does. Stolen key: who holds it can tell the subject's leaves from
 * others, and can forge none without the log's signing key.
 * @see docs/log.md §3 and §4.
 */
import { createHmac, hash } from "node:crypto";
import { joined, uint64, utf8 } from "./bytes.ts";
import { encodeEntry, encodeLeaf, type LogEntry } from "./leaf-format.ts";
import { leafHash } from "./tree.ts";

const COMMIT_DOMAIN = utf8("vitalward/1 log commit\0");
const BASIS_DOMAIN = utf8("vitalward/1 log basis state\0");

/** Where in a subject's chain a leaf stands. */
export interface ChainPlace {
  /** The log's name without the shard, at most 255 bytes of UTF-8. */
  readonly log: string;
  /** Counted from 0. */
  readonly shard: number;
  /** Counts the subject's leaves in this shard from 0; assigned when the leaf is sequenced, never before. */
  readonly n: number;
}

/** What precedes the first leaf of all. */
export const CHAIN_START = new Uint8Array(32);

export interface ChainedLeaf {
  /** 107 bytes: the log's entry. */
  readonly leaf: Uint8Array;
  /** RFC 6962's hash of it: the next leaf of the chain commits to this. */
  readonly leafHash: Uint8Array;
  readonly tag: Uint8Array;
  /** What the database keeps encrypted; the leaf commits to these bytes. */
  readonly payload: Uint8Array;
}

/** The subject's next leaf.
 * @param key of the subject, 32 random bytes. @param previous leaf hash of the subject's leaf before this one, which
 * may lie in an earlier shard; CHAIN_START for the first of all.
 * @param state the shared state that the decision relied on, in bytes that can be made again.
 * @throws RangeError for a key, hash or place that is none. */
export function chainedLeaf(o: {
  key: Uint8Array;
  place: ChainPlace;
  previous: Uint8Array;
  entry: LogEntry;
  state: Uint8Array;
  class?: "event" | "governance";
}): ChainedLeaf {
  if (o.key.length !== 32 || o.previous.length !== 32) throw new RangeError("32 bytes are wanted");
  const payload = encodeEntry(o.entry);
  const tag = chainTag(o.key, o.place);
  const link = derived(o.key, "link", o.place, o.previous);
  const nonce = derived(o.key, "nonce", o.place);
  const salt = derived(o.key, "basis", o.place);
  const leaf = encodeLeaf({
    class: o.class ?? "event",
    tag,
    commit: sha256(COMMIT_DOMAIN, nonce, link, payload),
    basis: sha256(BASIS_DOMAIN, salt, o.state),
  });
  return { leaf, leafHash: leafHash(leaf), tag, payload };
}

/** The tag under which the index keeps that leaf. */
export function chainTag(key: Uint8Array, place: ChainPlace): Uint8Array {
  return derived(key, "tag", place);
}

/** Publishes what a credential's handle is the hash of: from then on the credential is revoked. Tells nothing else.
 * @param secret 32 random bytes, known to whoever may revoke. */
export function revocationLeaf(secret: Uint8Array): Uint8Array {
  if (secret.length !== 32) throw new RangeError("32 bytes are wanted");
  return encodeLeaf({
    class: "revocation",
    tag: sha256(secret),
    commit: secret,
    basis: new Uint8Array(32),
  });
}

/** The last event-like leaf of a shard that is closed: only an index root follows it. As the index shows its tag
 * present in a closed shard and absent in the newest, no shard can be hidden.
 * @param shard the one that is closed. */
export function nextShardLeaf(log: string, shard: number): Uint8Array {
  return encodeLeaf({
    class: "governance",
    tag: sha256(utf8("vitalward/1 log next shard\0"), placeOf(log), uint64(shard + 1)),
    commit: new Uint8Array(32),
    basis: new Uint8Array(32),
  });
}

function derived(
  key: Uint8Array,
  label: "tag" | "nonce" | "basis" | "link",
  { log, shard, n }: ChainPlace,
  previous: Uint8Array = new Uint8Array(),
): Uint8Array {
  const place = joined(placeOf(log), uint64(shard), uint64(n));
  return createHmac("sha256", key)
    .update(joined(utf8(`vitalward/1 log ${label}\0`), place, previous))
    .digest();
}

function placeOf(log: string): Uint8Array {
  const name = utf8(log);
  if (name.length === 0 || name.length > 255) throw new RangeError("not a log's name");
  return joined(Uint8Array.of(name.length), name);
}

function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  return hash("sha256", joined(...parts), "buffer");
}
