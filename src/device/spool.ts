/**
 * The spool: sealed bytes that the platform has not yet said it keeps. Append-only segment files of
 * records (spool-record.ts). It is bounded: past its size the oldest segment goes, and the numbers in it
 * become a stated gap. Segments end only after an envelope with a signed block, so that what goes takes
 * whole blocks.
 *
 * Of what goes, one envelope of every `BRIDGE_NUMBERS` numbers stays: a *bridge*. The platform knows a
 * session's keys only `limits.epochsAheadMax` epochs past the newest that it has seen, so it must never
 * find a wider hole, or nothing behind the hole could be opened (docs/envelope.md §6).
 *
 * Past 400 lines because each way in which a record moves or goes must keep the same counts.
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
import { limits } from "../limits.ts";
import { syncFolder } from "./files.ts";
import {
  nextRecord,
  RECORD_HEAD_BYTES,
  type RecordKind,
  recordAt,
  writeRecord,
} from "./spool-record.ts";

/** A quarter of the platform's window: two bridges are at most two such stretches apart, and the other
 * half is for numbers that a failing medium took (`Device`), which leave nothing to make a bridge of. */
export const BRIDGE_NUMBERS = (limits.epochEnvelopesMax * limits.epochsAheadMax) / 4;
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
  kind: Exclude<RecordKind, "opening">;
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
  /** Most bytes on disk, all segments together, once a call has returned. */
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
  /** By session and stretch of `BRIDGE_NUMBERS`. */
  readonly #bridges = new Map<string, Held>();
  #bridgeBytes = 0;
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
    if (this.#bridges.size > 0) this.#orderHeld();
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
    this.#write("opening", sessionId, 0, opening);
  }

  /** Appends one sealed envelope.
   * @param endsBlock it carries a signed block: a new segment may begin after it.
   * @returns numbers that had to go to make room, as [from, to] pairs.
   * @throws Error of the file system; `holds` says whether the envelope is kept nevertheless. */
  append(sessionId: string, sequence: number, envelope: Uint8Array, endsBlock: boolean) {
    const kind = endsBlock ? "block" : "envelope";
    const { segment, offset } = this.#write(kind, sessionId, sequence, envelope);
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
    const fresh = { dueMs: 0, attempts: 0, bytes };
    this.#hold({ sessionId, sequence, segment, offset, length, kind, ...fresh });
    if (endsBlock && segment.bytes >= this.#segmentBytes) this.#roll();
    this.#rollOversized();
    return this.#makeRoom();
  }

  #hold(held: Held): void {
    held.segment.envelopes.push(held);
    held.segment.held++;
    const session = this.#held.get(held.sessionId) ?? new Map<number, Held>();
    session.set(held.sequence, held);
    this.#held.set(held.sessionId, session);
    if (held.kind !== "bridge") return;
    this.#bridges.set(stretchOf(held), held);
    this.#bridgeBytes += RECORD_HEAD_BYTES + held.length;
  }

  /** Bridges lie in the files behind later numbers, but are sent before them. */
  #orderHeld(): void {
    const all = [...this.held()].sort((a, b) => a.sequence - b.sequence);
    this.#held.clear();
    for (const held of all) {
      const session = this.#held.get(held.sessionId) ?? new Map<number, Held>();
      this.#held.set(held.sessionId, session.set(held.sequence, held));
    }
  }

  #write(kind: RecordKind, sessionId: string, sequence: number, bytes: Uint8Array) {
    const segment = this.#openSegment();
    const record = writeRecord(kind, sessionId, sequence, bytes);
    for (let at = 0; at < record.length; ) {
      at += writeSync(this.#file!, record, at, record.length - at, segment.bytes + at);
    }
    const offset = segment.bytes + RECORD_HEAD_BYTES;
    segment.bytes += record.length;
    this.#bytes += record.length;
    this.#unsynced = true;
    return { segment, offset };
  }

  /** The record just written is not on the medium: the next one takes its place. */
  #cutBack(segment: Segment, length: number): void {
    const bytes = RECORD_HEAD_BYTES + length;
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
    this.#freeSettled(this.#segments.at(-1));
  }

  /** A segment ends within a block rather than grow on and on. */
  #rollOversized(): void {
    const current = this.#file === undefined ? undefined : this.#segments.at(-1);
    if (current !== undefined && current.bytes >= this.#segmentBytes * 4) this.#roll();
  }

  /** Tries whether so many bytes could be written now, and keeps nothing.
   * @throws Error of the file system. */
  probe(bytes: number): void {
    const segment = this.#openSegment();
    const zeros = Buffer.alloc(RECORD_HEAD_BYTES + bytes);
    try {
      for (let at = 0; at < zeros.length; ) {
        at += writeSync(this.#file!, zeros, at, zeros.length - at, segment.bytes + at);
      }
      fdatasyncSync(this.#file!);
    } finally {
      ftruncateSync(this.#file!, segment.bytes);
    }
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
    if (!this.#isHeldIn(held, held.segment)) return;
    this.#forget(held);
    held.segment.held--;
    if (held.segment.held === 0) this.#freeSettled(this.#segments.at(-1));
  }

  #forget(held: Held): void {
    const session = this.#held.get(held.sessionId);
    session?.delete(held.sequence);
    if (session?.size === 0) this.#held.delete(held.sessionId);
    if (held.kind !== "bridge") return;
    this.#bridges.delete(stretchOf(held));
    this.#bridgeBytes -= RECORD_HEAD_BYTES + held.length;
  }

  /** The platform knows the session: its opening need not be kept longer. */
  forgetOpening(sessionId: string): void {
    this.#openings.delete(sessionId);
  }

  /** @param newest stays although settled: a start after a kill learns the last number from it. */
  #freeSettled(newest: Segment | undefined): void {
    for (const segment of [...this.#segments]) {
      if (segment.held === 0 && segment !== newest) this.#remove(segment);
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
    // Bridges move to the newest segment; should that not make room at all, they go as well.
    for (let left = this.#segments.length; this.#bytes > this.#o.bytesMax; left--) {
      try {
        if (this.#segments.length === 1) this.#roll();
        if (left > 0) this.#buildBridges();
      } catch (error) {
        if (dropped.length === 0) throw error;
        break; // what went must be stated; the rest of the room is made with the next envelope
      }
      const oldest = this.#segments[0];
      if (oldest === undefined) break;
      for (const held of oldest.envelopes) {
        if (!this.#isHeldIn(held, oldest)) continue;
        this.#forget(held);
        const last = dropped.at(-1);
        if (last !== undefined && last[1] + 1 === held.sequence) last[1] = held.sequence;
        else dropped.push([held.sequence, held.sequence]);
      }
      this.#remove(oldest);
    }
    return dropped;
  }

  /** Writes again, at the end of the newest segment, what must outlive the oldest one. It is on the medium
   * before that one goes. Bridges take at most half of the spool: past that many the oldest readings' way is
   * given up for the newest readings' room. */
  #buildBridges(): void {
    const segment = this.#segments[0];
    const chosen = new Map<string, Held>();
    for (const held of segment?.envelopes ?? []) {
      if (!this.#isHeldIn(held, segment)) continue;
      const stretch = stretchOf(held);
      const known = this.#bridges.get(stretch);
      if (known !== undefined && known !== held) continue;
      const best = chosen.get(stretch);
      if (best === undefined || isBetterBridge(held, best)) chosen.set(stretch, held);
    }
    for (const [stretch, held] of chosen) {
      if (held.kind === "block" && this.#goesOn(held)) continue;
      const bytes = RECORD_HEAD_BYTES + held.length;
      const more = held.kind === "bridge" ? 0 : bytes;
      if (this.#bridgeBytes + more > this.#o.bytesMax / 2) continue;
      const { sessionId, sequence } = held;
      const written = this.#write("bridge", sessionId, sequence, this.read(held));
      held.segment.held--;
      // The same object goes on, at its old place in the order of sending.
      Object.assign(held, written, { kind: "bridge", bytes: undefined });
      written.segment.envelopes.push(held);
      written.segment.held++;
      this.#bridges.set(stretch, held);
      this.#bridgeBytes += more;
    }
    if (chosen.size === 0) return;
    this.sync();
    this.#rollOversized();
  }

  /** Whether a later segment begins within the same stretch: that one has a better bridge. */
  #goesOn(held: Held): boolean {
    const next = this.#held.get(held.sessionId)?.get(held.sequence + 1);
    return (
      next !== undefined && next.segment !== held.segment && stretchOf(next) === stretchOf(held)
    );
  }

  #isHeldIn(held: Held, segment: Segment | undefined): boolean {
    const known = this.#held.get(held.sessionId)?.get(held.sequence);
    return known === held && held.segment === segment;
  }

  /** Reads a segment left by an earlier run. Of the newest, what a power cut left half-written at its
   * end goes; records elsewhere that do not read are skipped and their numbers are lost. */
  #readSegment(path: string, isNewest: boolean) {
    const file = readFileSync(path);
    const segment: Segment = { path, bytes: 0, held: 0, envelopes: [] };
    let last: { sequence: number; sessionId: string; bytes: Uint8Array } | undefined;
    let at = 0;
    while (at < file.length) {
      const record = recordAt(file, at);
      if (record === undefined) {
        const next = nextRecord(file, at + 1);
        if (next === undefined) break;
        this.#isSkipped = true;
        at = next;
        continue;
      }
      const { kind, sessionId, sequence, offset, end } = record;
      const bytes = new Uint8Array(file.subarray(offset, end));
      if (kind === "opening") this.#openings.set(sessionId, bytes);
      // Twice when power went between a bridge's writing and the going of its old segment.
      else if (!this.holds(sessionId, sequence)) {
        const fresh = { dueMs: 0, attempts: 0, bytes: undefined };
        const length = bytes.length;
        this.#hold({ sessionId, sequence, segment, offset, length, kind, ...fresh });
      }
      if (kind === "envelope" || kind === "block") {
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

  /** Ends the program's use of the spool; what is held stays on disk. The counter must have been saved. */
  close(): void {
    this.#roll();
    this.#freeSettled(undefined);
    if (existsSync(this.#o.folder)) syncFolder(this.#o.folder);
  }
}

/** What one bridge is for: the stretch of its session's numbers that this number lies in. */
function stretchOf({ sessionId, sequence }: Held): string {
  return `${sessionId} ${Math.floor(sequence / BRIDGE_NUMBERS)}`;
}

/** Rather one without a block, which could not be checked any more; then the smallest. */
function isBetterBridge(one: Held, other: Held): boolean {
  if ((one.kind === "block") !== (other.kind === "block")) return other.kind === "block";
  return one.length < other.length;
}
