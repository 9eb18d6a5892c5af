/**
 * Deterministic CBOR (RFC 8949 §4.2.1), the part that envelopes use: a writer that can only write
 * it and a reader that refuses every other form (non-minimal heads, indefinite lengths, map keys
 * out of order or doubled, trailing bytes).
 */
import type { ProblemCode } from "../problems.ts";
import { Problem } from "../problems.ts";

const TWO_32 = 0x1_0000_0000;
const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** CBOR major types (RFC 8949 §3.1). */
export const MAJOR = { uint: 0, nint: 1, bytes: 2, text: 3, array: 4, map: 5, tag: 6, simple: 7 };

/** Writes deterministic CBOR into one growing buffer; `take()` hands out a copy and starts again. */
export class CborWriter {
  buffer: Uint8Array;
  view: DataView;
  at = 0;

  constructor(initialBytes = 1_024) {
    this.buffer = new Uint8Array(initialBytes);
    this.view = new DataView(this.buffer.buffer);
  }

  /** Makes room for so many more bytes. */
  reserve(bytes: number): void {
    if (this.at + bytes <= this.buffer.length) return;
    const grown = new Uint8Array(Math.max(this.buffer.length * 2, this.at + bytes));
    grown.set(this.buffer.subarray(0, this.at));
    this.buffer = grown;
    this.view = new DataView(grown.buffer);
  }

  /** An item's head: major type and argument 0 to 2^53 - 1, in the shortest form. */
  head(major: number, argument: number): void {
    this.reserve(9);
    const first = major << 5;
    if (argument < 24) {
      this.buffer[this.at++] = first | argument;
    } else if (argument < 0x100) {
      this.buffer[this.at++] = first | 24;
      this.buffer[this.at++] = argument;
    } else if (argument < 0x1_0000) {
      this.buffer[this.at++] = first | 25;
      this.view.setUint16(this.at, argument);
      this.at += 2;
    } else if (argument < TWO_32) {
      this.buffer[this.at++] = first | 26;
      this.view.setUint32(this.at, argument);
      this.at += 4;
    } else {
      this.buffer[this.at++] = first | 27;
      this.view.setUint32(this.at, Math.floor(argument / TWO_32));
      this.view.setUint32(this.at + 4, argument % TWO_32);
      this.at += 8;
    }
  }

  /** A whole number within ±(2^53 - 1). */
  int(value: number): void {
    if (value >= 0) this.head(MAJOR.uint, value);
    else this.head(MAJOR.nint, -1 - value);
  }

  bytes(value: Uint8Array): void {
    this.head(MAJOR.bytes, value.length);
    this.raw(value);
  }

  text(value: string): void {
    const encoded = textEncoder.encode(value);
    this.head(MAJOR.text, encoded.length);
    this.raw(encoded);
  }

  array(count: number): void {
    this.head(MAJOR.array, count);
  }

  /** The caller writes the pairs in the order of their encoded keys. */
  map(pairs: number): void {
    this.head(MAJOR.map, pairs);
  }

  tag(number: number): void {
    this.head(MAJOR.tag, number);
  }

  boolean(value: boolean): void {
    this.head(MAJOR.simple, value ? 21 : 20);
  }

  /** Bytes that are CBOR already. */
  raw(encoded: Uint8Array): void {
    this.reserve(encoded.length);
    this.buffer.set(encoded, this.at);
    this.at += encoded.length;
  }

  /** What was written, as a copy of its own; the writer is empty again. */
  take(): Uint8Array {
    const written = this.buffer.slice(0, this.at);
    this.at = 0;
    return written;
  }
}

/** A decoded CBOR item, for headers whose shape is not fixed. Integers past 2^53 - 1 are refused. */
export type CborItem =
  | number
  | string
  | boolean
  | null
  | Uint8Array
  | CborItem[]
  | Map<CborItem, CborItem>
  | { tag: number; item: CborItem };

/** Reads deterministic CBOR; anything else throws Problem with the code given at the start. */
export class CborReader {
  readonly bytes: Uint8Array;
  readonly code: ProblemCode;
  at = 0;

  constructor(bytes: Uint8Array, code: ProblemCode) {
    this.bytes = bytes;
    this.code = code;
  }

  refuse(detail: string): never {
    throw new Problem(this.code, { detail });
  }

  /** Major type of the item that comes next. */
  peek(): number {
    if (this.at >= this.bytes.length) this.refuse("ends too early");
    return this.bytes[this.at]! >> 5;
  }

  /** Consumes a head of the expected major type and returns its argument. */
  head(major: number): number {
    if (this.at >= this.bytes.length) this.refuse("ends too early");
    const first = this.bytes[this.at++]!;
    if (first >> 5 !== major) this.refuse("an item of another type is expected");
    const short = first & 31;
    return short < 24 ? short : this.argument(short);
  }

