/**
 * One record of the spool: `length(4) | crc32(4) | kind(1) session(16) sequence(8) | bytes`, big-endian.
 * The check sum covers everything after it, and the length everything after the check sum.
 */
import { crc32 } from "node:zlib";
import { fromHex, hex } from "../envelope/envelope.ts";

const HEAD_BYTES = 8;
const META_BYTES = 25;
const RECORD_BYTES_MAX = 1 << 20;
/** Bytes of a record beside what it keeps. */
export const RECORD_HEAD_BYTES = HEAD_BYTES + META_BYTES;

const KINDS = { opening: 1, envelope: 2, block: 3, bridge: 4 } as const;
const NAMES = new Map(Object.entries(KINDS).map(([name, byte]) => [byte as number, name]));

/** "block": an envelope with a signed block. "bridge": an envelope of an older number, written again when
 * those around it had to go. */
export type RecordKind = keyof typeof KINDS;

export interface SpoolRecord {
  kind: RecordKind;
  sessionId: string;
  /** 0 for an opening. */
  sequence: number;
  /** Where its bytes begin and end in the file. */
  offset: number;
  end: number;
}

export function writeRecord(
  kind: RecordKind,
  sessionId: string,
  sequence: number,
  bytes: Uint8Array,
): Buffer {
  const record = Buffer.alloc(RECORD_HEAD_BYTES + bytes.length);
  record.writeUInt32BE(META_BYTES + bytes.length, 0);
  record[HEAD_BYTES] = KINDS[kind];
  record.set(fromHex(sessionId), 9);
  record.writeBigUInt64BE(BigInt(sequence), 25);
  record.set(bytes, RECORD_HEAD_BYTES);
  record.writeUInt32BE(crc32(record.subarray(HEAD_BYTES)), 4);
  return record;
}

/** @returns the record at `at`, or undefined when none is whole there. */
export function recordAt(file: Buffer, at: number): SpoolRecord | undefined {
  const offset = at + RECORD_HEAD_BYTES;
  if (offset > file.length) return undefined;
  const length = file.readUInt32BE(at);
  const end = at + HEAD_BYTES + length;
  if (length < META_BYTES || length > RECORD_BYTES_MAX || end > file.length) return undefined;
  const kind = NAMES.get(file[at + HEAD_BYTES] ?? 0) as RecordKind | undefined;
  if (kind === undefined) return undefined;
  if (crc32(file.subarray(at + HEAD_BYTES, end)) !== file.readUInt32BE(at + 4)) return undefined;
  const sessionId = hex(file.subarray(at + 9, at + 25));
  return { kind, sessionId, sequence: Number(file.readBigUInt64BE(at + 25)), offset, end };
}

/** @returns where the next whole record begins. Its length may be what is damaged: any byte may be it. */
export function nextRecord(file: Buffer, from: number): number | undefined {
  for (let at = from; at + RECORD_HEAD_BYTES <= file.length; at++) {
    if (recordAt(file, at) !== undefined) return at;
  }
  return undefined;
}
