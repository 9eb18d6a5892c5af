import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { decodeIndexProof } from "../../src/transparency/index-proof.ts";
import { decodeBundle } from "../../src/transparency/tile-paths.ts";
import { inclusionPath } from "../../src/transparency/tree.ts";
import { verifyCheckpoint } from "../../src/transparency/verify/checkpoint.ts";
import { nextShardTag, verifyCompleteness } from "../../src/transparency/verify/completeness.ts";
import { verifyIndexFraud } from "../../src/transparency/verify/fraud.ts";
import { type Opening, walkHistory } from "../../src/transparency/verify/history.ts";
import { verifyIndexProof } from "../../src/transparency/verify/index-proof.ts";
import { verifyProofFile } from "../../src/transparency/verify/proof-file.ts";
import { leafHashOf } from "../../src/transparency/verify/tree.ts";
import { LOG_VECTORS, type LogVectors, logVectors, SIGNED_S, textOf } from "./log-vectors.ts";

const onFile = readFileSync(LOG_VECTORS, "utf8");
const file = JSON.parse(onFile) as LogVectors;
const bytes = (text: string) => new Uint8Array(Buffer.from(text, "hex"));
const hex = (given: Uint8Array) => Buffer.from(given).toString("hex");
const policy = {
  origin: `${file.log}/${file.shard}`,
  operator: "hospital",
  logKeys: [file.logKey.vkey, file.mlDsa44.vkey],
  witnesses: file.witnessKeys.map(({ vkey }) => ({ operator: vkey, keys: [vkey] })),
  quorum: 3,
  freshWithinS: 300,
  aheadS: 60,
};

test("the log's vectors on file are the ones that the seeds give", () => {
  assert.equal(textOf(logVectors(file.mlDsa44.note)), onFile);
});

test("the bytes in the log's worked example are those of the vectors", () => {
  const page = readFileSync(new URL("../../docs/log.md", import.meta.url), "utf8");
  const shown = [...page.matchAll(/^```vectors\n([\s\S]*?)^```/gm)].flatMap(([, text = ""]) =>
    text.split("\n").filter((line) => line !== ""),
  );
  assert.ok(shown.length >= 25, `${shown.length} lines of bytes`);
  for (const line of shown) {
    assert.ok(onFile.includes(JSON.stringify(line).slice(1, -1)), line);
  }
});

test("the values between key and leaf are those of the page's rules", () => {
  for (const { leaf, tag, leafHash } of file.chain) {
    assert.equal(leaf.slice(4, 68), tag);
    assert.equal(hex(leafHashOf(bytes(leaf))), leafHash);
  }
  assert.equal(file.nextShardLeaf.slice(4, 68), hex(nextShardTag(file.log, file.shard)));
});

const openings: Opening[] = file.chain.map(({ n, payload }) => ({
  shard: file.shard,
  n,
  class: "event",
  payload: new Uint8Array(Buffer.from(payload)),
  basis: { state: bytes(file.state) },
}));

test("the verifier walks the chain to the same leaves", () => {
  const walked = walkHistory(bytes(file.subjectKey), file.log, openings);
  assert.deepEqual(
    walked?.leafHashes.map(hex),
    file.chain.map(({ leafHash }) => leafHash),
  );
});

test("the checkpoint holds with three of four witnesses, and with ML-DSA-44 alone without any", async () => {
  const verdict = await verifyCheckpoint(file.checkpoint.join("\n"), policy, SIGNED_S);
  assert.equal(verdict.reason, undefined);
  const alone = { ...policy, witnesses: [], quorum: 0 };
  const note = file.mlDsa44.note.join("\n");
  assert.equal((await verifyCheckpoint(note, alone, SIGNED_S)).reason, undefined);
  const changed = note.replace("\n5\n", "\n6\n");
  assert.equal((await verifyCheckpoint(changed, alone, SIGNED_S)).reason, "invalid-signature");
});

test("the proof file holds for its leaf; the tiles hold the entries", async () => {
  const always = { ...policy, freshWithinS: Number.POSITIVE_INFINITY };
  const text = file.proofFile.join("\n");
  const verdict = await verifyProofFile(text, bytes(file.entries[1] ?? ""), always, SIGNED_S);
  assert.equal(verdict.reason, undefined);
  const bundle = decodeBundle(bytes(file.tiles["tile/entries/000.p/5"] ?? ""), 5);
  assert.deepEqual(bundle?.map(hex), file.entries);
  assert.equal(bundle?.map(leafHashOf).map(hex).join(""), file.tiles["tile/0/000.p/5"]);
});

test("the index shows the last tag and none after it", () => {
  const judge = ({ tag, proof }: { tag: string; proof: string }) => {
    const decoded = decodeIndexProof(bytes(proof));
    assert.ok(decoded);
    return verifyIndexProof(bytes(tag), decoded, bytes(file.index.root)).verdict;
  };
  assert.equal(judge(file.indexProofs.last), "present");
  for (const proof of file.indexProofs.ahead) assert.equal(judge(proof), "absent");
  assert.equal(judge(file.indexProofs.nextShard), "absent");
});

test("these are all of the subject's entries; with a proof too few that is not shown", async () => {
  const proofOf = ({ proof }: { proof: string }) => decodeIndexProof(bytes(proof))!;
  const ahead = file.indexProofs.ahead.map(proofOf);
  const reasonWith = async (some: typeof ahead) => {
    const shard = {
      checkpoint: file.checkpoint.join("\n"),
      indexRootLeaf: bytes(file.entries[4] ?? ""),
      path: file.lastPath.map(bytes),
      nextShard: proofOf(file.indexProofs.nextShard),
      last: proofOf(file.indexProofs.last),
      ahead: some,
    };
    const verdict = await verifyCompleteness({
      key: bytes(file.subjectKey),
      log: file.log,
      openings,
      policyOf: () => policy,
      nowS: SIGNED_S,
      shards: [shard],
    });
    return verdict.reason;
  };
  assert.equal(await reasonWith(ahead), undefined);
  assert.equal(await reasonWith(ahead.slice(1)), "more-entries");
});

test("the example's index convicts nobody for a leaf that it has", async () => {
  const hashes = file.entries.map((entry) => leafHashOf(bytes(entry)));
  const fraud = {
    checkpoint: file.checkpoint.join("\n"),
    indexRootLeaf: bytes(file.entries[4] ?? ""),
    indexRootPath: file.lastPath.map(bytes),
    leaf: bytes(file.entries[3] ?? ""),
    index: 3,
    path: inclusionPath(hashes, 3),
  };
  const judge = (text: string) => {
    const proof = decodeIndexProof(bytes(text));
    assert.ok(proof);
    return verifyIndexFraud({ ...fraud, proof }, policy, SIGNED_S);
  };
  assert.equal(await judge(file.indexProofs.last.proof), undefined);
  // The proof of another tag's absence is none of this one's.
  assert.equal(await judge(file.indexProofs.ahead[0]?.proof ?? ""), undefined);
});