  private argument(short: number): number {
    if (short > 27) this.refuse("indefinite or reserved length");
    const size = 1 << (short - 24);
    if (this.at + size > this.bytes.length) this.refuse("ends too early");
    const start = this.at;
    this.at += size;
    if (size === 1) return this.minimal(this.bytes[start]!, 24);
    if (size === 2) {
      return this.minimal((this.bytes[start]! << 8) | this.bytes[start + 1]!, 0x100);
    }
    const high = this.uint32(start);
    if (size === 4) return this.minimal(high, 0x1_0000);
    if (high > 0x1f_ffff) this.refuse("a number past 2^53 - 1");
    return this.minimal(high * TWO_32 + this.uint32(start + 4), TWO_32);
  }

  /** Without a DataView: one for each of an envelope's readers costs more than what it reads. */
  private uint32(at: number): number {
    const { bytes } = this;
    const low = (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
    return bytes[at]! * 0x100_0000 + low;
  }

  private minimal(value: number, least: number): number {
    if (value < least) this.refuse("a number is not in its shortest form");
    return value;
  }

  /** A whole number from `low` to `high`, of either sign. */
  int(low: number, high: number): number {
    if (this.at >= this.bytes.length) this.refuse("ends too early");
    const negative = this.bytes[this.at]! >> 5 === 1;
    const argument = this.head(negative ? 1 : 0);
    const value = negative ? -1 - argument : argument;
    if (value < low || value > high) this.refuse("a number is out of bounds");
    return value;
  }

  /** A byte string, as a view into the input. */
  byteString(least: number, most: number): Uint8Array {
    return this.span(this.head(MAJOR.bytes), least, most);
  }

  text(mostBytes: number): string {
    const encoded = this.span(this.head(MAJOR.text), 0, mostBytes);
    try {
      return textDecoder.decode(encoded);
    } catch {
      return this.refuse("a text is not UTF-8");
    }
  }

  private span(length: number, least: number, most: number): Uint8Array {
    if (length < least || length > most) this.refuse("a string's length is out of bounds");
    if (this.at + length > this.bytes.length) this.refuse("ends too early");
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  array(least: number, most: number): number {
    const count = this.head(MAJOR.array);
    if (count < least || count > most) this.refuse("an array's length is out of bounds");
    return count;
  }

  map(least: number, most: number): number {
    const pairs = this.head(MAJOR.map);
    if (pairs < least || pairs > most) this.refuse("a map's size is out of bounds");
    return pairs;
  }

  /** Consumes exactly this value, which must come next. */
  expect(value: number): void {
    if (this.int(-24, 0xffff) !== value) this.refuse("another value is expected");
  }

  /** Consumes exactly this tag, which must come next. */
  tag(number: number): void {
    if (this.head(MAJOR.tag) !== number) this.refuse("another tag is expected");
  }

  /** Refuses trailing bytes. */
  end(): void {
    if (this.at !== this.bytes.length) this.refuse("bytes follow the end");
  }

  /** Any item, at most `depth` levels deep; map keys must be in bytewise order (§4.2.1). */
  item(depth = 8): CborItem {
    if (depth === 0) this.refuse("nested too deep");
    const major = this.peek();
    if (major <= MAJOR.nint) return this.int(-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    if (major === MAJOR.bytes) return this.byteString(0, this.bytes.length).slice();
    if (major === MAJOR.text) return this.text(this.bytes.length);
    if (major === MAJOR.tag) return { tag: this.head(MAJOR.tag), item: this.item(depth - 1) };
    if (major === MAJOR.simple) return this.simple();
    if (major === MAJOR.array) {
      const items: CborItem[] = [];
      for (let left = this.array(0, this.bytes.length); left > 0; left--) {
        items.push(this.item(depth - 1));
      }
      return items;
    }
    return this.itemMap(depth);
  }

  private simple(): CborItem {
    const value = this.head(MAJOR.simple);
    if (value === 20) return false;
    if (value === 21) return true;
    if (value === 22) return null;
    return this.refuse("a simple value or float that is not used here");
  }

  private itemMap(depth: number): Map<CborItem, CborItem> {
    const items = new Map<CborItem, CborItem>();
    let before: Uint8Array | undefined;
    for (let left = this.map(0, this.bytes.length); left > 0; left--) {
      const start = this.at;
      const key = this.item(depth - 1);
      const encoded = this.bytes.subarray(start, this.at);
      if (before !== undefined && compareBytes(before, encoded) >= 0) {
        this.refuse("map keys are out of order or doubled");
      }
      before = encoded;
      items.set(key, this.item(depth - 1));
    }
    return items;
  }

  /** Steps over one item without making anything of it; returns its bytes. */
  skip(): Uint8Array {
    const start = this.at;
    for (let open = 1; open > 0; open--) {
      const major = this.peek();
      const argument = this.head(major);
      if (major === MAJOR.bytes || major === MAJOR.text) {
        this.span(argument, 0, this.bytes.length);
      } else if (major === MAJOR.array) open += argument;
      else if (major === MAJOR.map) open += argument * 2;
      else if (major === MAJOR.tag) open += 1;
      if (open > this.bytes.length + 1) this.refuse("ends too early");
    }
    return this.bytes.subarray(start, this.at);
  }
}

/** Bytewise lexicographic order; a prefix comes before what it begins. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    if (a[i] !== b[i]) return a[i]! - b[i]!;
  }
  return a.length - b.length;
}
