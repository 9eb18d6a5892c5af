import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { verifyConsistency, verifyInclusion } from "../../src/transparency/tree.ts";

interface Proof {
  file: string;
  proof: string[] | null;
  wantErr: boolean;
}
interface Inclusion extends Proof {
  leafIdx: number;
  treeSize: number;
  root: string;
  leafHash: string;
}
interface Consistency extends Proof {
  size1: number;
  size2: number;
  root1: string;
  root2: string;
}

const bytes = (text: string | null) => new Uint8Array(Buffer.from(text ?? "", "base64"));

function rows<T>(name: string): T[] {
  const text = readFileSync(new URL(`merkle/${name}.ndjson`, import.meta.url), "utf8");
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as T);
}

test("right inclusion proofs hold and wrong ones do not", () => {
  const all = rows<Inclusion>("inclusion");
  assert.deepEqual([all.filter((one) => !one.wantErr).length, all.length], [4, 53]);
  for (const { file, leafHash, leafIdx, treeSize, proof, root, wantErr } of all) {
    const path = (proof ?? []).map(bytes);
    const holds = verifyInclusion(bytes(leafHash), leafIdx, treeSize, path, bytes(root));
    assert.equal(holds, !wantErr, file);
  }
});

test("right consistency proofs hold and wrong ones do not", () => {
  const all = rows<Consistency>("consistency");
  assert.deepEqual([all.filter((one) => !one.wantErr).length, all.length], [3, 43]);
  for (const { file, size1, size2, proof, root1, root2, wantErr } of all) {
    const path = (proof ?? []).map(bytes);
    const holds = verifyConsistency(size1, size2, path, bytes(root1), bytes(root2));
    assert.equal(holds, !wantErr, file);
  }
});
