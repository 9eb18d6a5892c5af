/**
 * The spool: sealed bytes that the platform has not yet said it keeps. Append-only segment files of
 * records `length(4) | crc32(4) | kind(1) session(16) sequence(8) | bytes`, big-endian. It is bounded:
 * past its size the oldest segment goes, and the numbers in it become a stated gap. Segments end only
 * after an envelope with a signed block, so that what goes takes whole blocks.
 *
 * If lost: readings not yet received are lost, and their numbers show as a gap. If read by a thief:
 * sealed bytes. If altered: a record fails its check sum, or the platform refuses it.
 */
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  truncateSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { fromHex, hex } from "../envelope/envelope.ts";
import { syncFolder } from "./files.ts";

const HEAD_BYTES = 8;
const META_BYTES = 25;
const KIND_OPENING = 1;
const KIND_ENVELOPE = 2;
const RECORD_BYTES_MAX = 1 << 20;
const ENDING = ".spool";
/** Larger envelopes are not kept in memory too. */
const FRESH_BYTES_MAX = 4_096;

/** One envelope in the spool. */
export interface Held {
  sessionId: string;
  sequence: number;
  segment: Segment;
  offset: number;
  length: number;
  /** When it is to be handed to a transport (again), monotonic ms; 0 = at once. */
  dueMs: number;
  /** How often it was handed over on this connection. */
  attempts: number;
  /** The sealed bytes while they are fresh; later they are read from the file. */
  bytes: Uint8Array | undefined;
}

interface Segment {
  path: string;
  bytes: number;
  held: number;
  /** All envelopes in it, settled or not. */
  envelopes: Held[];
}

export interface SpoolOptions {
  folder: string;
  /** Most bytes on disk, all segments together. */
  bytesMax: number;
  /** "each": every record is on the medium before it is sent; "interval": see `sync()`. */
  durability: "each" | "interval";
}

export class Spool {
  readonly #o: SpoolOptions;
  readonly #segmentBytes: number;
  readonly #segments: Segment[] = [];
  /** By session, then number. */
  readonly #held = new Map<string, Map<number, Held>>();
  /** Openings on prekeys, kept as long as an envelope of theirs is. */
  readonly #openings = new Map<string, Uint8Array>();
  #file: number | undefined;
  #bytes = 0;
  #nextFile = 1;
  #unsynced = false;
  /** Numbers whose records an earlier run wrote and that do not read any more, as [from, to] pairs. */
  readonly lost: [number, number][] = [];
  /** The end of the newest file did not read and is cut off: numbers after `tail` may have been used. */
  readonly isTorn: boolean = false;
  #lastRead: number | undefined;
  #isSkipped = false;
  /** Last envelope found at the start. */
  readonly tail: { sequence: number; sessionId: string; bytes: Uint8Array } | undefined;

