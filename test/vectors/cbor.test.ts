import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { decode, Tagged } from "cborg";
import { encodeBatch } from "../../src/envelope/batch.ts";
import { type CborItem, CborReader } from "../../src/envelope/cbor.ts";
import { oneSample } from "./batch-vectors.ts";

interface Example {
  hex: string;
  roundtrip: boolean;
  decoded?: unknown;
  diagnostic?: string;
}

const read = <T>(name: string) =>
  JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8")) as T;
const examples = read<Example[]>("cbor/appendix-a.json");
const bytes = (text: string) => new Uint8Array(Buffer.from(text, "hex"));

function itemOf(text: string): CborItem {
  const reader = new CborReader(bytes(text), "envelope-malformed");
  const item = reader.item();
  reader.end();
  return item;
}

/** Floats, undefined, other simple values, integers past 2^53 - 1: canonical, and never used here. */
const unused = (text: string) =>
  /^f[9ab78]|^f0|^1bffffffffffffffff|^3bffffffffffffffff|^c1fb/.test(text);

/** The same for both decoders: maps as lists of pairs, tags with their number. */
function plain(item: unknown): unknown {
  if (item instanceof Tagged) return { tag: Number(item.tag), item: plain(item.value) };
  if (item instanceof Uint8Array) return `h'${Buffer.from(item).toString("hex")}'`;
  if (Array.isArray(item)) return item.map(plain);
  if (item instanceof Map) return { pairs: [...item].map(([k, v]) => [plain(k), plain(v)]) };
  if (typeof item === "object" && item !== null) {
    const { tag, item: inner } = item as { tag: number; item: CborItem };
    return { tag, item: plain(inner) };
  }
  return item;
}

/** Maps with text keys as objects. */
function jsonOf(item: CborItem): unknown {
  if (item instanceof Map) {
    return Object.fromEntries([...item].map(([key, value]) => [key, jsonOf(value)]));
  }
  return Array.isArray(item) ? item.map(jsonOf) : item;
}

const tags = Object.fromEntries([0, 1, 2, 3, 23, 24, 32].map((n) => [n, Tagged.decoder(n)]));

test("what is canonical and used is read as another decoder reads it", () => {
  const used = examples.filter(({ hex, roundtrip }) => roundtrip && !unused(hex));
  assert.ok(used.length >= 40, `${used.length}`);
  for (const { hex } of used) {
    const other = decode(bytes(hex), { useMaps: true, tags, strict: true });
    assert.deepEqual(plain(itemOf(hex)), plain(other), hex);
  }
});

test("decoded examples have the value that the RFC gives", () => {
  for (const { hex, roundtrip, decoded } of examples) {
    if (!roundtrip || unused(hex) || decoded === undefined || /^(?:a2|c)/.test(hex)) continue;
    assert.deepEqual(jsonOf(itemOf(hex)), decoded, hex);
  }
});

test("every other form is refused by name", () => {
  const others = examples.filter(({ hex, roundtrip }) => !roundtrip || unused(hex));
  assert.ok(others.length >= 30, `${others.length}`);
  for (const { hex } of others) {
    assert.throws(() => itemOf(hex), { code: "envelope-malformed" }, hex);
  }
});

test("our labels are SenML's in its own CBOR examples (RFC 8428 §6)", () => {
  const senml = read<{ senml: Record<string, unknown>[]; cborHex?: string }[]>(
    "senml/examples.json",
  ).filter(({ cborHex }) => cborHex !== undefined);
  assert.equal(senml.length, 2);
  const label = new Map<string, number>();
  for (const { senml: pack, cborHex = "" } of senml) {
    const records = decode(bytes(cborHex), { useMaps: true }) as Map<number, unknown>[];
    for (const [i, record] of pack.entries()) {
      const keys = [...(records[i]?.keys() ?? [])];
      for (const [j, name] of Object.keys(record).entries()) label.set(name, keys[j] as number);
    }
  }
  const [, , , , [column]] = decode(encodeBatch(oneSample), { useMaps: true }) as [
    ...[number, number, number, number],
    [Map<number, number>],
  ];
  assert.equal(column.get(label.get("n") as number), 147_842);
  assert.equal(column.get(label.get("v") as number), 72);
  assert.equal(column.get(label.get("bt") as number), -250);
  assert.equal(label.get("t"), 6);
});
