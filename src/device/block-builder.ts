/** Gathers the leaves of a session's batches and says when the next signed block is due. */
import { type Batch, encodeBatch } from "../envelope/batch.ts";
import { batchLeaf, blockRoot, leafSalt, signBlock } from "../envelope/block.ts";
import type { DeviceIdentity } from "../envelope/opening.ts";
import { limits } from "../limits.ts";

export class BlockBuilder {
  readonly saltKey: Uint8Array;
  readonly #identity: DeviceIdentity;
  readonly #sessionId: string;
  #from: number;
  #leaves: Uint8Array[] = [];
  #sinceMs = 0;
  /** How it stood before the newest envelope. */
  #before: { from: number; leaves: Uint8Array[]; count: number; sinceMs: number };

  constructor(
    identity: DeviceIdentity,
    sessionId: string,
    o: { saltKey: Uint8Array; firstSequence: number },
  ) {
    this.#identity = identity;
    this.#sessionId = sessionId;
    this.saltKey = o.saltKey;
    this.#from = o.firstSequence;
    this.#before = this.#standing();
  }

  /** Before each envelope: what `takeBack` returns to. */
  mark(): void {
    this.#before = this.#standing();
  }

  /** The envelope since `mark` never was: its batch is under no block, and its block is not signed. */
  takeBack(): void {
    const { from, leaves, count, sinceMs } = this.#before;
    this.#from = from;
    this.#leaves = leaves.slice(0, count);
    this.#sinceMs = sinceMs;
  }

  #standing() {
    const leaves = this.#leaves;
    return { from: this.#from, leaves, count: leaves.length, sinceMs: this.#sinceMs };
  }

  /** Batches under no block yet. */
  get open(): number {
    return this.#leaves.length;
  }

  /** Adds a batch. @throws Problem "batch-refused"; then nothing was added. */
  add(batch: Batch, monotonicMs: number): void {
    const leaf = batchLeaf(leafSalt(this.saltKey, batch.sequence), encodeBatch(batch));
    if (this.#leaves.length === 0) this.#sinceMs = monotonicMs;
    this.#leaves.push(leaf);
  }

  isDue(monotonicMs: number, everyMs: number): boolean {
    if (this.#leaves.length === 0) return false;
    return this.#leaves.length >= limits.blockBatchesMax || monotonicMs - this.#sinceMs >= everyMs;
  }

  /** Signs for everything up to and with envelope `sequence`, which carries the block. */
  sign(sequence: number, signedMs: number, closes: boolean): Uint8Array {
    const block = signBlock(this.#identity, {
      sessionId: this.#sessionId,
      from: this.#from,
      to: sequence,
      count: this.#leaves.length,
      root: blockRoot(this.#leaves),
      signedMs,
      lastSequence: closes ? sequence : 0,
    });
    this.#from = sequence + 1;
    this.#leaves = [];
    return block;
  }
}
