import assert from "node:assert/strict";
import { test } from "node:test";
import { verifyConsistency, verifyInclusion } from "../../src/transparency/tree.ts";
import { isConsistent, isIncluded } from "../../src/transparency/verify/tree.ts";
import { readLines } from "./read.ts";

interface Inclusion {
  file: string;
  leafIdx: number;
  treeSize: number;
  root: string;
  leafHash: string;
  proof: string[] | null;
  wantErr: boolean;
}

interface Consistency {
  file: string;
  size1: number;
  size2: number;
  root1: string;
  root2: string;
  proof: string[] | null;
  wantErr: boolean;
}

const bytes = (base64: string | null) => new Uint8Array(Buffer.from(base64 ?? "", "base64"));
const path = (proof: string[] | null) => (proof ?? []).map(bytes);

test("transparency-dev: right inclusion proofs hold, wrong ones do not", () => {
  const cases = readLines<Inclusion>("merkle/inclusion.ndjson.gz");
  assert.ok(cases.length > 30);
  for (const c of cases) {
    const leaf = bytes(c.leafHash);
    const holds = verifyInclusion(leaf, c.leafIdx, c.treeSize, path(c.proof), bytes(c.root));
    assert.equal(holds, !c.wantErr, c.file);
    const judged = isIncluded(leaf, c.leafIdx, c.treeSize, path(c.proof), bytes(c.root));
    assert.equal(judged, !c.wantErr, `${c.file}, by the verifier`);
  }
});

test("transparency-dev: right consistency proofs hold, wrong ones do not", () => {
  const cases = readLines<Consistency>("merkle/consistency.ndjson.gz");
  assert.ok(cases.length > 30);
  for (const c of cases) {
    const proof = path(c.proof);
    const holds = verifyConsistency(c.size1, c.size2, proof, bytes(c.root1), bytes(c.root2));
    assert.equal(holds, !c.wantErr, c.file);
    const judged = isConsistent(c.size1, c.size2, proof, bytes(c.root1), bytes(c.root2));
    assert.equal(judged, !c.wantErr, `${c.file}, by the verifier`);
  }
});
