/**
 * Signed blocks: the device's signature is checked on arrival, the root when the last of its batches
 * is in. A verified block keeps the session's salt key, sealed for the patient, so that each leaf can
 * be rebuilt from stored columns for ever.
 */
import type pg from "pg";
import { diagnostics } from "../diagnostics.ts";
import { encodeBatch } from "../envelope/batch.ts";
import { batchLeaf, blockRoot, leafSalt, verifyBlock } from "../envelope/block.ts";
import { limits } from "../limits.ts";
import type { Registry } from "../registry/registry.ts";
import type { Store } from "../store/store.ts";
import { equalBytes } from "../transparency/tree.ts";
import type { Sealer } from "../vault/seal.ts";
import { type BlockRow, insertBlocks, type StoredBlock, settleBlock } from "./block-tables.ts";
import type { SecurityEvents } from "./events.ts";
import type { LiveSession } from "./live-session.ts";
import type { Pending } from "./pending.ts";
import type { IngestDatabase } from "./tables.ts";

/** The permit type of the store: ingest may not name `access/`. */
export type StorePermit = Parameters<Store["rebuildBatch"]>[0];

export interface BlockKeeperOptions {
  readonly database: IngestDatabase;
  readonly registry: Pick<Registry, "certificate" | "patientOf">;
  readonly sealer: Pick<Sealer, "seal">;
  readonly store: Pick<Store, "rebuildBatches">;
  readonly events: SecurityEvents;
  /** For leaves that a crash took from memory: rebuilt from what is stored. */
  readonly maintenancePermit: ((patientId: string) => Promise<StorePermit>) | undefined;
}

/** The compartment under which salt keys are sealed. A salt shows nothing; who may see the patient's
 * vital signs may check any of the patient's proofs. */
export const SALT_COMPARTMENT = "vital-signs";

export function saltContext(block: Pick<BlockRow, "deviceId" | "sessionId" | "from">): Buffer {
  return Buffer.from(`vitalward/salt/1\0${block.deviceId}\0${block.sessionId}\0${block.from}`);
}

/** Months since January 1970, UTC. */
export function monthIndex(ms: number): number {
  const date = new Date(ms);
  return (date.getUTCFullYear() - 1970) * 12 + date.getUTCMonth();
}

export class BlockKeeper {
  readonly #o: BlockKeeperOptions;
  /** Sessions whose blocks are being settled; each has one such work at a time. */
  readonly #busy = new Map<LiveSession, Promise<void>>();

  constructor(o: BlockKeeperOptions) {
    this.#o = o;
  }

  /** Reads and verifies a block that came in an envelope of this session.
   * @returns undefined when the device did not sign it so; that is an event, not a refusal. */
  judge(session: LiveSession, signed: Uint8Array) {
    const certificate = this.#o.registry.certificate(session.certificateHash);
    const block =
      certificate &&
      verifyBlock(signed, { certificateHash: certificate.hash, publicKey: certificate.publicKey });
    if (block?.sessionId === session.sessionId) return block;
    this.#o.events.note("block-failed", session.deviceId, { session: session.sessionId });
    return undefined;
  }

  /** In the group's transaction. */
  async write(client: pg.PoolClient, pending: Pending): Promise<void> {
    const row = this.#rowOf(pending);
    if (row) await insertBlocks(client, this.#o.database.tenantId, [row]);
  }

  #rowOf(pending: Pending): BlockRow | undefined {
    const { session, block } = pending;
    if (block === undefined || block.count === 0 || pending.content.block === undefined) {
      return undefined;
    }
    return {
      patientId: session.patientId ?? pending.patientId,
      deviceId: session.deviceId,
      sessionId: session.sessionId,
      from: block.from,
      to: block.to,
      leafCount: block.count,
      root: block.root,
      certificateHash: session.certificateHash,
      signed: pending.content.block,
      receivedMs: pending.receivedMs,
    };
  }

