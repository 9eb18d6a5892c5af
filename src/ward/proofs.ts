/** What the console needs of the signed blocks; `ingest/` keeps them and gives this at start. */
import type { Permit } from "../access/permit.ts";
import type { ProofAnswer } from "./schema.ts";

/** Everything a stranger needs to check one batch: nothing in it has to be believed. */
export interface ProofBundle {
  /** COSE_Sign1 over the block, as the device signed it. */
  readonly block: Uint8Array;
  /** The device's certificate, DER. */
  readonly certificate: Uint8Array;
  /** The organisation's authority that issued it, DER. */
  readonly authority: Uint8Array;
  /** Salt of this batch's leaf, 32 bytes. */
  readonly salt: Uint8Array;
  /** The batch in its canonical form. */
  readonly batch: Uint8Array;
  /** Of the leaf in the block's tree. */
  readonly index: number;
  /** From the leaf to the root, lowest sibling first. */
  readonly path: readonly Uint8Array[];
}

export interface BatchName {
  readonly deviceId: string;
  readonly sessionId: string;
  readonly sequence: number;
}

export interface Proofs {
  /** Whether a verified device signature covers the batch. */
  isSigned(of: BatchName & { readonly patientId: string }): Promise<boolean>;
  /** @returns undefined while no signed block covers the batch. @throws Problem "not-found". */
  proofOf(permit: Permit, of: BatchName): Promise<ProofBundle | undefined>;
}

export function toProofAnswer(bundle: ProofBundle | undefined): ProofAnswer {
  if (bundle === undefined) return { state: "unsigned" };
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");
  return {
    state: "signed",
    block: text(bundle.block),
    certificate: text(bundle.certificate),
    authority: text(bundle.authority),
    salt: text(bundle.salt),
    batch: text(bundle.batch),
    index: bundle.index,
    path: bundle.path.map(text),
  };
}