  constructor(o: SpoolOptions) {
    this.#o = o;
    this.#segmentBytes = Math.max(16_384, Math.floor(o.bytesMax / 64));
    mkdirSync(o.folder, { recursive: true, mode: 0o700 });
    let tail: { sequence: number; sessionId: string; bytes: Uint8Array } | undefined;
    const names = readdirSync(o.folder).filter((name) => name.endsWith(ENDING));
    for (const name of names.sort()) {
      const { last, cutAt } = this.#readSegment(join(o.folder, name), name === names.at(-1));
      if (cutAt !== undefined) this.isTorn = true;
      if (last !== undefined && (tail === undefined || last.sequence > tail.sequence)) tail = last;
      this.#nextFile = Number.parseInt(name, 10) + 1;
    }
    this.tail = tail;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Envelopes that wait for a receipt. */
  get count(): number {
    let count = 0;
    for (const held of this.#held.values()) count += held.size;
    return count;
  }

  /** Everything held, oldest session first, by number. */
  *held(): IterableIterator<Held> {
    for (const session of this.#held.values()) yield* session.values();
  }

  /** Of one session, by number; may be settled while walking. */
  heldOf(sessionId: string): Iterable<Held> {
    return this.#held.get(sessionId)?.values() ?? [];
  }

  holds(sessionId: string, sequence: number): boolean {
    return this.#held.get(sessionId)?.has(sequence) === true;
  }

  opening(sessionId: string): Uint8Array | undefined {
    return this.#openings.get(sessionId);
  }

  /** Keeps the opening of a session that the platform may not know yet. */
  keepOpening(sessionId: string, opening: Uint8Array): void {
    this.#openings.set(sessionId, opening);
    this.#write(KIND_OPENING, sessionId, 0, opening);
  }

  /** Appends one sealed envelope.
   * @param endsBlock it carries a signed block: a new segment may begin after it.
   * @returns numbers that had to go to make room, as [from, to] pairs.
   * @throws Error of the file system; `holds` says whether the envelope is kept nevertheless. */
  append(sessionId: string, sequence: number, envelope: Uint8Array, endsBlock: boolean) {
    const { segment, offset } = this.#write(KIND_ENVELOPE, sessionId, sequence, envelope);
    const length = envelope.length;
    const bytes = envelope.length <= FRESH_BYTES_MAX ? envelope : undefined;
    if (this.#o.durability === "each") {
      try {
        this.sync();
      } catch (error) {
        this.#cutBack(segment, length);
        throw error;
      }
    }
    this.#hold({ sessionId, sequence, segment, offset, length, dueMs: 0, attempts: 0, bytes });
    const full = segment.bytes >= this.#segmentBytes;
    if ((full && endsBlock) || segment.bytes >= this.#segmentBytes * 4) this.#roll();
    return this.#makeRoom();
  }

  #hold(held: Held): void {
    held.segment.envelopes.push(held);
    held.segment.held++;
    const session = this.#held.get(held.sessionId) ?? new Map<number, Held>();
    session.set(held.sequence, held);
    this.#held.set(held.sessionId, session);
  }

  #write(kind: number, sessionId: string, sequence: number, bytes: Uint8Array) {
    const segment = this.#openSegment();
    const record = Buffer.alloc(HEAD_BYTES + META_BYTES + bytes.length);
    record.writeUInt32BE(META_BYTES + bytes.length, 0);
    record[8] = kind;
    record.set(fromHex(sessionId), 9);
    record.writeBigUInt64BE(BigInt(sequence), 25);
    record.set(bytes, HEAD_BYTES + META_BYTES);
    record.writeUInt32BE(crc32(record.subarray(HEAD_BYTES)), 4);
    for (let at = 0; at < record.length; ) {
      at += writeSync(this.#file!, record, at, record.length - at, segment.bytes + at);
    }
    const offset = segment.bytes + HEAD_BYTES + META_BYTES;
    segment.bytes += record.length;
    this.#bytes += record.length;
    this.#unsynced = true;
    return { segment, offset };
  }

  /** The record just written is not on the medium: the next one takes its place. */
  #cutBack(segment: Segment, length: number): void {
    const bytes = HEAD_BYTES + META_BYTES + length;
    segment.bytes -= bytes;
    this.#bytes -= bytes;
    ftruncateSync(this.#file!, segment.bytes);
  }

  #openSegment(): Segment {
    if (this.#file !== undefined) return this.#segments.at(-1)!;
    const name = `${String(this.#nextFile++).padStart(12, "0")}${ENDING}`;
    const path = join(this.#o.folder, name);
    this.#file = openSync(path, "wx", 0o600);
    syncFolder(this.#o.folder);
    const segment: Segment = { path, bytes: 0, held: 0, envelopes: [] };
    this.#segments.push(segment);
    // Each segment stands alone: the openings its envelopes may need come along.
    try {
      for (const [sessionId, opening] of [...this.#openings]) this.keepOpening(sessionId, opening);
    } catch (error) {
      closeSync(this.#file);
      this.#file = undefined;
      this.#remove(segment);
      throw error;
    }
    return segment;
  }

  /** Ends the current segment. */
  #roll(): void {
    if (this.#file === undefined) return;
    this.sync();
    closeSync(this.#file);
    this.#file = undefined;
    this.#freeSettled();
  }

  /** Puts what was appended on the medium. */
  sync(): void {
    if (!this.#unsynced || this.#file === undefined) return;
    fdatasyncSync(this.#file);
    this.#unsynced = false;
  }

  /** The sealed bytes, as they were appended. */
  read(held: Held): Uint8Array {
    if (held.bytes !== undefined) return held.bytes;
    const file = openSync(held.segment.path, "r");
    try {
      const bytes = Buffer.alloc(held.length);
      readSync(file, bytes, 0, held.length, held.offset);
      return bytes;
    } finally {
      closeSync(file);
    }
  }

  /** The platform keeps this number (or will never take it): its space may go. */
  settle(held: Held): void {
    const session = this.#held.get(held.sessionId);
    if (!session?.delete(held.sequence)) return;
    held.segment.held--;
    if (session.size === 0) {
      this.#held.delete(held.sessionId);
    }
    if (held.segment.held === 0) this.#freeSettled();
  }

  /** The platform knows the session: its opening need not be kept longer. */
  forgetOpening(sessionId: string): void {
    this.#openings.delete(sessionId);
  }

  #freeSettled(): void {
    for (const segment of [...this.#segments]) {
      const isCurrent = this.#file !== undefined && segment === this.#segments.at(-1);
      if (segment.held === 0 && !isCurrent) this.#remove(segment);
    }
  }

  #remove(segment: Segment): void {
    this.#segments.splice(this.#segments.indexOf(segment), 1);
    this.#bytes -= segment.bytes;
    unlinkSync(segment.path);
  }

  /** Past the bound the oldest segments go. @returns the unsettled numbers in them. */
  #makeRoom(): [number, number][] {
    const dropped: [number, number][] = [];
    while (this.#bytes > this.#o.bytesMax) {
      if (this.#segments.length === 1) this.#roll();
      const oldest = this.#segments[0];
      if (oldest === undefined) break;
      for (const held of oldest.envelopes) {
        const session = this.#held.get(held.sessionId);
        if (session?.get(held.sequence) !== held) continue;
        session.delete(held.sequence);
        if (session.size === 0) this.#held.delete(held.sessionId);
        const last = dropped.at(-1);
        if (last !== undefined && last[1] + 1 === held.sequence) last[1] = held.sequence;
        else dropped.push([held.sequence, held.sequence]);
      }
      this.#remove(oldest);
    }
    return dropped;
  }

  /** Reads a segment left by an earlier run. Of the newest, what a power cut left half-written at its
   * end goes; records elsewhere that do not read are skipped and their numbers are lost. */
  #readSegment(path: string, isNewest: boolean) {
    const file = readFileSync(path);
    const segment: Segment = { path, bytes: 0, held: 0, envelopes: [] };
    let last: { sequence: number; sessionId: string; bytes: Uint8Array } | undefined;
    let at = 0;
    while (at < file.length) {
      const end = recordEnd(file, at);
      if (end === undefined) {
        const next = nextRecord(file, at + 1);
        if (next === undefined) break;
        this.#isSkipped = true;
        at = next;
        continue;
      }
      const sessionId = hex(file.subarray(at + 9, at + 25));
      const sequence = Number(file.readBigUInt64BE(at + 25));
      const offset = at + HEAD_BYTES + META_BYTES;
      const bytes = new Uint8Array(file.subarray(offset, end));
      if (file[at + 8] === KIND_OPENING) this.#openings.set(sessionId, bytes);
      else {
        const fresh = { dueMs: 0, attempts: 0, bytes: undefined };
        this.#hold({ sessionId, sequence, segment, offset, length: bytes.length, ...fresh });
        last = { sequence, sessionId, bytes };
        this.#readNumber(sequence);
      }
      at = end;
    }
    const cutAt = at < file.length && isNewest ? at : undefined;
    if (cutAt !== undefined) truncateSync(path, cutAt);
    else if (at < file.length) this.#isSkipped = true;
    segment.bytes = cutAt ?? file.length;
    this.#bytes += segment.bytes;
    this.#segments.push(segment);
    return { last, cutAt };
  }

  /** Numbers are written in order: those between two that read, with damage between, are lost. */
  #readNumber(sequence: number): void {
    const from = this.#lastRead === undefined ? sequence - 1 : this.#lastRead + 1;
    if (this.#isSkipped && from > 0 && from < sequence) this.lost.push([from, sequence - 1]);
    this.#isSkipped = false;
    this.#lastRead = sequence;
  }

  /** Ends the program's use of the spool; what is held stays on disk. */
  close(): void {
    this.#roll();
    if (existsSync(this.#o.folder)) syncFolder(this.#o.folder);
  }
}

/** @returns where the record at `at` ends, or undefined when none is whole there. */
function recordEnd(file: Buffer, at: number): number | undefined {
  if (at + HEAD_BYTES + META_BYTES > file.length) return undefined;
  const length = file.readUInt32BE(at);
  const end = at + HEAD_BYTES + length;
  if (length < META_BYTES || length > RECORD_BYTES_MAX || end > file.length) return undefined;
  const kind = file[at + HEAD_BYTES];
  if (kind !== KIND_OPENING && kind !== KIND_ENVELOPE) return undefined;
  const isWhole = crc32(file.subarray(at + HEAD_BYTES, end)) === file.readUInt32BE(at + 4);
  return isWhole ? end : undefined;
}

/** @returns where the next whole record begins. Its length may be what is damaged: any byte may be it. */
function nextRecord(file: Buffer, from: number): number | undefined {
  for (let at = from; at + HEAD_BYTES + META_BYTES <= file.length; at++) {
    if (recordEnd(file, at) !== undefined) return at;
  }
  return undefined;
}
