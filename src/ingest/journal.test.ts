import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeJournal, encodeJournal } from "./journal.ts";

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const entry = fc.record({
  number: fc.integer({ min: 1, max: 2 ** 50 }),
  hash: bytes(8),
  leaf: fc.option(bytes(32), { nil: undefined }),
  fork: fc.boolean(),
});
const group = fc.record({
  deviceId: fc.uuid(),
  sessionId: bytes(16).map((b) => Buffer.from(b).toString("hex")),
  numbers: fc.array(entry, { maxLength: 20 }),
});

test("what was journalled is read back", () => {
  fc.assert(
    fc.property(fc.array(group, { maxLength: 8 }), (groups) => {
      const plain = (of: ReturnType<typeof decodeJournal>) =>
        of.map((g) => ({
          ...g,
          numbers: g.numbers.map((n) => ({
            ...n,
            hash: [...n.hash],
            leaf: n.leaf && [...n.leaf],
          })),
        }));
      assert.deepEqual(plain(decodeJournal(encodeJournal(groups))), plain(groups));
    }),
  );
});

test("a cut row is refused, not half read", () => {
  const row = encodeJournal([
    {
      deviceId: "0197a1b2-0000-7000-8000-000000000001",
      sessionId: "00".repeat(16),
      numbers: [{ number: 7, hash: new Uint8Array(8), leaf: new Uint8Array(32), fork: false }],
    },
  ]);
  for (let length = 1; length < row.length; length++) {
    assert.throws(() => decodeJournal(row.subarray(0, length)));
  }
});
