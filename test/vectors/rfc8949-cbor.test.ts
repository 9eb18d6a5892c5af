import assert from "node:assert/strict";
import { test } from "node:test";
import { decode } from "cborg";
import { type CborItem, CborReader, CborWriter, MAJOR } from "../../src/envelope/cbor.ts";
import { Problem } from "../../src/problems.ts";
import { readJson, unhex } from "./read.ts";

interface Example {
  hex: string;
  roundtrip: boolean;
  decoded?: unknown;
  diagnostic?: string;
}

/** What this dialect has: whole numbers to 2^53 - 1, strings, arrays, maps, tags, true, false, null. */
function isOurs(hex: string): boolean {
  const bytes = unhex(hex);
  const isFloat = /^f[9ab]/.test(hex) || /f[9ab][0-9a-f]{4}/.test(hex);
  const isSimple = /^(f0|f7|f8)/.test(hex);
  const isHuge = /^[13]b(?!000)/.test(hex);
  const isIndefinite = bytes.some((b, i) => (b & 31) === 31 && (b >> 5 >= 2 || i > 0));
  return !(isFloat || isSimple || isHuge || isIndefinite);
}

function read(hex: string): CborItem {
  const reader = new CborReader(unhex(hex), "bad-request");
  const item = reader.item();
  reader.end();
  return item;
}

function write(writer: CborWriter, item: CborItem): void {
  if (typeof item === "number") writer.int(item);
  else if (typeof item === "string") writer.text(item);
  else if (typeof item === "boolean") writer.boolean(item);
  else if (item === null) writer.head(MAJOR.simple, 22);
  else if (item instanceof Uint8Array) writer.bytes(item);
  else if (Array.isArray(item)) {
    writer.array(item.length);
    for (const one of item) write(writer, one);
  } else if (item instanceof Map) {
    writer.map(item.size);
    for (const [key, value] of item) {
      write(writer, key);
      write(writer, value);
    }
  } else {
    writer.tag(item.tag);
    write(writer, item.item);
  }
}

const examples = readJson<Example[]>("cbor/appendix-a.json");

test("RFC 8949 Appendix A: what is deterministic and of our kind is read and written back alike", () => {
  const ours = examples.filter(({ hex }) => isOurs(hex));
  assert.ok(ours.length >= 40, `${ours.length} examples`);
  for (const { hex, decoded } of ours) {
    const item = read(hex);
    // Tags (big numbers, dates …) are kept as they stand; the examples interpret some.
    if (!/^[cd]/.test(hex) && typeof decoded !== "object" && decoded !== undefined) {
      assert.equal(item, decoded, hex);
    }
    const writer = new CborWriter(16);
    write(writer, item);
    assert.equal(Buffer.from(writer.take()).toString("hex"), hex);
  }
});

test("RFC 8949 Appendix A: floats, indefinite lengths and huge numbers are refused", () => {
  const others = examples.filter(({ hex }) => !isOurs(hex));
  assert.ok(others.length >= 25, `${others.length} examples`);
  for (const { hex } of others) {
    assert.throws(() => read(hex), Problem, hex);
  }
});

test("forms that are not the shortest, keys out of order or doubled, and what follows the end are refused", () => {
  for (const hex of [
    ...["1817", "190017", "1900ff", "1a0000ffff", "1b00000000ffffffff", "3817", "5801aa"],
    ...["a2010200", "a201000200".replace("0200", "0100"), "a202000100", "0000", "18", "5f", "9fff"],
    ...["1c", "fc", "f8ff", "c0", "61ff"],
  ]) {
    assert.throws(() => read(hex), Problem, hex);
  }
});

test("what the writer writes the cborg library reads alike", () => {
  const writer = new CborWriter(8);
  const numbers = [0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1];
  for (const number of numbers.flatMap((n) => [n, -n - 1]).filter(Number.isSafeInteger)) {
    writer.int(number);
    assert.equal(decode(writer.take()), number);
  }
});
