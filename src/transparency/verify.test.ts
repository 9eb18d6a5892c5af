import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, type KeyObject } from "node:crypto";
import { test } from "node:test";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { encodeBatch } from "../envelope/batch.ts";
import { batchLeaf, blockRoot, inclusionProof, signBlock } from "../envelope/block.ts";
import { type ReadingProof, type ShownReading, verifyReading } from "./verify.ts";

x509.cryptoProvider.set(globalThis.crypto);
const SESSION = "00112233445566778899aabbccddeeff";
const DEVICE = "0190c0de-0000-7000-8000-000000000001";
const P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

const batchOf = (sequence: number) =>
  encodeBatch({
    sequence,
    clockMs: 1_000_000,
    offsetMs: 500,
    points: [
      {
        mdc: 147842,
        exponent: 0,
        timesMs: [990_000, 991_000, 993_000],
        mantissas: [70, 71, 72],
        quality: [0, 2, 0],
      },
    ],
    waveforms: [],
  });

const shown: ShownReading = {
  mdc: 147842,
  mantissa: 71,
  exponent: 0,
  timeMs: 991_500,
  quality: 2,
  deviceId: DEVICE,
  sessionId: SESSION,
  sequence: 12,
};

async function proofOf(curve: "ed25519" | "P-256"): Promise<ReadingProof> {
  const ca = await crypto.subtle.generateKey(P256, true, ["sign", "verify"]);
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=authority",
    keys: ca,
    signingAlgorithm: P256,
  });
  const pair =
    curve === "ed25519"
      ? generateKeyPairSync("ed25519")
      : generateKeyPairSync("ec", { namedCurve: "P-256" });
  const certificate = await certify(pair.publicKey, curve, ca.privateKey, authority);
  const der = new Uint8Array(certificate.rawData);
  const salts = Array.from({ length: 5 }, (_, n) => new Uint8Array(32).fill(n + 1));
  const leaves = salts.map((salt, n) => batchLeaf(salt, batchOf(10 + n)));
  const block = signBlock(
    { certificateHash: createHash("sha256").update(der).digest(), privateKey: pair.privateKey },
    {
      sessionId: SESSION,
      from: 10,
      to: 14,
      count: 5,
      root: blockRoot(leaves),
      signedMs: 1_000_100,
      lastSequence: 0,
    },
  );
  return {
    block,
    certificate: der,
    authority: new Uint8Array(authority.rawData),
    salt: salts[2] ?? new Uint8Array(),
    batch: batchOf(12),
    index: 2,
    path: inclusionProof(leaves, 2),
  };
}

async function certify(
  publicKey: KeyObject,
  curve: "ed25519" | "P-256",
  signingKey: CryptoKey,
  authority: x509.X509Certificate,
) {
  const spki = new Uint8Array(publicKey.export({ type: "spki", format: "der" }));
  const how = curve === "ed25519" ? { name: "Ed25519" } : P256;
  return x509.X509CertificateGenerator.create({
    subject: `CN=${DEVICE}`,
    issuer: authority.subject,
    publicKey: await crypto.subtle.importKey("spki", spki, how, true, ["verify"]),
    signingKey,
    signingAlgorithm: P256,
  });
}

for (const curve of ["ed25519", "P-256"] as const) {
  test(`a reading that a ${curve} device signed is proven, step by step`, async () => {
    const verdict = await verifyReading(await proofOf(curve), shown);
    assert.deepEqual(verdict.steps, {
      batch: true,
      leaf: true,
      root: true,
      signature: true,
      certificate: true,
    });
    assert.equal(verdict.holds, true);
    assert.deepEqual([verdict.block?.from, verdict.block?.to], [10, 14]);
  });
}

test("a reading shown otherwise than it was signed is not proven", async () => {
  const proof = await proofOf("P-256");
  const changes: Partial<ShownReading>[] = [
    { mantissa: 72 },
    { timeMs: 991_501 },
    { quality: 0 },
    { mdc: 150456 },
    { exponent: 1 },
    { sequence: 13 },
    { sequence: 15 },
    { sessionId: "ff".repeat(16) },
    { deviceId: "0190c0de-0000-7000-8000-000000000002" },
  ];
  for (const change of changes) {
    const verdict = await verifyReading(proof, { ...shown, ...change });
    assert.equal(verdict.holds, false, JSON.stringify(change));
  }
  assert.equal((await verifyReading(proof, { ...shown, mantissa: 710, exponent: -1 })).holds, true);
});

test("any changed byte of the proof shows", async () => {
  const proof = await proofOf("P-256");
  const flip = (bytes: Uint8Array, at: number) => {
    const changed = Uint8Array.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ 1;
    return changed;
  };
  for (const part of ["block", "certificate", "batch", "salt"] as const) {
    for (let at = 0; at < proof[part].length; at += 1) {
      const verdict = await verifyReading({ ...proof, [part]: flip(proof[part], at) }, shown);
      assert.equal(verdict.holds, false, `${part} ${at}`);
    }
  }
  for (let n = 0; n < proof.path.length; n += 1) {
    const path = proof.path.map((hash, i) => (i === n ? flip(hash, 5) : hash));
    assert.equal((await verifyReading({ ...proof, path }, shown)).holds, false);
  }
  assert.equal((await verifyReading({ ...proof, index: 1 }, shown)).holds, false);
  assert.equal((await verifyReading({ ...proof, path: proof.path.slice(1) }, shown)).holds, false);
});

test("a certificate of another authority does not count", async () => {
  const proof = await proofOf("P-256");
  const other = await proofOf("P-256");
  const verdict = await verifyReading({ ...proof, authority: other.authority }, shown);
  assert.equal(verdict.steps.certificate, false);
  assert.equal(verdict.steps.signature, true);
});
