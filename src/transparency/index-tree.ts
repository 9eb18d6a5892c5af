/**
 * The verifiable index: tag → leaf, as a prefix tree whose root closes every checkpoint. It is made from the leaves by
 * a rule that needs no secret, so that whoever has the leaves can make it again and compare.
 *
 * The rule: leaves in the log's order; leaves of events, governance and revocations under their tag, index roots not;
 * a revocation only if its commitment is the secret that its tag is the hash of, and its basis zero; of two with one
 * tag the first counts.
 * @see docs/log.md §5.
 */

import { joined, uint64 } from "./bytes.ts";
import type { IndexedLeaf, IndexProof } from "./index-proof.ts";
import { decodeLeaf } from "./leaf-format.ts";
import { equalBytes, leafHash, sha256 } from "./tree.ts";

const EMPTY = new Uint8Array(32);

/** A node stands at a prefix: the first `depth` bits of a tag. An inner node has two or more tags below it. */
export type IndexNode =
  | { readonly kind: "leaf"; readonly leaf: IndexedLeaf }
  | { readonly kind: "inner"; readonly left: Uint8Array; readonly right: Uint8Array };

export interface IndexHead {
  /** 32 zero bytes while nothing is indexed. */
  readonly root: Uint8Array;
  readonly tags: number;
  /** How many leaves of the log went into it. */
  readonly covered: number;
}

export interface NodeChange {
  readonly depth: number;
  /** 32 bytes, those after the first `depth` bits zero. */
  readonly prefix: Uint8Array;
  readonly node: IndexNode;
}

/** Where the nodes are kept. Lost: make the index again from the leaves. Altered: proofs fail against the root. */
export interface IndexStore {
  head(): IndexHead;
  /** @param prefix as in `NodeChange`. */
  read(depth: number, prefix: Uint8Array): IndexNode | undefined;
  /** All of it or nothing: a crash leaves the old head with the old nodes. */
  write(changes: readonly NodeChange[], head: IndexHead): void;
}

export class VerifiableIndex {
  readonly #store: IndexStore;

  constructor(store: IndexStore) {
    this.#store = store;
  }

  get head(): IndexHead {
    return this.#store.head();
  }

  /** Takes in the log's next entries, from number `head.covered` on; what is no leaf of ours counts and is not indexed.
   * @returns the head after them. */
  append(entries: readonly Uint8Array[]): IndexHead {
    const { root, tags, covered } = this.head;
    const added = entries.flatMap((entry, n) => indexed(entry, covered + n) ?? []);
    const changes: NodeChange[] = [];
    const counted = { tags };
    const hash = this.#grow(0, EMPTY, root, added, changes, counted);
    const head = { root: hash, tags: counted.tags, covered: covered + entries.length };
    this.#store.write(changes, head);
    return head;
  }

  /** That the tag is in the index at its present head, or is not. */
  prove(tag: Uint8Array): IndexProof {
    const siblings: Uint8Array[] = [];
    let hash = this.head.root;
    for (let depth = 0; !equalBytes(hash, EMPTY); depth += 1) {
      const node = this.#read(depth, prefixOf(tag, depth));
      if (node.kind === "leaf") return { siblings, end: node.leaf };
      const isRight = bitOf(tag, depth) === 1;
      siblings.push(isRight ? node.left : node.right);
      hash = isRight ? node.right : node.left;
    }
    return { siblings, end: undefined };
  }

  /** @param hash of the node that stands there now. @returns its hash with the leaves added. */
  #grow(
    depth: number,
    prefix: Uint8Array,
    hash: Uint8Array,
    added: readonly IndexedLeaf[],
    changes: NodeChange[],
    counted: { tags: number },
  ): Uint8Array {
    if (added.length === 0) return hash;
    let leaves = added;
    let node: IndexNode | undefined = equalBytes(hash, EMPTY)
      ? undefined
      : this.#read(depth, prefix);
    if (node?.kind === "leaf") {
      leaves = [node.leaf, ...added];
      node = undefined;
      counted.tags -= 1; // it is counted again where it comes to stand
    }
    const [first] = leaves;
    if (node === undefined && first && leaves.every(({ tag }) => equalBytes(tag, first.tag))) {
      counted.tags += 1;
      changes.push({ depth, prefix, node: { kind: "leaf", leaf: first } });
      return leafNodeHash(first);
    }
    const sides = [node?.left ?? EMPTY, node?.right ?? EMPTY].map((child, bit) =>
      this.#grow(
        depth + 1,
        bit === 0 ? prefix : withBit(prefix, depth),
        child,
        leaves.filter(({ tag }) => bitOf(tag, depth) === bit),
        changes,
        counted,
      ),
    );
    const inner = { kind: "inner" as const, left: sides[0]!, right: sides[1]! };
    changes.push({ depth, prefix, node: inner });
    return sha256(joined(Uint8Array.of(3), inner.left, inner.right));
  }

  #read(depth: number, prefix: Uint8Array): IndexNode {
    const node = this.#store.read(depth, prefix);
    if (node === undefined) throw new Error("the index lacks a node that its root stands for");
    return node;
  }
}

/** Nodes in memory: for tests, and for whoever makes the index again to compare. */
export class MemoryIndexStore implements IndexStore {
  #head: IndexHead = { root: EMPTY, tags: 0, covered: 0 };
  readonly #nodes = new Map<string, IndexNode>();

  head(): IndexHead {
    return this.#head;
  }

  read(depth: number, prefix: Uint8Array): IndexNode | undefined {
    return this.#nodes.get(nameOf(depth, prefix));
  }

  write(changes: readonly NodeChange[], head: IndexHead): void {
    for (const { depth, prefix, node } of changes) this.#nodes.set(nameOf(depth, prefix), node);
    this.#head = head;
  }
}

function nameOf(depth: number, prefix: Uint8Array): string {
  return `${depth}/${Buffer.from(prefix).toString("latin1", 0, Math.ceil(depth / 8))}`;
}

function indexed(entry: Uint8Array, index: number): IndexedLeaf | undefined {
  const leaf = decodeLeaf(entry);
  if (leaf === undefined || leaf.class === "index-root") return undefined;
  if (leaf.class === "revocation") {
    if (!equalBytes(sha256(leaf.commit), leaf.tag) || !equalBytes(leaf.basis, EMPTY)) {
      return undefined;
    }
  }
  return { tag: leaf.tag, index, leafHash: leafHash(entry) };
}

/** SHA-256(0x02 | tag | leaf index | leaf hash). */
function leafNodeHash({ tag, index, leafHash }: IndexedLeaf): Uint8Array {
  return sha256(joined(Uint8Array.of(2), tag, uint64(index), leafHash));
}

function bitOf(tag: Uint8Array, at: number): number {
  return ((tag[at >> 3] ?? 0) >> (7 - (at & 7))) & 1;
}

function withBit(prefix: Uint8Array, at: number): Uint8Array {
  const changed = Uint8Array.from(prefix);
  changed[at >> 3]! |= 0x80 >> (at & 7);
  return changed;
}

function prefixOf(tag: Uint8Array, depth: number): Uint8Array {
  const prefix = new Uint8Array(32);
  prefix.set(tag.subarray(0, depth >> 3));
  if ((depth & 7) !== 0) prefix[depth >> 3] = (tag[depth >> 3] ?? 0) & (0xff00 >> (depth & 7));
  return prefix;
}
