import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { limits } from "../limits.ts";
import { parseEnvelope, parseUsualEnvelope, writeEnvelope } from "./envelope.ts";
import { SUITES } from "./suites.ts";

const bytes = (least: number, most: number) =>
  fc.uint8Array({ minLength: least, maxLength: most, size: "max" });
const envelope = fc
  .record({
    suite: fc.constantFrom(...SUITES),
    kid: bytes(8, 8),
    iv: fc.nat(255),
    sealed: fc.oneof(bytes(16, 40), bytes(240, 300)),
  })
  .map(({ suite, kid, iv, sealed }) => writeEnvelope(suite, kid, iv, sealed));

/** What the general reader says of the bytes; undefined where it refuses them. */
function general(of: Uint8Array) {
  try {
    return parseEnvelope(of);
  } catch {
    return undefined;
  }
}

const plain = (parts: ReturnType<typeof parseEnvelope> | undefined) =>
  parts && { ...parts, kid: [...parts.kid], sealed: [...parts.sealed] };

test("the short way reads each usual envelope as the general reader does", () => {
  fc.assert(
    fc.property(envelope, (whole) => {
      const short = parseUsualEnvelope(whole);
      // The algorithm number of ChaCha20/Poly1305 takes two bytes: not the usual layout.
      assert.equal(short === undefined, whole[2] !== 0x43);
      if (short) assert.deepEqual(plain(short), plain(parseEnvelope(whole)));
    }),
  );
});

test("the short way ends where the general reader ends: at the largest envelope", () => {
  const largest = writeEnvelope(SUITES[0]!, new Uint8Array(8), 7, new Uint8Array(65_513));
  assert.equal(largest.length, limits.envelopeBytesMax);
  assert.deepEqual(plain(parseUsualEnvelope(largest)), plain(parseEnvelope(largest)));
  assert.equal(parseUsualEnvelope(Buffer.concat([largest, Buffer.of(0)])), undefined);
});

test("the short way takes nothing that the general reader refuses or reads otherwise", () => {
  const change = fc.record({ at: fc.nat(40), to: fc.nat(255), cut: fc.nat(4), more: bytes(0, 4) });
  fc.assert(
    fc.property(envelope, fc.array(change, { minLength: 1, maxLength: 3 }), (whole, changes) => {
      let changed = Buffer.from(whole);
      for (const { at, to, cut, more } of changes) {
        if (at < changed.length) changed[at] = to;
        changed = Buffer.concat([changed.subarray(0, changed.length - cut), more]);
      }
      const short = parseUsualEnvelope(changed);
      if (short) assert.deepEqual(plain(short), plain(general(changed)));
    }),
    { numRuns: 1_000 },
  );
});
