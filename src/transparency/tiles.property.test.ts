import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { randomInt } from "../../test/support/seeded.ts";
import {
  decodeBundle,
  encodeBundle,
  levelWidth,
  newTiles,
  parseTilePath,
  type Tile,
  tileAt,
  tilePath,
} from "./tile-paths.ts";
import { TiledTree, TileEdge } from "./tiles.ts";
import {
  consistencyPath,
  inclusionPath,
  nodeHash,
  rootOf,
  verifyConsistency,
  verifyInclusion,
} from "./tree.ts";

const hashOf = (n: number) => new Uint8Array(createHash("sha256").update(`leaf ${n}`).digest());
const same = (a: readonly Uint8Array[], b: readonly Uint8Array[]) =>
  assert.deepEqual(
    a.map((one) => Buffer.from(one).toString("hex")),
    b.map((one) => Buffer.from(one).toString("hex")),
  );

/** A log that publishes at every size; `tiles` are its files by path. */
function grown(size: number, publishFrom = 0) {
  const tiles = new Map<string, Uint8Array>();
  const edge = new TileEdge();
  const leaves: Uint8Array[] = [];
  for (let n = 0; n < size; n += 1) {
    leaves.push(hashOf(n));
    for (const { tile, bytes } of edge.append(hashOf(n))) tiles.set(tilePath(tile), bytes);
    if (n + 1 < publishFrom) continue;
    for (const { tile, bytes } of edge.partial()) tiles.set(tilePath(tile), bytes);
  }
  const read = async (tile: Tile) => {
    const bytes = tiles.get(tilePath(tile));
    assert.ok(bytes, `${tilePath(tile)} was not published`);
    assert.equal(bytes.length, tile.width * 32);
    return bytes;
  };
  return { tiles, edge, leaves, read };
}

test("a path is read back, and what is not its one form is no path", () => {
  for (let n = 0; n < 500; n += 1) {
    const index = randomInt(2 ** 47);
    const tile = { level: randomInt(64), index, width: 1 + randomInt(256) };
    assert.deepEqual(parseTilePath(tilePath(tile)), tile, tilePath(tile));
  }
  const wrong = [
    "tile/0/67",
    "tile/0/0067",
    "tile/0/x000/067",
    "tile/0/001/067",
    "tile/0/x001/x067",
    "tile/00/067",
    "tile/64/067",
    "tile/-1/067",
    "tile/0/067.p/0",
    "tile/0/067.p/256",
    "tile/0/067.p/07",
    "tile/0/067.p/",
    "tile/0/067/",
    "/tile/0/067",
    "tile/0/../067",
    "tile/entry/067",
    "tile/0/x999/x999/x999/x999/x999/999",
    "",
  ];
  for (const path of wrong) assert.equal(parseTilePath(path), undefined, path);
  assert.throws(() => tilePath({ level: 0, index: -1, width: 1 }), RangeError);
  assert.throws(() => tilePath({ level: 0, index: 0, width: 0 }), RangeError);
  assert.throws(() => tilePath({ level: 64, index: 0, width: 1 }), RangeError);
});

test("bundles give their entries back, and nothing else is a bundle", () => {
  const entries = [new Uint8Array(107).fill(1), new Uint8Array(), new Uint8Array(300).fill(2)];
  const bundle = encodeBundle(entries);
  assert.deepEqual(bundle.subarray(0, 3), Uint8Array.of(0, 107, 1));
  same(decodeBundle(bundle, 3) ?? [], entries);
  assert.equal(decodeBundle(bundle, 2), undefined);
  assert.equal(decodeBundle(bundle, 4), undefined);
  assert.equal(decodeBundle(bundle.subarray(0, -1), 3), undefined);
  assert.equal(decodeBundle(Uint8Array.of(0), 1), undefined);
  assert.throws(() => encodeBundle([new Uint8Array(65_536)]), RangeError);
  assert.throws(
    () => encodeBundle(Array.from({ length: 257 }, () => new Uint8Array())),
    RangeError,
  );
});

