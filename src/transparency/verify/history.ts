/**
 * Walks a subject's hidden chain: makes every leaf again from its key and the opened entries, each committing to the
 * one before. Whether the last leaf is in a log, and is the last, is `completeness.ts`' question.
 */
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { joined, uint64, utf8 } from "../bytes.ts";
import { decodeEntry, encodeLeaf, type LogEntry } from "../leaf-format.ts";
import { leafHashOf } from "./tree.ts";

/** An entry as its subject receives it. Nothing in it is believed. */
export interface Opening {
  readonly shard: number;
  readonly n: number;
  readonly class: "event" | "governance";
  /** The entry, decrypted, byte for byte. */
  readonly payload: Uint8Array;
  /** 32 bytes of the leaf, or the state that they hide where the log shows it. */
  readonly basis: Uint8Array | { readonly state: Uint8Array };
}

export interface ShardHead {
  readonly shard: number;
  /** How many leaves of the subject the shard has: the next one would be number `count`. */
  readonly count: number;
  /** Of the last of them. */
  readonly tag: Uint8Array;
  readonly leafHash: Uint8Array;
}

export interface Walked {
  readonly entries: readonly LogEntry[];
  /** In the order of the openings. */
  readonly leafHashes: readonly Uint8Array[];
  /** One for each shard that has leaves of the subject. */
  readonly heads: readonly ShardHead[];
}

/** @param openings oldest first, from the first of the first shard on.
 * @returns undefined where a number is missing, doubled or out of order, or an entry is none. A changed entry shows in
 * the leaf hashes from there on. */
export function walkHistory(
  key: Uint8Array,
  log: string,
  openings: readonly Opening[],
): Walked | undefined {
  const entries: LogEntry[] = [];
  const leafHashes: Uint8Array[] = [];
  const heads: ShardHead[] = [];
  let previous: Uint8Array = new Uint8Array(32);
  for (const opening of openings) {
    const head = heads.at(-1);
    const isNext =
      head !== undefined && opening.shard === head.shard
        ? opening.n === head.count
        : opening.n === 0 && opening.shard > (head?.shard ?? -1);
    const entry = decodeEntry(opening.payload);
    if (!isNext || entry === undefined || !isPlace(opening)) return undefined;
    const leaf = leafOf(key, log, opening, previous);
    if (leaf === undefined) return undefined;
    previous = leafHashOf(leaf);
    entries.push(entry);
    leafHashes.push(previous);
    const { shard, n } = opening;
    const next = { shard, count: n + 1, tag: leaf.subarray(2, 34), leafHash: previous };
    if (head?.shard === shard) heads.pop();
    heads.push(next);
  }
  return { entries, leafHashes, heads };
}

/** The tag that the subject's leaf number n of a shard has, or would have. */
export function tagOf(key: Uint8Array, log: string, shard: number, n: number): Uint8Array {
  return secretOf(key, "tag", log, shard, n);
}

function leafOf(
  key: Uint8Array,
  log: string,
  opening: Opening,
  previous: Uint8Array,
): Uint8Array | undefined {
  const { shard, n, payload, basis } = opening;
  const nonce = secretOf(key, "nonce", log, shard, n);
  const link = secretOf(key, "link", log, shard, n, previous);
  const salt = secretOf(key, "basis", log, shard, n);
  const shown =
    basis instanceof Uint8Array
      ? basis
      : sha256(joined(utf8("vitalward/1 log basis state\0"), salt, basis.state));
  if (shown.length !== 32) return undefined;
  return encodeLeaf({
    class: opening.class,
    tag: tagOf(key, log, shard, n),
    commit: sha256(joined(utf8("vitalward/1 log commit\0"), nonce, link, payload)),
    basis: shown,
  });
}

function secretOf(
  key: Uint8Array,
  label: string,
  log: string,
  shard: number,
  n: number,
  tail: Uint8Array = new Uint8Array(),
): Uint8Array {
  const name = utf8(log);
  const message = [utf8(`vitalward/1 log ${label}\0`), Uint8Array.of(name.length), name];
  return hmac(sha256, key, joined(...message, uint64(shard), uint64(n), tail));
}

function isPlace({ shard, n }: Opening): boolean {
  return [shard, n].every((number) => Number.isSafeInteger(number) && number >= 0);
}
