/**
 * What a session remembers of each admitted number besides that it came: 8 bytes of the envelope's
 * hash, to tell a repetition from a fork, and the Merkle leaf until a verified block covers it.
 * Kept in pages of 256 numbers; old clean pages are dropped from memory and read again when asked for.
 */
import { HASH_BYTES, LEAF_BYTES } from "./journal.ts";

export const PAGE_NUMBERS = 256;

export interface Page {
  readonly page: number;
  readonly hashes: Buffer;
  /** Zero bytes where there is no leaf. */
  leaves: Buffer | undefined;
  /** Differs from its row. */
  dirty: boolean;
}

export function pageOf(number: number): number {
  return Math.floor(number / PAGE_NUMBERS);
}

export class NumberPages {
  readonly #pages = new Map<number, Page>();

  get(page: number): Page | undefined {
    return this.#pages.get(page);
  }

  get count(): number {
    return this.#pages.size;
  }

  /** Puts a page read from its row; one already in memory is newer and stays. */
  restore(page: number, hashes: Uint8Array, leaves: Uint8Array | undefined): void {
    if (this.#pages.has(page)) return;
    this.#pages.set(page, {
      page,
      hashes: Buffer.from(hashes),
      leaves: leaves ? Buffer.from(leaves) : undefined,
      dirty: false,
    });
  }

  /** The page's row must be in memory, or not exist. */
  put(number: number, hash: Uint8Array, leaf: Uint8Array | undefined): void {
    const at = pageOf(number);
    const page = this.#pages.get(at) ?? this.#fresh(at);
    page.dirty = true;
    page.hashes.set(hash, (number % PAGE_NUMBERS) * HASH_BYTES);
    if (leaf) this.addLeaf(number, leaf);
  }

  /** As `put`, for a leaf that could not be made when its number came. */
  addLeaf(number: number, leaf: Uint8Array): void {
    const at = pageOf(number);
    const page = this.#pages.get(at) ?? this.#fresh(at);
    page.dirty = true;
    page.leaves ??= Buffer.alloc(PAGE_NUMBERS * LEAF_BYTES);
    page.leaves.set(leaf, (number % PAGE_NUMBERS) * LEAF_BYTES);
  }

  #fresh(at: number): Page {
    const hashes = Buffer.alloc(PAGE_NUMBERS * HASH_BYTES);
    const page: Page = { page: at, hashes, leaves: undefined, dirty: true };
    this.#pages.set(at, page);
    return page;
  }

  /** Whether the number's envelope had that hash. Its page must be in memory. */
  hasHash(number: number, hash: Uint8Array): boolean {
    const page = this.#pages.get(pageOf(number));
    if (page === undefined) return false;
    const at = (number % PAGE_NUMBERS) * HASH_BYTES;
    for (let i = 0; i < HASH_BYTES; i++) if (page.hashes[at + i] !== hash[i]) return false;
    return true;
  }

  leaf(number: number): Uint8Array | undefined {
    const leaves = this.#pages.get(pageOf(number))?.leaves;
    if (leaves === undefined) return undefined;
    const at = (number % PAGE_NUMBERS) * LEAF_BYTES;
    const leaf = leaves.subarray(at, at + LEAF_BYTES);
    return leaf.some((byte) => byte !== 0) ? leaf : undefined;
  }

  /** Forgets the leaves from..to: a verified block covers them, and the store can rebuild them. */
  dropLeaves(from: number, to: number): void {
    for (let at = pageOf(from); at <= pageOf(to); at++) {
      const page = this.#pages.get(at);
      if (page?.leaves === undefined) continue;
      const low = Math.max(from, at * PAGE_NUMBERS) % PAGE_NUMBERS;
      const high = Math.min(to, at * PAGE_NUMBERS + PAGE_NUMBERS - 1) % PAGE_NUMBERS;
      page.leaves.fill(0, low * LEAF_BYTES, (high + 1) * LEAF_BYTES);
      if (page.leaves.every((byte) => byte === 0)) page.leaves = undefined;
      page.dirty = true;
    }
  }

  /** Drops the leaves of the oldest pages beyond so many numbers: no block came for them in time, and
   * the store can rebuild them if one does. */
  boundLeaves(numbersMax: number): void {
    const holding = [...this.#pages.values()].filter((page) => page.leaves !== undefined);
    const over = holding.length - Math.ceil(numbersMax / PAGE_NUMBERS);
    for (const page of holding.sort((a, b) => a.page - b.page).slice(0, Math.max(0, over))) {
      page.leaves = undefined;
      page.dirty = true;
    }
  }

  dirtyPages(): Page[] {
    return [...this.#pages.values()].filter((page) => page.dirty);
  }

  /** Drops clean pages without leaves, oldest first, down to `keep`. */
  forgetClean(keep: number): void {
    for (const page of this.#pages.values()) {
      if (this.#pages.size <= keep) return;
      if (!page.dirty && page.leaves === undefined) this.#pages.delete(page.page);
    }
  }
}