test("at every size to 400 the root from the edge and from tiles is the tree's", async () => {
  const edge = new TileEdge();
  const leaves: Uint8Array[] = [];
  const { read } = grown(400);
  for (let size = 0; size <= 400; size += 1) {
    same([edge.root()], [rootOf(leaves)]);
    same([await new TiledTree(size, read).root()], [rootOf(leaves)]);
    same([new TileEdge(size, edge.levels()).root()], [rootOf(leaves)]);
    leaves.push(hashOf(size));
    edge.append(hashOf(size));
  }
  assert.throws(() => new TileEdge(5, edge.levels()), RangeError);
});

test("inclusion and consistency paths from tiles alone are the tree's", async () => {
  const { read, leaves } = grown(600);
  const sizes = [1, 2, 3, 255, 256, 257, 511, 512, 513, 600];
  for (let n = 0; n < 20; n += 1) sizes.push(1 + randomInt(600));
  for (const size of sizes) {
    const tree = new TiledTree(size, read);
    const some = leaves.slice(0, size);
    const root = rootOf(some);
    for (let index = 0; index < size; index += 1 + Math.floor(size / 12)) {
      const path = await tree.inclusionPath(index);
      same(path, inclusionPath(some, index));
      assert.ok(verifyInclusion(some[index]!, index, size, path, root), `${index} in ${size}`);
      const old = index + 1;
      const proof = await tree.consistencyPath(old);
      same(proof, consistencyPath(some, old));
      assert.ok(verifyConsistency(old, size, proof, rootOf(some.slice(0, old)), root));
    }
    await assert.rejects(tree.inclusionPath(size), RangeError);
    await assert.rejects(tree.consistencyPath(0), RangeError);
    await assert.rejects(tree.consistencyPath(size + 1), RangeError);
  }
});

test("a tree of three levels proves what its tiles hold, and each tile is read once", async () => {
  const size = 256 * 256 + 256 * 3 + 1 + randomInt(2000);
  const { read, edge, leaves } = grown(size, size);
  const reads = new Map<string, number>();
  const counted = (tile: Tile) => {
    const path = tilePath(tile);
    reads.set(path, (reads.get(path) ?? 0) + 1);
    return read(tile);
  };
  const root = edge.root();
  same([root], [rootOf(leaves)]);
  for (let n = 0; n < 20; n += 1) {
    const tree = new TiledTree(size, counted);
    const index = randomInt(size);
    reads.clear();
    const path = await tree.inclusionPath(index);
    assert.ok(verifyInclusion(leaves[index]!, index, size, path, root), `${index} in ${size}`);
    assert.ok([...reads.values()].every((times) => times === 1));
    assert.ok(reads.size <= 6, `${reads.size} tiles`);
  }
  assert.equal(levelWidth(size, 2), 1);
  assert.equal(tileAt(size, 3, 0), undefined);
});

test("a publication names the tiles that changed, and only those", () => {
  for (let n = 0; n < 60; n += 1) {
    const oldSize = randomInt(1500);
    const size = oldSize + randomInt(1500);
    const [before, after] = [oldSize, size].map(
      (s) => new Set([...newTiles(0, s)].map(tilePath)),
    ) as [Set<string>, Set<string>];
    assert.deepEqual(
      [...newTiles(oldSize, size)].map(tilePath),
      [...after].filter((path) => !before.has(path)),
      `${oldSize} to ${size}`,
    );
  }
});

test("sizes past 2^31 are counted right", async () => {
  // Every leaf alike: then every subtree of a height is alike, and tiles need no store.
  const leaf = hashOf(0);
  const perfect: Uint8Array[] = [leaf];
  for (let n = 1; n < 56; n += 1) perfect.push(nodeHash(perfect[n - 1]!, perfect[n - 1]!));
  const read = async ({ level, width }: Tile) =>
    Buffer.concat(Array.from({ length: width }, () => perfect[(level as number) * 8]!));
  const size = 2 ** 40 + 2 ** 33 + 12_345;
  const tree = new TiledTree(size, read);
  const root = await tree.root();
  for (const index of [0, 2 ** 31, 2 ** 32 + 1, 2 ** 40 + 7, size - 1]) {
    assert.ok(verifyInclusion(leaf, index, size, await tree.inclusionPath(index), root));
  }
  const old = 2 ** 35 + 77;
  const oldRoot = await new TiledTree(old, read).root();
  assert.ok(verifyConsistency(old, size, await tree.consistencyPath(old), oldRoot, root));
});
