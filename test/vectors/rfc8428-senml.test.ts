import assert from "node:assert/strict";
import { test } from "node:test";
import { decode } from "cborg";
import { encodeBatch } from "../../src/envelope/batch.ts";
import { readJson, unhex } from "./read.ts";

interface Example {
  example: number;
  senml: Record<string, unknown>[];
  cborHex?: string;
}

/** RFC 8428 §6, Table 4. */
const NAMES: Record<number, string> = {
  ...{ [-1]: "bver", [-2]: "bn", [-3]: "bt", [-4]: "bu", [-5]: "bv", [-6]: "bs" },
  ...{ 0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd" },
};

const examples = readJson<Example[]>("senml/examples.json").filter((e) => e.cborHex !== undefined);

test("RFC 8428: the labels we use mean in the published examples what they mean in a batch", () => {
  assert.ok(examples.length > 0);
  for (const { senml, cborHex } of examples) {
    const records = decode(unhex(cborHex!), { useMaps: true }) as Map<number, unknown>[];
    const named = records.map((record) =>
      Object.fromEntries([...record].map(([label, value]) => [NAMES[label], value])),
    );
    assert.deepEqual(
      named.map((record) => Object.keys(record).sort()),
      senml.map((record) => Object.keys(record).sort()),
    );
  }
});

test("a batch's column carries name, value, time and base time under SenML's labels", () => {
  const bytes = encodeBatch({
    sequence: 1,
    clockMs: 1_000_000,
    offsetMs: 0,
    points: [
      {
        mdc: 147_842,
        exponent: -1,
        timesMs: [999_000, 999_500, 999_900],
        mantissas: [720, 721, 719],
        quality: [0, 0, 0],
      },
    ],
    waveforms: [],
  });
  const [, , , , [column]] = decode(bytes, { useMaps: true }) as [
    number,
    number,
    number,
    number,
    Map<number, unknown>[],
  ];
  const labels = [...column!].map(([label, value]) => [NAMES[label] ?? label, value]);
  assert.deepEqual(Object.fromEntries(labels), {
    n: 147_842,
    v: [720, 721, 719],
    t: [500, 400],
    16: -1,
    bt: -1_000,
  });
});
