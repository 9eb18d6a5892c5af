/**
 * Where a tiled log keeps what: which tiles a tree of some size has, their paths, and entry bundles. Encodings only.
 * @see C2SP tlog-tiles.
 */
import { joined, parseDecimal } from "./bytes.ts";

/** Hashes in a full tile, entries in a full bundle. */
export const TILE_WIDTH = 256;
/** Of one entry (the length is a uint16). */
export const ENTRY_BYTES_MAX = 65_535;
/** 256^6 leaves and more exceed what we count, so no tree of ours has a seventh level. */
const LEVEL_MAX = 63;

export interface Tile {
  /** 0: leaf hashes; each hash of level n + 1 is the root of a full tile of level n. "entries": the entries. */
  readonly level: number | "entries";
  /** Counted from 0 within the level. */
  readonly index: number;
  /** 1 to 256; fewer than 256 is a partial tile. */
  readonly width: number;
}

/** "tile/0/x001/x234/067", "tile/1/000.p/17", "tile/entries/000.p/3". @throws RangeError for no tile. */
export function tilePath({ level, index, width }: Tile): string {
  if (level !== "entries" && !(Number.isInteger(level) && level >= 0 && level <= LEVEL_MAX)) {
    throw new RangeError("not a tile's level");
  }
  if (!Number.isSafeInteger(index) || index < 0) throw new RangeError("not a tile's index");
  if (!Number.isInteger(width) || width < 1 || width > TILE_WIDTH) {
    throw new RangeError("not a tile's width");
  }
  const digits = String(index);
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, "0");
  const groups = padded.match(/.{3}/g) ?? [];
  const path = groups.map((group, n) => (n < groups.length - 1 ? `x${group}` : group)).join("/");
  return `tile/${level}/${path}${width === TILE_WIDTH ? "" : `.p/${width}`}`;
}

/** @returns undefined for what is no path of a tile, or not its one form. */
export function parseTilePath(path: string): Tile | undefined {
  const [, levelText = "", indexText = "", widthText] =
    /^tile\/(entries|[0-9]{1,2})\/((?:x[0-9]{3}\/){0,5}[0-9]{3})(?:\.p\/([0-9]{1,3}))?$/.exec(
      path,
    ) ?? [];
  const level = levelText === "entries" ? ("entries" as const) : parseDecimal(levelText);
  const index = Number(indexText.replaceAll(/[x/]/g, ""));
  const width = widthText === undefined ? TILE_WIDTH : parseDecimal(widthText);
  if (level === undefined || width === undefined || indexText === "") return undefined;
  if (widthText !== undefined && (width < 1 || width >= TILE_WIDTH)) return undefined;
  if (level !== "entries" && level > LEVEL_MAX) return undefined;
  if (!Number.isSafeInteger(index)) return undefined;
  const tile = { level, index, width };
  return tilePath(tile) === path ? tile : undefined;
}

/** How many hashes a level has in a tree of `size` leaves: floor(size / 256^level). */
export function levelWidth(size: number, level: number): number {
  let width = size;
  for (let n = 0; n < level && width > 0; n += 1) width = Math.floor(width / TILE_WIDTH);
  return width;
}

/** The tile as it is in a tree of `size` leaves; undefined where it has none. */
export function tileAt(size: number, level: number | "entries", index: number): Tile | undefined {
  const all = levelWidth(size, level === "entries" ? 0 : level);
  const width = Math.min(TILE_WIDTH, all - index * TILE_WIDTH);
  return width < 1 ? undefined : { level, index, width };
}

/** The tiles that a tree of `size` leaves has and one of `oldSize` has not or has narrower; bundles first, then
 * level by level. What a publication writes. */
export function* newTiles(oldSize: number, size: number): Generator<Tile> {
  for (const level of ["entries", 0, 1, 2, 3, 4, 5, 6] as const) {
    const n = level === "entries" ? 0 : level;
    const before = levelWidth(oldSize, n);
    const after = levelWidth(size, n);
    if (after === before) continue;
    const last = Math.floor((after - 1) / TILE_WIDTH);
    for (let index = Math.floor(before / TILE_WIDTH); index <= last; index += 1) {
      const tile = tileAt(size, level, index);
      if (tile !== undefined) yield tile;
    }
  }
}

/** Entries one after the other, each with its length as uint16, big-endian.
 * @throws RangeError for an entry that is too long, or more than a full bundle. */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  if (entries.length > TILE_WIDTH) throw new RangeError("more than a bundle holds");
  return joined(
    ...entries.flatMap((entry) => {
      if (entry.length > ENTRY_BYTES_MAX) throw new RangeError("an entry is too long");
      return [Uint8Array.of(entry.length >> 8, entry.length & 0xff), entry];
    }),
  );
}

/** @returns undefined unless these are exactly `width` entries. */
export function decodeBundle(bytes: Uint8Array, width: number): Uint8Array[] | undefined {
  const entries: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length && entries.length < width) {
    const length = (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
    if (at + 2 + length > bytes.length) return undefined;
    entries.push(bytes.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return at === bytes.length && entries.length === width ? entries : undefined;
}
