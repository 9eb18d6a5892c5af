import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { cutLater } from "../../test/support/index-forgery.ts";
import { randomBytes, randomInt } from "../../test/support/seeded.ts";
import { decodeIndexProof, encodeIndexProof, type IndexedLeaf } from "./index-proof.ts";
import { MemoryIndexStore, VerifiableIndex } from "./index-tree.ts";
import { revocationLeaf } from "./leaf.ts";
import { encodeIndexRootLeaf, encodeLeaf } from "./leaf-format.ts";
import { leafHash } from "./tree.ts";
import { verifyIndexProof } from "./verify/index-proof.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const random = () => new Uint8Array(randomBytes(32));
const sha256 = (...parts: readonly Uint8Array[]) =>
  createHash("sha256").update(Buffer.concat(parts)).digest();
const eventWith = (tag: Uint8Array) =>
  encodeLeaf({ class: "event", tag, commit: random(), basis: random() });
const ZERO = Buffer.alloc(32);

/** The tree's definition, word for word: a map and a recursion over whole lists. */
function naive(entries: readonly Uint8Array[]) {
  const held = new Map<string, { index: number; leafHash: Uint8Array }>();
  for (const [index, entry] of entries.entries()) {
    if (entry.length !== 107 || entry[0] !== 1 || entry[1] === 2) continue;
    const tag = hex(entry.subarray(2, 34));
    if (entry[1] === 3 && hex(sha256(entry.subarray(34, 66))) !== tag) continue;
    if (entry[1] === 3 && entry.subarray(66, 98).some((byte) => byte !== 0)) continue;
    if (!held.has(tag)) held.set(tag, { index, leafHash: leafHash(entry) });
  }
  const bits = (tag: string) =>
    [...Buffer.from(tag, "hex")].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  const rootOf = (tags: readonly string[], depth: number): Uint8Array => {
    const [only] = tags;
    if (only === undefined) return ZERO;
    if (tags.length === 1) {
      const index = Buffer.alloc(8);
      index.writeBigUInt64BE(BigInt(held.get(only)?.index ?? 0));
      return sha256(Uint8Array.of(2), Buffer.from(only, "hex"), index, held.get(only)!.leafHash);
    }
    const side = (bit: string) =>
      rootOf(
        tags.filter((tag) => bits(tag)[depth] === bit),
        depth + 1,
      );
    return sha256(Uint8Array.of(3), side("0"), side("1"));
  };
  return { held, root: rootOf([...held.keys()], 0) };
}

/** Tags that agree in many bits, so that paths get long. */
function closeTo(tag: Uint8Array): Uint8Array {
  const close = Uint8Array.from(tag);
  const at = randomInt(256);
  close[at >> 3]! ^= 0x80 >> (at & 7);
  return close;
}

function someEntries(count: number): Uint8Array[] {
  const tags: Uint8Array[] = [random()];
  return Array.from({ length: count }, (_, n) => {
    const known = tags[randomInt(tags.length)]!;
    switch (randomInt(9)) {
      case 0:
        return eventWith(known); // a tag that comes again
      case 1:
        return encodeIndexRootLeaf({ root: random(), covered: n, tags: 0 });
      case 2:
        return revocationLeaf(random());
      case 3:
        return encodeLeaf({ class: "revocation", tag: random(), commit: random(), basis: ZERO });
      case 4:
        return new Uint8Array(randomInt(200)); // no leaf at all
      case 5: // a revocation by all but its basis
        return Uint8Array.from(revocationLeaf(random())).with(66 + randomInt(32), 1);
      default: {
        const tag = randomInt(2) === 0 ? closeTo(known) : random();
        tags.push(tag);
        return eventWith(tag);
      }
    }
  });
}

test("in batches of any size the index is the one of its definition", () => {
  for (let round = 0; round < 25; round += 1) {
    const entries = someEntries(randomInt(80));
    const index = new VerifiableIndex(new MemoryIndexStore());
    for (let at = 0; at < entries.length; ) {
      const size = randomInt(10);
      index.append(entries.slice(at, at + size));
      at += size;
    }
    const model = naive(entries);
    assert.equal(hex(index.head.root), hex(model.root));
    assert.equal(index.head.tags, model.held.size);
    assert.equal(index.head.covered, entries.length);
  }
});

test("every tag that is there is proven there, every other one absent, and never the other way", () => {
  for (let round = 0; round < 15; round += 1) {
    const entries = someEntries(1 + randomInt(80));
    const index = new VerifiableIndex(new MemoryIndexStore());
    const { root } = index.append(entries);
    const { held } = naive(entries);
    for (const [tag, { index: at, leafHash: hash }] of held) {
      const bytes = Buffer.from(tag, "hex");
      const proof = decodeIndexProof(encodeIndexProof(index.prove(bytes)));
      assert.ok(proof);
      const verdict = verifyIndexProof(bytes, proof, root);
      assert.ok(verdict.verdict === "present");
      assert.deepEqual([verdict.index, hex(verdict.leafHash)], [at, hex(hash)]);
      const other = closeTo(bytes);
      if (held.has(hex(other))) continue;
      assert.equal(verifyIndexProof(other, index.prove(other), root).verdict, "absent");
      // A present tag's proof is no proof for its neighbour unless the neighbour would stand there.
      const borrowed = verifyIndexProof(other, proof, root).verdict;
      assert.notEqual(borrowed, "present");
    }
    for (let n = 0; n < 20; n += 1) {
      const tag = random();
      assert.equal(verifyIndexProof(tag, index.prove(tag), root).verdict, "absent");
    }
  }
});

