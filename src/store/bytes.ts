/** Packing of whole numbers: LEB128 variable length, zig-zag for signed ones. Exact to 2^53. */
import { Problem } from "../problems.ts";

const GROWTH = 2;
const VARINT_BYTES_MAX = 8;
const INT31 = 0x7fff_ffff;

/** Writes into one growing buffer; `reset` and use again. */
export class ByteWriter {
  bytes: Buffer;
  at = 0;
  constructor(capacity = 4_096) {
    this.bytes = Buffer.allocUnsafe(capacity);
  }
  reserve(count: number): void {
    if (this.at + count <= this.bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.bytes.length * GROWTH, this.at + count));
    this.bytes.copy(grown, 0, 0, this.at);
    this.bytes = grown;
  }
  uint(value: number): void {
    this.reserve(VARINT_BYTES_MAX);
    const { bytes } = this;
    let at = this.at;
    let rest = value;
    while (rest > INT31) {
      bytes[at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest > 0x7f) {
      bytes[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[at++] = rest;
    this.at = at;
  }
  int(value: number): void {
    this.uint(value >= 0 ? value * 2 : -value * 2 - 1);
  }
  raw(source: Uint8Array): void {
    this.reserve(source.length);
    this.bytes.set(source, this.at);
    this.at += source.length;
  }
  /** Hex digits (with or without dashes, as in a UUID) as bytes, its length first. */
  hex(text: string): void {
    const dashless = text.length === 36 ? text.replaceAll("-", "") : text;
    const length = dashless.length >>> 1;
    this.uint(length);
    this.reserve(length);
    const written = this.bytes.write(dashless, this.at, length, "hex");
    if (written * 2 !== dashless.length) throw new RangeError("an id is not hexadecimal");
    this.at += length;
  }
  /** What was written, valid until the next write. */
  view(): Buffer {
    return this.bytes.subarray(0, this.at);
  }
  reset(): this {
    this.at = 0;
    return this;
  }
}

/** Reads what `ByteWriter` wrote. @throws Problem "sealed-data-damaged" past the end. */
export class ByteReader {
  readonly bytes: Uint8Array;
  at = 0;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
  uint(): number {
    const { bytes } = this;
    let byte = this.next();
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    let scale = 128;
    do {
      byte = bytes[this.at++] ?? this.past();
      value += (byte & 0x7f) * scale;
      scale *= 128;
    } while (byte >= 0x80);
    return value;
  }
  int(): number {
    const value = this.uint();
    if (value <= INT31) return (value >>> 1) ^ -(value & 1);
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }
  next(): number {
    return this.bytes[this.at++] ?? this.past();
  }
  raw(count: number): Uint8Array {
    if (this.at + count > this.bytes.length) this.past();
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }
  hex(): string {
    const found = this.raw(this.uint());
    return Buffer.from(found.buffer, found.byteOffset, found.length).toString("hex");
  }
  uuid(): string {
    return dashed(this.hex());
  }
  /** A count that something of at least `bytesEach` bytes follows for each: no huge allocation. */
  count(limit: number): number {
    const found = this.uint();
    if (found > limit) throw new Problem("sealed-data-damaged");
    return found;
  }
  private past(): never {
    throw new Problem("sealed-data-damaged");
  }
}

export function dashed(hex: string): string {
  if (hex.length !== 32) return hex;
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** Values as runs of equal ones. */
export function writeRuns(writer: ByteWriter, values: ArrayLike<number>): void {
  for (let i = 0; i < values.length; ) {
    let end = i + 1;
    while (end < values.length && values[end] === values[i]) end++;
    writer.int(values[i]!);
    writer.uint(end - i);
    i = end;
  }
}

/** Fills all of `into`. */
export function readRuns(
  reader: ByteReader,
  into: { readonly length: number; fill(value: number, from: number, to: number): unknown },
): void {
  for (let i = 0; i < into.length; ) {
    const value = reader.int();
    const run = reader.uint();
    if (run === 0 || i + run > into.length) throw new Problem("sealed-data-damaged");
    into.fill(value, i, i + run);
    i += run;
  }
}
