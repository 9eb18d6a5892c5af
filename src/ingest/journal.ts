/**
 * The admission journal: which numbers one group commit let in, as one small row in the same
 * transaction as the samples. So a commit of 100 envelopes of 50 devices costs one row of sequence
 * state, not 50; the rows are folded into the sessions' own rows every few seconds.
 *
 * Form: repeated `device(16) session(16) varint(count)`, then for each number `varint(number)
 * flags(1) hash(8) [leaf(32)]`. Flag 1: a leaf follows. Flag 2: a fork, its number was taken already.
 */
import { readVarint } from "./ranges.ts";

export interface JournalNumber {
  readonly number: number;
  /** First 8 bytes of SHA-256 of the envelope. */
  readonly hash: Uint8Array;
  /** Merkle leaf (32 bytes), where the session's salt was known and there is a batch. */
  readonly leaf: Uint8Array | undefined;
  readonly fork: boolean;
}

export interface JournalGroup {
  readonly deviceId: string;
  readonly sessionId: string;
  readonly numbers: readonly JournalNumber[];
}

export const HASH_BYTES = 8;
export const LEAF_BYTES = 32;
/** Numbers reach 2^53: 8 bytes of 7 bits. */
const VARINT_BYTES_MAX = 8;
const HEAD_BYTES_MAX = 16 + 16 + VARINT_BYTES_MAX;
const ENTRY_BYTES_MAX = VARINT_BYTES_MAX + 1 + HASH_BYTES + LEAF_BYTES;
const FLAG_LEAF = 1;
const FLAG_FORK = 2;

export function encodeJournal(groups: readonly JournalGroup[]): Buffer {
  let most = 0;
  for (const group of groups) most += HEAD_BYTES_MAX + group.numbers.length * ENTRY_BYTES_MAX;
  const out = Buffer.allocUnsafe(most);
  let at = 0;
  for (const group of groups) {
    at += uuidBytes(group.deviceId).copy(out, at);
    at += out.write(group.sessionId, at, "hex");
    at = writeVarint(out, at, group.numbers.length);
    for (const { number, hash, leaf, fork } of group.numbers) {
      at = writeVarint(out, at, number);
      out[at++] = (leaf ? FLAG_LEAF : 0) | (fork ? FLAG_FORK : 0);
      out.set(hash, at);
      at += HASH_BYTES;
      if (leaf === undefined) continue;
      out.set(leaf, at);
      at += LEAF_BYTES;
    }
  }
  return out.subarray(0, at);
}

function writeVarint(out: Buffer, from: number, value: number): number {
  let at = from;
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) out[at++] = (rest % 128) | 0x80;
  out[at++] = rest;
  return at;
}

/** @throws Error when the bytes are not what `encodeJournal` makes: the stored row was altered. */
export function decodeJournal(bytes: Uint8Array): JournalGroup[] {
  const groups: JournalGroup[] = [];
  let offset = 0;
  const take = (length: number) => {
    if (offset + length > bytes.length) throw new Error("journal: cut off");
    offset += length;
    return bytes.subarray(offset - length, offset);
  };
  const takeVarint = () => {
    const [value, next] = readVarint(bytes, offset);
    offset = next;
    return value;
  };
  while (offset < bytes.length) {
    const deviceId = uuidText(take(16));
    const sessionId = Buffer.from(take(16)).toString("hex");
    const count = takeVarint();
    const numbers: JournalNumber[] = [];
    for (let i = 0; i < count; i++) {
      const number = takeVarint();
      const flags = take(1)[0] as number;
      const hash = take(HASH_BYTES);
      const leaf = flags & FLAG_LEAF ? take(LEAF_BYTES) : undefined;
      numbers.push({ number, hash, leaf, fork: (flags & FLAG_FORK) !== 0 });
    }
    groups.push({ deviceId, sessionId, numbers });
  }
  return groups;
}

export function uuidBytes(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll("-", ""), "hex");
}

export function uuidText(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
