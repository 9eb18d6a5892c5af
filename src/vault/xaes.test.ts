import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { shake128 } from "@noble/hashes/sha3.js";
import fc from "fast-check";
import { sealXaesWithNonce, XAES_NONCE_BYTES, xaesKey } from "./xaes.ts";

const published = JSON.parse(
  readFileSync(new URL("../../test/vectors/xaes-256-gcm/vectors.json", import.meta.url), "utf8"),
) as { vectors: Record<string, string>[]; accumulated: Record<string, string> };

test("XAES-256-GCM gives the published ciphertexts (C2SP)", () => {
  assert.ok(published.vectors.length >= 2);
  for (const vector of published.vectors) {
    const bytes = (name: string) => Buffer.from(vector[name]!, "hex");
    const sealed = sealXaesWithNonce(bytes("K"), bytes("N"), bytes("AAD"), bytes("Plaintext"));
    assert.equal(sealed.toString("hex"), vector.Ciphertext);
    const opened = xaesKey(bytes("K"), randomBytes).open(
      bytes("AAD"),
      Buffer.concat([bytes("N"), sealed]),
    );
    assert.deepEqual(opened, bytes("Plaintext"));
  }
});

test("XAES-256-GCM gives the published digest over 10,000 sealings (C2SP)", () => {
  const source = shake128.create({ dkLen: 32 });
  const digest = shake128.create({ dkLen: 32 });
  for (let i = 0; i < 10_000; i++) {
    const key = source.xof(32);
    const nonce = source.xof(XAES_NONCE_BYTES);
    const plaintext = source.xof(source.xof(1)[0]!);
    const aad = source.xof(source.xof(1)[0]!);
    digest.update(sealXaesWithNonce(key, nonce, aad, plaintext));
  }
  const found = Buffer.from(digest.digest()).toString("hex");
  assert.equal(found, published.accumulated["10000"]);
});

test("what a key sealed opens with that key and that associated data, and nothing else does", () => {
  const key = xaesKey(randomBytes(32), randomBytes);
  const other = xaesKey(randomBytes(32), randomBytes);
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.uint8Array({ maxLength: 40 }),
      fc.nat(),
      (plaintext, aad, where) => {
        const sealed = key.seal(aad, plaintext);
        assert.deepEqual(new Uint8Array(key.open(aad, sealed)!), plaintext);
        assert.equal(other.open(aad, sealed), undefined);
        assert.equal(key.open(Buffer.concat([aad, Buffer.from("x")]), sealed), undefined);
        sealed[where % sealed.length]! ^= 1 << (where % 8);
        assert.equal(key.open(aad, sealed), undefined);
        assert.equal(key.open(aad, sealed.subarray(0, where % sealed.length)), undefined);
      },
    ),
  );
});

test("no nonce comes twice, also past the messages of one prefix", () => {
  const key = xaesKey(randomBytes(32), randomBytes);
  const seen = new Set<string>();
  const prefixes = new Set<string>();
  const rounds = 2 ** 16 + 10;
  for (let i = 0; i < rounds; i++) {
    const nonce = key.seal(Buffer.alloc(0), Buffer.alloc(1)).subarray(0, XAES_NONCE_BYTES);
    seen.add(nonce.toString("latin1"));
    prefixes.add(nonce.subarray(0, 12).toString("latin1"));
  }
  assert.equal(seen.size, rounds);
  assert.equal(prefixes.size, 2);
});
