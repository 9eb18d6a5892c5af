import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { test } from "node:test";
import { cutLater } from "../../../test/support/index-forgery.ts";
import { MemoryIndexStore, VerifiableIndex } from "../index-tree.ts";
import { encodeIndexRootLeaf, encodeLeaf } from "../leaf-format.ts";
import { formatKey } from "../note.ts";
import { logSigner, signCheckpoint } from "../sign.ts";
import { inclusionPath, leafHash, rootOf } from "../tree.ts";
import { type IndexFraud, verifyIndexFraud } from "./fraud.ts";

const ORIGIN = "hospital.example/log/0";
const signer = logSigner(ORIGIN, generateKeyPairSync("ed25519").privateKey);
const policy = {
  origin: ORIGIN,
  operator: "hospital",
  logKeys: [formatKey(signer.key)],
  witnesses: [],
  quorum: 0,
  freshWithinS: 0,
  aheadS: 0,
};
const random = () => new Uint8Array(randomBytes(32));
const event = (tag = random()) =>
  encodeLeaf({ class: "event", tag, commit: random(), basis: random() });

/** A checkpoint whose index was made from other entries than the log has. */
function published(entries: readonly Uint8Array[], indexed: readonly Uint8Array[], at: number) {
  const index = new VerifiableIndex(new MemoryIndexStore());
  const { root, tags } = index.append(indexed);
  const all = [...entries, encodeIndexRootLeaf({ root, covered: entries.length, tags })];
  const hashes = all.map(leafHash);
  const fraud: IndexFraud = {
    checkpoint: signCheckpoint(
      { origin: ORIGIN, size: all.length, root: rootOf(hashes) },
      [signer],
      1,
    ),
    indexRootLeaf: all.at(-1)!,
    indexRootPath: inclusionPath(hashes, all.length - 1),
    leaf: all[at]!,
    index: at,
    path: inclusionPath(hashes, at),
    proof: index.prove(all[at]!.slice(2, 34)),
  };
  return fraud;
}

test("a leaf that the index lacks, or has for a later leaf, convicts the log", async () => {
  const entries = [event(), event(), event(), event()];
  const lacking = published(entries, entries.with(2, event()), 2);
  assert.equal(await verifyIndexFraud(lacking, policy, 1), "absent");
  const tag = entries[1]!.slice(2, 34);
  const twice = entries.with(3, event(tag));
  const late = published(twice, twice.with(1, event()), 1);
  assert.equal(await verifyIndexFraud(late, policy, 1), "later");
  const other = published(entries, entries.with(1, event(tag)), 1);
  assert.equal(await verifyIndexFraud(other, policy, 1), "later");
});

test("an honest log is convicted by none of its leaves, nor by files that do not fit together", async () => {
  const tag = random();
  const entries: Uint8Array[] = [event(), event(tag), event(), event(tag), new Uint8Array(107)];
  for (let at = 0; at <= entries.length; at += 1) {
    const honest = published(entries, entries, at);
    assert.equal(await verifyIndexFraud(honest, policy, 1), undefined, `leaf ${at}`);
    const cut = { ...honest, proof: cutLater(honest.proof) };
    assert.equal(await verifyIndexFraud(cut, policy, 1), undefined, `leaf ${at}, cut elsewhere`);
  }
  const real = published(entries, entries.with(2, event()), 2);
  assert.equal(await verifyIndexFraud(real, policy, 1), "absent");
  const unfit: Partial<IndexFraud>[] = [
    { leaf: event() },
    { index: 1 },
    { path: [] },
    { indexRootPath: [] },
    { indexRootLeaf: entries[0]! },
    { checkpoint: real.checkpoint.replace("\n6\n", "\n7\n") },
    { proof: { siblings: [], end: undefined } },
  ];
  for (const change of unfit) {
    const judged = await verifyIndexFraud({ ...real, ...change }, policy, 1);
    assert.equal(judged, undefined, Object.keys(change).join());
  }
});
