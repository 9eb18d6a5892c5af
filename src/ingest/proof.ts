/**
 * The proof of one reading: its batch as the device sealed it, rebuilt from stored columns, the salt
 * of that batch alone, the path to the root, and the block the device signed. Whoever has the device's
 * certificate can check it with a program of their own; the console does it in the browser.
 */
import { encodeBatch } from "../envelope/batch.ts";
import { batchLeaf, inclusionProof, leafSalt } from "../envelope/block.ts";
import { Problem } from "../problems.ts";
import type { Registry } from "../registry/registry.ts";
import type { Store } from "../store/store.ts";
import type { Vault } from "../vault/seal.ts";
import { blockOver, type StoredBlock } from "./block-tables.ts";
import { rebuildLeaves, SALT_COMPARTMENT, type StorePermit, saltContext } from "./blocks.ts";
import type { IngestDatabase } from "./tables.ts";

export interface ReadingProof {
  /** "unsigned": no signed block covers it yet. "failed": the block does not fit what arrived. */
  readonly state: "signed" | "unsigned" | "failed";
  readonly deviceId: string;
  /** Hex. */
  readonly sessionId: string;
  readonly sequence: number;
  /** Canonical batch (docs/envelope.md §3). */
  readonly batch: Uint8Array;
  readonly signed?: {
    /** COSE_Sign1 of the block as received. */
    readonly block: Uint8Array;
    /** DER of the certificate that signed it. */
    readonly certificate: Uint8Array;
    readonly salt: Uint8Array;
    /** Place of the batch's leaf among `leafCount`, and its inclusion path, lowest sibling first. */
    readonly index: number;
    readonly leafCount: number;
    readonly path: readonly Uint8Array[];
  };
}

export interface ProofOptions {
  readonly database: IngestDatabase;
  readonly store: Pick<Store, "rebuildBatch">;
  readonly vault: Pick<Vault, "open">;
  readonly registry: Pick<Registry, "certificate">;
}

export interface ReadingName {
  readonly deviceId: string;
  readonly sessionId: string;
  readonly sequence: number;
}

/** @throws Problem "not-found" for what is not there or not covered by the permit; "permit-ended". */
export async function proofOf(
  o: ProofOptions,
  permit: StorePermit,
  of: ReadingName,
): Promise<ReadingProof> {
  const { deviceId, sessionId, sequence } = of;
  // First of all the permit: without it nothing here tells that the reading exists.
  const batch = encodeBatch(await o.store.rebuildBatch(permit, { sessionId, sequence }));
  const name = { deviceId, sessionId, sequence, batch };
  const { patientId } = permit;
  const block = await blockOver(o.database, { patientId, deviceId, sessionId, number: sequence });
  if (block === undefined || block.state === "waiting") return { state: "unsigned", ...name };
  if (block.state === "failed" || block.saltKey === undefined) return { state: "failed", ...name };
  const certificate = o.registry.certificate(block.certificateHash);
  if (certificate === undefined) return { state: "failed", ...name };
  const saltKey = openSaltKey(o.vault, permit, block);
  const leaves = await rebuildLeaves(o.store, permit, block, saltKey);
  const index = leaves.findIndex(({ number }) => number === sequence);
  if (index < 0 || leaves.length !== block.leafCount) return { state: "failed", ...name };
  const salt = leafSalt(saltKey, sequence);
  const hashes = leaves.map(({ leaf }) => leaf);
  if (Buffer.compare(hashes[index] as Uint8Array, batchLeaf(salt, batch)) !== 0) {
    throw new Problem("internal-fault", { detail: "a batch was rebuilt in two ways" });
  }
  const path = inclusionProof(hashes, index);
  return {
    state: "signed",
    ...name,
    signed: {
      block: block.signed,
      certificate: certificate.der,
      salt,
      index,
      leafCount: block.leafCount,
      path,
    },
  };
}

function openSaltKey(vault: Pick<Vault, "open">, permit: StorePermit, block: StoredBlock) {
  return vault.open(
    permit,
    block.patientId,
    SALT_COMPARTMENT,
    block.saltMonth as number,
    saltContext(block),
    block.saltKey as Uint8Array,
  );
}
