/**
 * A set of sequence numbers as ascending, disjoint, non-touching ranges, both ends inclusive. Numbers
 * mostly arrive in order, so the set is nearly always one range and `add` is one comparison.
 */
import { limits } from "../limits.ts";

export class NumberRanges {
  /** from₀, to₀, from₁, to₁ … */
  readonly #ends: number[];
  /** `addRange` makes no range more than so many. */
  readonly #rangesMax: number;

  constructor(ends: readonly number[] = [], rangesMax = Number.POSITIVE_INFINITY) {
    this.#ends = [...ends];
    this.#rangesMax = rangesMax;
  }

  /** The ranges as [from, to] pairs, ascending. */
  *[Symbol.iterator](): IterableIterator<readonly [number, number]> {
    for (let i = 0; i < this.#ends.length; i += 2) {
      yield [this.#ends[i] as number, this.#ends[i + 1] as number];
    }
  }

  get rangeCount(): number {
    return this.#ends.length / 2;
  }

  /** How many numbers are in the set. */
  get size(): number {
    let count = 0;
    for (const [from, to] of this) count += to - from + 1;
    return count;
  }

  /** The largest number, or undefined when empty. */
  get last(): number | undefined {
    return this.#ends.at(-1);
  }

  has(n: number): boolean {
    const at = this.#firstEndingAtOrAfter(n);
    return at < this.#ends.length && (this.#ends[at] as number) <= n;
  }

  /** Whether any number from..to is in the set. */
  touches(from: number, to: number): boolean {
    const at = this.#firstEndingAtOrAfter(from);
    return at < this.#ends.length && (this.#ends[at] as number) <= to;
  }

  /** Adds one number. @returns false when it was there already. */
  add(n: number): boolean {
    const ends = this.#ends;
    if (ends.length > 0 && ends[ends.length - 1] === n - 1) {
      ends[ends.length - 1] = n;
      return true;
    }
    const at = this.#firstEndingAtOrAfter(n);
    if (at < ends.length && (ends[at] as number) <= n) return false;
    const joinsLeft = at > 0 && ends[at - 1] === n - 1;
    const joinsRight = at < ends.length && ends[at] === n + 1;
    if (joinsLeft && joinsRight) ends.splice(at - 1, 2);
    else if (joinsLeft) ends[at - 1] = n;
    else if (joinsRight) ends[at] = n;
    else ends.splice(at, 0, n, n);
    return true;
  }

  /** Whether that number would not begin a range of its own. */
  adjoins(n: number): boolean {
    return this.touches(n - 1, n + 1);
  }

  /** Adds every number of a range; cost is in the ranges that it joins, not in numbers.
   * @returns false, and adds nothing, when there would be more ranges than this set may have. */
  addRange(from: number, to: number): boolean {
    const ends = this.#ends;
    const at = this.#firstEndingAtOrAfter(from - 1);
    let past = at;
    let low = from;
    let high = to;
    for (; past < ends.length && (ends[past] as number) <= to + 1; past += 2) {
      low = Math.min(low, ends[past] as number);
      high = Math.max(high, ends[past + 1] as number);
    }
    if (past === at && this.rangeCount >= this.#rangesMax) return false;
    ends.splice(at, past - at, low, high);
    return true;
  }

  /** The highest n such that every number from `first` to n is in the set; `first` − 1 when none is. */
  contiguousFrom(first: number): number {
    const at = this.#firstEndingAtOrAfter(first);
    if (at >= this.#ends.length || (this.#ends[at] as number) > first) return first - 1;
    return this.#ends[at + 1] as number;
  }

  /** The numbers missing between `first` and the largest, as ranges, ascending. */
  gapsFrom(first: number): (readonly [number, number])[] {
    const gaps: (readonly [number, number])[] = [];
    let next = first;
    for (const [from, to] of this) {
      if (to < next) continue;
      if (from > next) gaps.push([next, from - 1]);
      next = to + 1;
    }
    return gaps;
  }

  /** Bit i (most significant first in each byte) says whether `after` + 1 + i is in the set.
   * @returns no trailing zero bytes; at most `limits.receiptBitmapBytesMax` bytes. */
  bitmapAfter(after: number): Uint8Array {
    const last = this.last;
    if (last === undefined || last <= after) return new Uint8Array(0);
    const bits = Math.min(last - after, limits.receiptBitmapBytesMax * 8);
    const map = new Uint8Array((bits + 7) >> 3);
    for (const [from, to] of this) {
      const low = Math.max(from, after + 1);
      const high = Math.min(to, after + bits);
      for (let n = low; n <= high; n++) {
        const i = n - after - 1;
        map[i >> 3] = (map[i >> 3] as number) | (0x80 >> (i & 7));
      }
    }
    let length = map.length;
    while (length > 0 && map[length - 1] === 0) length--;
    return map.subarray(0, length);
  }

  /** LEB128 varints of the differences between successive ends: one range costs a few bytes. */
  encode(): Uint8Array {
    const bytes: number[] = [];
    let previous = 0;
    for (const end of this.#ends) {
      pushVarint(bytes, end - previous);
      previous = end;
    }
    return Uint8Array.from(bytes);
  }

  /** @throws Error when the bytes are not what `encode` makes: the stored row was altered. */
  static decode(bytes: Uint8Array): NumberRanges {
    const ends: number[] = [];
    let offset = 0;
    let previous = 0;
    while (offset < bytes.length) {
      const [step, next] = readVarint(bytes, offset);
      offset = next;
      previous += step;
      ends.push(previous);
    }
    if (ends.length % 2 !== 0) throw new Error("ranges: an odd number of ends");
    return new NumberRanges(ends);
  }

  /** Index (even) of the first range whose end is at or after n; ends.length when there is none. */
  #firstEndingAtOrAfter(n: number): number {
    const ends = this.#ends;
    let low = 0;
    let high = ends.length / 2;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((ends[middle * 2 + 1] as number) < n) low = middle + 1;
      else high = middle;
    }
    return low * 2;
  }
}

/** Appends an unsigned LEB128 varint; numbers up to 2^53 − 1. */
export function pushVarint(bytes: number[], value: number): void {
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
}

/** @returns the value and the offset after it. @throws Error when it is cut off or above 2^53 − 1. */
export function readVarint(bytes: Uint8Array, offset: number): [number, number] {
  let value = 0;
  let scale = 1;
  for (let at = offset; at < offset + 8; at++) {
    const byte = bytes[at];
    if (byte === undefined) throw new Error("varint: cut off");
    value += (byte & 0x7f) * scale;
    if ((byte & 0x80) === 0) {
      if (!Number.isSafeInteger(value)) throw new Error("varint: too large");
      return [value, at + 1];
    }
    scale *= 0x80;
  }
  throw new Error("varint: too long");
}