  /** After the commit of an envelope. */
  admitted(pending: Pending): void {
    const { session } = pending;
    const row = this.#rowOf(pending);
    if (row) {
      if (session.blocks.length >= limits.waitingBlocksMax) session.blocks.shift();
      session.blocks.push({ ...row, state: "waiting", saltKey: undefined, saltMonth: undefined });
    }
    if (session.blocks.length > 0) this.settle(session);
  }

  /** Settles what can be settled now; failures of storage are tried again with the next envelope. */
  settle(session: LiveSession): void {
    if (this.#busy.has(session)) return;
    const due = session.blocks.filter((block) => isWhole(session, block));
    if (due.length === 0) return;
    const work = this.#settleAll(session, due)
      .catch((error) => diagnostics.warn({ err: error }, "a signed block waits"))
      .finally(() => this.#busy.delete(session));
    this.#busy.set(session, work);
  }

  async #settleAll(session: LiveSession, due: readonly StoredBlock[]): Promise<void> {
    for (const block of due) {
      const leaves = await this.#leavesOf(session, block);
      if (leaves === undefined) continue;
      const good = equalBytes(blockRoot(leaves), block.root) && session.saltKey !== undefined;
      if (good) {
        const saltMonth = monthIndex(block.receivedMs);
        const saltKey = this.#o.sealer.seal(
          block.patientId,
          SALT_COMPARTMENT,
          saltMonth,
          saltContext(block),
          session.saltKey as Uint8Array,
        );
        await settleBlock(this.#o.database, block, { state: "verified", saltKey, saltMonth });
        session.pages.dropLeaves(block.from, block.to);
        session.dirty = true;
      } else {
        await settleBlock(this.#o.database, block, { state: "failed" });
        this.#o.events.note("block-failed", session.deviceId, {
          session: session.sessionId,
          from: block.from,
          to: block.to,
        });
      }
      const at = session.blocks.indexOf(block);
      if (at >= 0) session.blocks.splice(at, 1);
    }
  }

  /** The block's leaves in order; undefined when some are not to be had now. */
  async #leavesOf(session: LiveSession, block: BlockRow): Promise<Uint8Array[] | undefined> {
    const leaves: Uint8Array[] = [];
    for (let number = block.from; number <= block.to; number++) {
      const leaf = session.pages.leaf(number);
      if (leaf) leaves.push(leaf);
    }
    if (leaves.length >= block.leafCount) return leaves;
    const { maintenancePermit } = this.#o;
    if (maintenancePermit === undefined || session.saltKey === undefined) return undefined;
    const permit = await maintenancePermit(block.patientId);
    const rebuilt = await rebuildLeaves(this.#o.store, permit, block, session.saltKey);
    return rebuilt.map(({ leaf }) => leaf);
  }

  /** Waits for what is under way. */
  async idle(): Promise<void> {
    await Promise.all(this.#busy.values());
  }
}

function isWhole(session: LiveSession, block: BlockRow): boolean {
  let reached = block.from - 1;
  while (reached < block.to) {
    const next = Math.max(
      session.ranges.contiguousFrom(reached + 1),
      session.gaps.contiguousFrom(reached + 1),
    );
    if (next <= reached) return false;
    reached = next;
  }
  return true;
}

/** The leaves under a block, rebuilt from stored columns in one read, in order. */
export async function rebuildLeaves(
  store: Pick<Store, "rebuildBatches">,
  permit: StorePermit,
  block: Pick<BlockRow, "sessionId" | "from" | "to">,
  saltKey: Uint8Array,
): Promise<{ number: number; leaf: Uint8Array; batch: Uint8Array }[]> {
  const { sessionId, from: fromSequence, to: toSequence } = block;
  const batches = await store.rebuildBatches(permit, { sessionId, fromSequence, toSequence });
  // Numbers without samples (a block's own envelope) are absent and have no leaf.
  return [...batches]
    .sort(([one], [other]) => one - other)
    .map(([number, stored]) => {
      const batch = encodeBatch(stored);
      return { number, batch, leaf: batchLeaf(leafSalt(saltKey, number), batch) };
    });
}
