import assert from "node:assert/strict";
import { createPublicKey, createSecretKey, diffieHellman, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import {
  ML_KEM_CIPHERTEXT_BYTES,
  mlKemDecap,
  mlKemPrivate,
  publicBytes,
  x25519Decap,
  x25519Private,
} from "../../src/envelope/hpke.ts";
import { expand, extract, hmac } from "../../src/envelope/kdf.ts";
import { AES_256_GCM, CHACHA20_POLY1305, type Suite } from "../../src/envelope/suites.ts";

type Row = Record<string, string> & { tcId: number; result: string; flags: string[] };
interface Group {
  tests: Row[];
  ivSize?: number;
  keySize?: number;
  tagSize?: number;
  publicKeyDer?: string;
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const bytes = (text: string | undefined) => new Uint8Array(Buffer.from(text ?? "", "hex"));

function groups(set: string): Group[] {
  const file = readFileSync(new URL(`wycheproof/${set}_test.json.gz`, import.meta.url));
  return JSON.parse(gunzipSync(file).toString("utf8")).testGroups as Group[];
}

/** Runs every row; at least `least` must have been run, so that a filter cannot empty the test. */
function each(set: string, least: number, run: (row: Row, group: Group) => boolean): void {
  let ran = 0;
  for (const group of groups(set)) {
    for (const row of group.tests) if (run(row, group)) ran++;
  }
  assert.ok(ran >= least, `${set}: ${ran} rows`);
}

function aead(set: string, suite: Suite, least: number): void {
  // Other key, nonce and tag sizes are not used by envelopes.
  each(set, least, (row, group) => {
    if (group.keySize !== suite.keyBytes * 8 || group.tagSize !== 128) return false;
    if (group.ivSize !== suite.nonceBytes * 8) return false;
    const key = createSecretKey(bytes(row.key));
    const sealed = bytes(`${row.ct}${row.tag}`);
    const opened = suite.open(key, bytes(row.iv), bytes(row.aad), sealed);
    if (row.result === "valid") {
      assert.equal(opened && hex(opened), row.msg, `${set} ${row.tcId}`);
      const made = suite.seal(key, bytes(row.iv), bytes(row.aad), bytes(row.msg));
      assert.equal(hex(made), hex(sealed), `${set} ${row.tcId}`);
    } else assert.equal(opened, undefined, `${set} ${row.tcId}`);
    return true;
  });
}

test("AES-256-GCM seals and opens as Wycheproof says, and refuses what it must", () =>
  aead("aes_gcm", AES_256_GCM, 30));

test("ChaCha20-Poly1305 seals and opens as Wycheproof says, and refuses what it must", () =>
  aead("chacha20_poly1305", CHACHA20_POLY1305, 100));

test("HKDF-SHA256 gives Wycheproof's output, and refuses lengths past 255 blocks", () =>
  each("hkdf_sha256", 40, (row) => {
    const size = Number(row.size);
    const derive = () => expand(extract(bytes(row.salt), bytes(row.ikm)), bytes(row.info), size);
    if (row.result === "valid") assert.equal(hex(derive()), row.okm, `${row.tcId}`);
    else assert.throws(derive, RangeError, `${row.tcId}`);
    return true;
  }));

test("HMAC-SHA256 gives Wycheproof's tags", () =>
  each("hmac_sha256", 80, (row, group) => {
    const tag = hex(hmac(bytes(row.key), bytes(row.msg))).slice(0, (group.tagSize ?? 0) / 4);
    assert.equal(tag === row.tag, row.result === "valid", `${row.tcId}`);
    return true;
  }));

test("Ed25519 takes Wycheproof's valid signatures and no other", () =>
  each("ed25519", 70, (row, group) => {
    const key = createPublicKey({
      key: Buffer.from(bytes(group.publicKeyDer)),
      format: "der",
      type: "spki",
    });
    assert.equal(
      verify(null, bytes(row.msg), key, bytes(row.sig)),
      row.result === "valid",
      `${row.tcId}`,
    );
    return true;
  }));

for (const [set, dsaEncoding] of [
  ["ecdsa_secp256r1_sha256_p1363", "ieee-p1363"], // COSE
  ["ecdsa_secp256r1_sha256", "der"], // certificates
] as const) {
  test(`ECDSA P-256 takes Wycheproof's valid signatures and no other (${dsaEncoding})`, () =>
    each(set, 120, (row, group) => {
      const spki = createPublicKey({
        key: Buffer.from(bytes(group.publicKeyDer)),
        format: "der",
        type: "spki",
      });
      const key = { key: spki, dsaEncoding };
      const isGood = verify("sha256", bytes(row.msg), key, bytes(row.sig));
      assert.equal(isGood, row.result === "valid", `${row.tcId}`);
      return true;
    }));
}

test("X25519 agrees with Wycheproof, and refuses points that give zero", () =>
  each("x25519", 250, (row) => {
    const privateKey = x25519Private(bytes(row.private));
    if (/^0+$/.test(row.shared ?? "")) {
      assert.throws(() => x25519Decap(privateKey, bytes(row.public)), Error, `${row.tcId}`);
      return true;
    }
    const publicKey = createPublicKey({
      key: bytes(row.public),
      format: "raw-public",
      asymmetricKeyType: "x25519",
    });
    assert.equal(hex(diffieHellman({ privateKey, publicKey })), row.shared, `${row.tcId}`);
    assert.equal(x25519Decap(privateKey, bytes(row.public)).length, 32);
    return true;
  }));

test("ML-KEM-768 decapsulates as Wycheproof says, changed ciphertexts too", () =>
  each("mlkem_768", 90, (row) => {
    const decapsulate = () => {
      const key = mlKemPrivate(bytes(row.seed));
      const c = bytes(row.c);
      // Openings and replies of another length do not get this far (readShares in opening.ts).
      if (c.length !== ML_KEM_CIPHERTEXT_BYTES) throw new Error("the length is refused before");
      if (row.ek) assert.equal(hex(publicBytes(key)), row.ek, `${row.tcId}`);
      return hex(mlKemDecap(key, c));
    };
    if (row.result === "valid") assert.equal(decapsulate(), row.K, `${row.tcId}`);
    else assert.throws(decapsulate, Error, `${row.tcId}`);
    return true;
  }));
