import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NumberRanges } from "./ranges.ts";

const numbers = fc.array(fc.integer({ min: 1, max: 120 }), { maxLength: 150 });

test("ranges say the same as a plain set, whatever the order of arrival", () => {
  fc.assert(
    fc.property(numbers, fc.integer({ min: 1, max: 60 }), (arrivals, first) => {
      const ranges = new NumberRanges();
      const plain = new Set<number>();
      for (const n of arrivals) {
        assert.equal(ranges.add(n), !plain.has(n));
        plain.add(n);
      }
      assert.equal(ranges.size, plain.size);
      for (let n = 0; n <= 121; n++) assert.equal(ranges.has(n), plain.has(n));
      let contiguous = first - 1;
      while (plain.has(contiguous + 1)) contiguous++;
      assert.equal(ranges.contiguousFrom(first), contiguous);
      const bitmap = ranges.bitmapAfter(contiguous);
      for (let i = 0; i < 130; i++) {
        const bit = ((bitmap[i >> 3] ?? 0) & (0x80 >> (i & 7))) !== 0;
        assert.equal(bit, plain.has(contiguous + 1 + i));
      }
      for (const [from, to] of ranges.gapsFrom(first)) {
        for (let n = from; n <= to; n++) assert.ok(!plain.has(n));
      }
      assert.deepEqual([...NumberRanges.decode(ranges.encode())], [...ranges]);
    }),
  );
});

test("adding a range equals adding its numbers one by one", () => {
  fc.assert(
    fc.property(numbers, fc.integer({ min: 1, max: 100 }), fc.nat(30), (start, from, length) => {
      const one = new NumberRanges();
      const other = new NumberRanges();
      for (const n of start) {
        one.add(n);
        other.add(n);
      }
      one.addRange(from, from + length);
      for (let n = from; n <= from + length; n++) other.add(n);
      assert.deepEqual([...one], [...other]);
    }),
  );
});

test("a cut or odd stored form is refused, not guessed", () => {
  const bytes = new NumberRanges([5, 9, 300, 301]).encode();
  assert.throws(() => NumberRanges.decode(bytes.subarray(0, bytes.length - 1)));
  assert.throws(() => NumberRanges.decode(Uint8Array.of(0x80)));
});

test("a bounded set takes what joins its ranges and no range more, and says so", () => {
  const few = new NumberRanges([], 3);
  for (const n of [10, 20, 30]) assert.ok(few.addRange(n, n + 2));
  assert.equal(few.addRange(40, 41), false);
  assert.equal(few.addRange(1, 8), false);
  assert.ok(few.addRange(33, 35) && few.addRange(9, 9) && few.addRange(13, 19));
  assert.equal([...few].join(" "), "9,22 30,35");
  assert.ok(few.addRange(40, 41));
  assert.equal(few.rangeCount, 3);
});
