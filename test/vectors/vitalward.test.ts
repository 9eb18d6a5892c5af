import assert from "node:assert/strict";
import { createHmac, createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { p256 } from "@noble/curves/nist.js";
import * as hpke from "hpke";
import { systemClock } from "../../src/clock.ts";
import { type Batch, decodeBatch, encodeBatch } from "../../src/envelope/batch.ts";
import { batchLeaf, leafSalt, verifyBlock } from "../../src/envelope/block.ts";
import { decodeContent, encodeContent } from "../../src/envelope/content.ts";
import { openPrekey, openReply, parseOpening, verifyOpening } from "../../src/envelope/opening.ts";
import { splitPayload } from "../../src/envelope/payload.ts";
import { openDownlinkWith, PlatformSession } from "../../src/envelope/session.ts";
import type { KemMode, Shares } from "../../src/envelope/shares.ts";
import { suiteByAlg } from "../../src/envelope/suites.ts";
import { verifyInclusion } from "../../src/transparency/tree.ts";
import type { batchVectors } from "./batch-vectors.ts";
import { type blockVectors, ed25519Of } from "./block-vectors.ts";
import { hex, readEncapsulations, sha256 } from "./chance.ts";
import { FOLDER, vectors } from "./generate.ts";
import type { sessionVectors } from "./session-vectors.ts";

const read = <T>(name: string) => JSON.parse(readFileSync(`${FOLDER}${name}`, "utf8")) as T;
const bytes = (text: string) => new Uint8Array(Buffer.from(text, "hex"));
const device = createPublicKey(ed25519Of("device"));
const platform = createPublicKey(ed25519Of("platform"));
const spki = device.export({ format: "der", type: "spki" });

test("the vectors on file are the ones that the seeds give", () => {
  const made = vectors(readEncapsulations(), false);
  for (const [name, text] of Object.entries(made)) {
    assert.equal(text, readFileSync(`${FOLDER}${name}`, "utf8"), `${name} differs`);
  }
});

test("the bytes in the specification's worked example are those of the vectors", () => {
  const page = readFileSync(new URL("../../docs/envelope.md", import.meta.url), "utf8");
  const files = ["batches.json", "blocks.json", "sessions.json"];
  const all = files.map((name) => readFileSync(`${FOLDER}${name}`, "utf8")).join("");
  const shown = [...page.matchAll(/^```vectors\n([\s\S]*?)^```/gm)].flatMap(([, text = ""]) =>
    text.trim().split("\n"),
  );
  assert.ok(shown.length >= 14, `${shown.length} lines of bytes`);
  for (const line of shown) assert.ok(all.includes(line), line);
});

test("each batch is the one form of its samples, and each refused form is refused by name", () => {
  const file = read<ReturnType<typeof batchVectors>>("batches.json");
  assert.equal(file.batches.length, 3);
  for (const { name, batch, bytes: text } of file.batches) {
    const waveforms = batch.waveforms.map((w) => ({ ...w, values: Int32Array.from(w.values) }));
    const whole: Batch = { ...batch, waveforms };
    assert.equal(hex(encodeBatch(whole)), text, name);
    assert.deepEqual(decodeBatch(bytes(text)), whole, name);
  }
  assert.ok(file.refused.length >= 12);
  for (const { why, bytes: text } of file.refused) {
    assert.throws(() => decodeBatch(bytes(text)), { code: "batch-refused" }, why);
  }
  for (const { name, bytes: text } of file.contents) {
    assert.equal(hex(encodeContent(decodeContent(bytes(text)))), text, name);
  }
});

test("salts, leaves, roots, paths and both signatures of the block hold", () => {
  const file = read<ReturnType<typeof blockVectors>>("blocks.json");
  for (const { sequence, batch, salt, leaf } of file.leaves) {
    assert.equal(hex(leafSalt(bytes(file.saltKey), sequence)), salt);
    assert.equal(hex(batchLeaf(bytes(salt), bytes(batch))), leaf);
  }
  const leafAt = (i: number) => bytes(file.leaves[i]?.leaf ?? "");
  const path = (of: string[]) => of.map(bytes);
  assert.ok(verifyInclusion(leafAt(1), 1, 3, path(file.pathOfSecond), bytes(file.rootOfThree)));
  assert.ok(verifyInclusion(leafAt(3), 3, 4, path(file.pathOfFourth), bytes(file.rootOfFour)));
  const raw = p256.getPublicKey(bytes(file.p256Private), false);
  const p256Spki = Buffer.concat([
    Buffer.from("3059301306072a8648ce3d020106082a8648ce3d030107034200", "hex"),
    raw,
  ]);
  const keys = { signedByEd25519: spki, signedByP256: p256Spki };
  for (const [name, publicKey] of Object.entries(keys)) {
    const signed = bytes(file[name as keyof typeof keys]);
    const signer = { certificateHash: file.certificateHash, publicKey };
    const block = verifyBlock(signed, signer);
    assert.deepEqual(
      [block?.from, block?.to, block?.count, block?.lastSequence, block && hex(block.root)],
      [1, 5, 3, 5, file.rootOfThree],
    );
    signed[70]! ^= 1;
    assert.equal(verifyBlock(signed, signer), undefined);
  }
});

type Session = ReturnType<typeof sessionVectors>["sessions"][number];
const { sessions } = read<ReturnType<typeof sessionVectors>>("sessions.json");

for (const s of sessions) {
  test(`session "${s.name}": the platform opens its envelopes, the device its receipt`, () => {
    const suite = suiteByAlg(s.alg);
    assert.ok(suite);
    const opening = parseOpening(bytes(s.opening));
    assert.ok(verifyOpening(opening, spki));
    assert.equal(opening.sessionId, s.sessionId);
    const roots = { up: bytes(s.keys.up), down: bytes(s.keys.down) };
    const session = PlatformSession.start(s.sessionId, "device", suite, roots, systemClock);
    assert.deepEqual(
      session.kids(0, 2).map(hex),
      s.keys.epochs.map(({ kid }) => kid),
    );
    for (const one of [...s.envelopes].reverse()) {
      const [item] = splitPayload(bytes(one.envelope as string));
      const { content, epoch, index } = session.open(item?.bytes as Uint8Array);
      assert.deepEqual([content.sequence, epoch, index], [one.sequence, one.epoch, one.partialIv]);
      assert.equal(hex(encodeContent(content)), one.plaintext);
      assert.equal(hex(sha256(bytes(one.envelope as string))), one.envelopeHash);
    }
    const secret = { sessionId: s.sessionId, alg: s.alg, downRoot: roots.down };
    const { receipt } = openDownlinkWith(secret, bytes(s.downlink));
    assert.deepEqual(receipt && { ...receipt, bitmap: hex(receipt.bitmap) }, s.receipt);
  });

  test(`session "${s.name}": its roots come out of another HPKE library, too`, async () => {
    const ikm = await exporterSecrets(s, sharesOf(s));
    const first = bytes(("prekey" in s && s.prekey) || s.opening);
    const second = bytes(("reply" in s && s.reply) || s.opening);
    const transcript = sha256("vitalward/1 transcript", sha256(first), sha256(second));
    assert.equal(hex(transcript), s.keys.transcript);
    const prk = createHmac("sha256", transcript).update(ikm).digest();
    const root = (name: string) => createHmac("sha256", prk).update(`${name}\x01`).digest("hex");
    assert.equal(root("vitalward/1 up"), s.keys.up);
    assert.equal(root("vitalward/1 down"), s.keys.down);
  });
}

/** What the recipient got, from the signed message that carries it. */
function sharesOf(s: Session): Shares {
  if ("reply" in s && s.reply !== undefined) {
    return openReply(bytes(s.reply), s.kem as KemMode, platform).sent;
  }
  assert.ok("prekey" in s && s.prekey !== undefined);
  const prekey = openPrekey(bytes(s.prekey), platform);
  assert.equal(parseOpening(bytes(s.opening)).prekeyId, prekey.id);
  return parseOpening(bytes(s.opening)).shares;
}

async function exporterSecrets(s: Session, sent: Shares): Promise<Uint8Array> {
  const text = (words: string) => new TextEncoder().encode(words);
  const halves = [
    { kem: hpke.KEM_DHKEM_X25519_HKDF_SHA256, key: s.secrets.recipientX25519, enc: sent.x25519 },
  ];
  if (s.secrets.recipientMlKemSeed !== undefined && sent.mlKem !== undefined) {
    const key = s.secrets.recipientMlKemSeed;
    halves.push({ kem: hpke.KEM_ML_KEM_768, key, enc: sent.mlKem });
  }
  const exported: Uint8Array[] = [];
  for (const { kem, key, enc } of halves) {
    const suite = new hpke.CipherSuite(kem, hpke.KDF_HKDF_SHA256, hpke.AEAD_EXPORT_ONLY);
    const privateKey = await suite.DeserializePrivateKey(bytes(key));
    const context = text("vitalward/1 session key");
    const info = text("vitalward/1 session");
    exported.push(await suite.ReceiveExport(privateKey, enc, context, 32, { info }));
  }
  return Buffer.concat(exported);
}
