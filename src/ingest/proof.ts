/**
 * The proof of one reading: its batch as the device sealed it, rebuilt from stored columns, the salt
 * of that batch alone, the path to the root, and the block the device signed. Whoever has the device's
 * certificate can check it with a program of their own; the console does it in the browser.
 */
import { X509Certificate } from "node:crypto";
import { encodeBatch } from "../envelope/batch.ts";
import { inclusionProof, leafSalt } from "../envelope/block.ts";
import { Problem } from "../problems.ts";
import type { Registry } from "../registry/registry.ts";
import type { Store } from "../store/store.ts";
import type { Vault } from "../vault/seal.ts";
import { blockOver, type StoredBlock } from "./block-tables.ts";
import { rebuildLeaves, SALT_COMPARTMENT, type StorePermit, saltContext } from "./blocks.ts";
import type { IngestDatabase } from "./tables.ts";

/** Everything a stranger needs to check one batch: nothing in it has to be believed. */
export interface ProofBundle {
  /** COSE_Sign1 over the block, as the device signed it. */
  readonly block: Uint8Array;
  /** The device's certificate, DER. */
  readonly certificate: Uint8Array;
  /** The organisation's authority that issued it, DER. */
  readonly authority: Uint8Array;
  /** Salt of this batch's leaf, 32 bytes; shows nothing of any other. */
  readonly salt: Uint8Array;
  /** The batch in its canonical form (docs/envelope.md §3). */
  readonly batch: Uint8Array;
  /** Place of the leaf among those of the block. */
  readonly index: number;
  /** From the leaf to the root, lowest sibling first. */
  readonly path: readonly Uint8Array[];
}

export interface ProofOptions {
  readonly database: IngestDatabase;
  readonly store: Pick<Store, "rebuildBatch" | "rebuildBatches">;
  readonly vault: Pick<Vault, "open">;
  readonly registry: Pick<Registry, "certificate" | "caPem">;
}

export interface ReadingName {
  readonly deviceId: string;
  readonly sessionId: string;
  readonly sequence: number;
}

/** Whether a block that the device signed, and that was verified here, covers the batch. */
export async function isSigned(
  database: IngestDatabase,
  of: ReadingName & { readonly patientId: string },
): Promise<boolean> {
  const block = await blockOver(database, { ...of, number: of.sequence });
  return block?.state === "verified";
}

/** @returns undefined while no verified block covers the batch.
 * @throws Problem "not-found" for what is not there or not covered by the permit; "permit-ended". */
export async function proofOf(
  o: ProofOptions,
  permit: StorePermit,
  of: ReadingName,
): Promise<ProofBundle | undefined> {
  const { deviceId, sessionId, sequence } = of;
  // First of all the permit: without it nothing here tells that the reading exists.
  const batch = encodeBatch(await o.store.rebuildBatch(permit, { sessionId, sequence }));
  const { patientId } = permit;
  const block = await blockOver(o.database, { patientId, deviceId, sessionId, number: sequence });
  const certificate = block && o.registry.certificate(block.certificateHash);
  if (block?.state !== "verified" || certificate === undefined) return undefined;
  const saltKey = openSaltKey(o.vault, permit, block);
  const leaves = await rebuildLeaves(o.store, permit, block, saltKey);
  const index = leaves.findIndex(({ number }) => number === sequence);
  if (index < 0 || leaves.length !== block.leafCount) {
    throw new Problem("not-found", { detail: "not every batch of the block can be rebuilt" });
  }
  const path = inclusionProof(
    leaves.map(({ leaf }) => leaf),
    index,
  );
  return {
    block: block.signed,
    certificate: certificate.der,
    authority: new X509Certificate(o.registry.caPem).raw,
    salt: leafSalt(saltKey, sequence),
    batch,
    index,
    path,
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
