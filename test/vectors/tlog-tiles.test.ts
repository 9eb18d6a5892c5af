import assert from "node:assert/strict";
import { test } from "node:test";
import { newTiles, tilePath } from "../../src/transparency/tile-paths.ts";
import { TileEdge } from "../../src/transparency/tiles.ts";

test("tiles and paths are those of the specification's examples, in a tree grown leaf by leaf, too", () => {
  const full = { level: 0, index: 1_234_067, width: 256 };
  assert.equal(tilePath(full), "tile/0/x001/x234/067");
  assert.equal(tilePath({ level: "entries", index: 0, width: 7 }), "tile/entries/000.p/7");
  assert.equal(tilePath({ level: 12, index: 1000, width: 255 }), "tile/12/x001/000.p/255");
  // "a tree of size 70,000 will be represented by …"
  const tiles = [...newTiles(0, 70_000)];
  const count = (level: number | "entries", partial: boolean) =>
    tiles.filter((t) => t.level === level && t.width < 256 === partial);
  assert.deepEqual(
    [count(0, false).length, count(1, false).length, count(2, false).length],
    [273, 1, 0],
  );
  assert.deepEqual(
    [...count(0, true), ...count(1, true), ...count(2, true)].map(({ width }) => width),
    [112, 17, 1],
  );
  assert.equal(count("entries", false).length, 273);
  assert.equal(count("entries", true)[0]?.width, 112);
  assert.deepEqual([...newTiles(0, 256)].map(tilePath), [
    "tile/entries/000",
    "tile/0/000",
    "tile/1/000.p/1",
  ]);
  const edge = new TileEdge();
  const written = new Set<string>();
  for (let n = 0; n < 70_000; n += 1) {
    for (const { tile } of edge.append(new Uint8Array(32))) written.add(tilePath(tile));
  }
  for (const { tile } of edge.partial()) written.add(tilePath(tile));
  const named = tiles.filter(({ level }) => level !== "entries").map(tilePath);
  assert.deepEqual([...written].sort(), named.sort());
});