test("no tag that is there can be proven absent by an honest proof, nor by one cut elsewhere", () => {
  const entries = someEntries(120);
  const index = new VerifiableIndex(new MemoryIndexStore());
  const { root } = index.append(entries);
  const tags = [...naive(entries).held.keys()].map((tag) => Buffer.from(tag, "hex"));
  const proofs = [...tags, ...tags.map(closeTo), random(), random()].map((tag) => index.prove(tag));
  for (const tag of tags) {
    for (const proof of proofs) {
      assert.notEqual(verifyIndexProof(tag, proof, root).verdict, "absent");
      if (proof.end === undefined) continue;
      assert.equal(verifyIndexProof(tag, cutLater(proof), root).verdict, "invalid");
    }
  }
});

test("an end whose fields are of another size, or whose index is none, is refused and throws nothing", () => {
  const index = new VerifiableIndex(new MemoryIndexStore());
  const tag = random();
  const { root } = index.append([eventWith(tag)]);
  const { siblings, end } = index.prove(tag);
  assert.ok(end);
  const wrong: Partial<IndexedLeaf>[] = [
    ...[-1, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY].map((n) => ({ index: n })),
    ...[0, 31, 33].map((length) => ({ tag: new Uint8Array(length) })),
    ...[0, 31, 33].map((length) => ({ leafHash: new Uint8Array(length) })),
  ];
  for (const change of wrong) {
    const judged = verifyIndexProof(tag, { siblings, end: { ...end, ...change } }, root);
    assert.equal(judged.verdict, "invalid");
  }
});

test("a proof holds for its root only, and no changed byte of it holds otherwise", () => {
  const entries = someEntries(40);
  const index = new VerifiableIndex(new MemoryIndexStore());
  const before = index.append(entries);
  const tag = random();
  const absent = index.prove(tag);
  const after = index.append([eventWith(tag)]);
  assert.equal(verifyIndexProof(tag, absent, before.root).verdict, "absent");
  assert.equal(verifyIndexProof(tag, absent, after.root).verdict, "invalid");
  assert.equal(verifyIndexProof(tag, index.prove(tag), after.root).verdict, "present");
  assert.equal(verifyIndexProof(tag, index.prove(tag), before.root).verdict, "invalid");
  for (const proof of [absent, index.prove(tag)]) {
    const root = proof === absent ? before.root : after.root;
    const bytes = encodeIndexProof(proof);
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = decodeIndexProof(Uint8Array.from(bytes).with(at, bytes[at]! ^ 1));
      if (changed === undefined) continue;
      assert.equal(verifyIndexProof(tag, changed, root).verdict, "invalid", `byte ${at}`);
    }
    assert.equal(decodeIndexProof(bytes.subarray(0, -1)), undefined);
    assert.equal(decodeIndexProof(Buffer.concat([bytes, ZERO])), undefined);
  }
  assert.equal(decodeIndexProof(new Uint8Array()), undefined);
});

test("a leaf in the wrong place of a tree proves nothing absent", () => {
  // A root that no honest index has: two leaves, the right one's tag beginning with a 0 bit.
  const leaf = (first: number) => ({
    tag: random().with(0, first),
    index: first,
    leafHash: random(),
  });
  const [left, misplaced] = [leaf(1), leaf(2)];
  const hashOf = ({ tag, index, leafHash }: typeof left) =>
    sha256(Uint8Array.of(2), tag, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, index), leafHash);
  const root = sha256(Uint8Array.of(3), hashOf(left), hashOf(misplaced));
  const hidden = random().with(0, 0x80);
  const proof = { siblings: [hashOf(left)], end: misplaced };
  assert.equal(verifyIndexProof(hidden, proof, root).verdict, "invalid");
  const placed = { ...misplaced, tag: Uint8Array.from(misplaced.tag).with(0, 0xff) };
  const right = sha256(Uint8Array.of(3), hashOf(left), hashOf(placed));
  const end = { siblings: [hashOf(left)], end: placed };
  assert.equal(verifyIndexProof(hidden, end, right).verdict, "absent");
});

test("an empty index proves everything absent", () => {
  const index = new VerifiableIndex(new MemoryIndexStore());
  const tag = random();
  assert.equal(verifyIndexProof(tag, index.prove(tag), index.head.root).verdict, "absent");
  assert.equal(hex(index.head.root), hex(ZERO));
  assert.equal(index.append([]).covered, 0);
});

test("a store that lost a node is no proof of absence", () => {
  const store = new MemoryIndexStore();
  const index = new VerifiableIndex(store);
  index.append([eventWith(random()), eventWith(random())]);
  const lossy = new VerifiableIndex({
    head: () => store.head(),
    read: () => undefined,
    write: () => undefined,
  });
  assert.throws(() => lossy.prove(random()), /lacks a node/);
  assert.throws(() => lossy.append([eventWith(random())]), /lacks a node/);
});
