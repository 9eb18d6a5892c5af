/**
 * The log's Merkle tree as tiles: grows them leaf by leaf, and makes roots and proofs from tiles alone. No I/O: who
 * stores tiles hands them in by a function.
 * @see C2SP tlog-tiles; RFC 9162 §2.1.
 */
import { levelWidth, TILE_WIDTH, type Tile, tileAt } from "./tile-paths.ts";
import { nodeHash, rootOf, splitOf } from "./tree.ts";

const HASH_BYTES = 32;

/** The right edge of a growing tree: at most 255 hashes a level, however large the tree is. */
export class TileEdge {
  #size: number;
  /** Per level, the hashes of its partial tile. */
  readonly #levels: Uint8Array[][];

  /** @param levels the partial tiles of that size, level 0 first, as `levels()` gave them.
   * @throws RangeError when they are not those of that size. */
  constructor(size = 0, levels: readonly (readonly Uint8Array[])[] = []) {
    this.#size = size;
    this.#levels = levels.map((hashes) => [...hashes]);
    const depth = Math.max(levels.length, levelsOf(size));
    for (let level = 0; level < depth; level += 1) {
      const width = levelWidth(size, level) % TILE_WIDTH;
      this.#levels[level] ??= [];
      if (this.#levels[level]?.length !== width) {
        throw new RangeError("these are not the partial tiles of that size");
      }
    }
  }

  get size(): number {
    return this.#size;
  }

  /** A copy, to start again from. */
  levels(): Uint8Array[][] {
    return this.#levels.map((hashes) => [...hashes]);
  }

  /** Adds one leaf hash.
   * @returns the tiles that it completed, level 0 first; mostly none. */
  append(leafHash: Uint8Array): { tile: Tile; bytes: Uint8Array }[] {
    const full: { tile: Tile; bytes: Uint8Array }[] = [];
    this.#size += 1;
    let hash = leafHash;
    for (let level = 0; ; level += 1) {
      this.#levels[level] ??= [];
      const hashes = this.#levels[level]!;
      hashes.push(hash);
      if (hashes.length < TILE_WIDTH) return full;
      const index = levelWidth(this.#size, level) / TILE_WIDTH - 1;
      full.push({ tile: { level, index, width: TILE_WIDTH }, bytes: Buffer.concat(hashes) });
      hash = rootOf(hashes);
      this.#levels[level] = [];
    }
  }

  /** The partial tiles of this size: what a checkpoint needs beside the full ones. */
  partial(): { tile: Tile; bytes: Uint8Array }[] {
    return this.#levels.flatMap((hashes, level) => {
      const index = Math.floor(levelWidth(this.#size, level) / TILE_WIDTH);
      const tile = tileAt(this.#size, level, index);
      return tile === undefined ? [] : [{ tile, bytes: Buffer.concat(hashes) }];
    });
  }

  /** Root hash of all leaves so far. */
  root(): Uint8Array {
    let root: Uint8Array | undefined;
    for (const hashes of this.#levels) {
      if (hashes.length === 0) continue;
      // What lies further right is smaller than any of these subtrees, so it joins them from the right.
      root = rootOf(root === undefined ? hashes : [...hashes, root]);
    }
    return root ?? rootOf([]);
  }
}

function levelsOf(size: number): number {
  let levels = 0;
  for (let width = size; width > 0; width = Math.floor(width / TILE_WIDTH)) levels += 1;
  return levels;
}

/** Yields a tile's hashes, 32 bytes each, one after the other. A wider tile than asked for will do. */
export type ReadTile = (tile: Tile) => Promise<Uint8Array>;

/** A tree of a known size behind its tiles. Each tile is asked for once. What comes back is not checked: proofs are
 * checked by who receives them. */
export class TiledTree {
  readonly #size: number;
  readonly #read: ReadTile;
  readonly #tiles = new Map<string, Promise<Uint8Array>>();

  constructor(size: number, read: ReadTile) {
    this.#size = size;
    this.#read = read;
  }

  root(): Promise<Uint8Array> {
    if (this.#size === 0) return Promise.resolve(rootOf([]));
    return this.#range(0, this.#size);
  }

  /** The inclusion path of a leaf, lowest sibling first (RFC 9162 §2.1.3.1).
   * @throws RangeError for an index outside the tree. */
  async inclusionPath(index: number): Promise<Uint8Array[]> {
    if (!Number.isSafeInteger(index) || index < 0 || index >= this.#size) {
      throw new RangeError("the leaf index is outside the tree");
    }
    const path: Promise<Uint8Array>[] = [];
    let from = 0;
    let size = this.#size;
    while (size > 1) {
      const split = splitOf(size);
      if (index < from + split) {
        path.push(this.#range(from + split, size - split));
        size = split;
      } else {
        path.push(this.#range(from, split));
        from += split;
        size -= split;
      }
    }
    return Promise.all(path.reverse());
  }

  /** The consistency path from the tree of the first `oldSize` leaves (RFC 9162 §2.1.4.1).
   * @throws RangeError for a size outside 1 to this tree's. */
  async consistencyPath(oldSize: number): Promise<Uint8Array[]> {
    if (!Number.isSafeInteger(oldSize) || oldSize < 1 || oldSize > this.#size) {
      throw new RangeError("the old size is outside the tree");
    }
    const path: Promise<Uint8Array>[] = [];
    let from = 0;
    let size = this.#size;
    while (from + size !== oldSize) {
      const split = splitOf(size);
      if (oldSize <= from + split) {
        path.push(this.#range(from + split, size - split));
        size = split;
      } else {
        path.push(this.#range(from, split));
        from += split;
        size -= split;
      }
    }
    // A subtree that starts the tree is the old root itself, which the verifier has.
    if (from > 0) path.push(this.#range(from, size));
    return Promise.all(path.reverse());
  }

  /** Hash of the `size` leaves from `from` on, as the tree splits them. */
  async #range(from: number, size: number): Promise<Uint8Array> {
    let height = 0;
    let power = 1;
    while (power * 2 <= size) {
      power *= 2;
      height += 1;
    }
    if (power === size) return this.#subtree(height, from / size);
    const split = splitOf(size);
    const [left, right] = await Promise.all([
      this.#range(from, split),
      this.#range(from + split, size - split),
    ]);
    return nodeHash(left, right);
  }

  /** Hash of the perfect subtree of 2^height leaves, the `index`-th of its height. */
  async #subtree(height: number, index: number): Promise<Uint8Array> {
    const level = Math.floor(height / 8);
    const width = 2 ** (height % 8);
    const first = index * width;
    const tile = tileAt(this.#size, level, Math.floor(first / TILE_WIDTH));
    if (tile === undefined) throw new RangeError("the subtree is outside the tree");
    const bytes = await this.#tile(tile);
    const at = (first % TILE_WIDTH) * HASH_BYTES;
    const hashes: Uint8Array[] = [];
    for (let n = 0; n < width; n += 1) {
      hashes.push(bytes.subarray(at + n * HASH_BYTES, at + (n + 1) * HASH_BYTES));
    }
    return rootOf(hashes);
  }

  #tile(tile: Tile): Promise<Uint8Array> {
    const name = `${tile.level}/${tile.index}`;
    const known = this.#tiles.get(name);
    if (known !== undefined) return known;
    const reading = this.#read(tile);
    this.#tiles.set(name, reading);
    return reading;
  }
}
