/** What the console needs of the signed blocks; `ingest/` keeps them and gives this at start. */
import type { Permit } from "../access/permit.ts";
import type { ProofBundle, ReadingName } from "../ingest/proof.ts";
import type { ProofAnswer } from "./schema.ts";

export interface Proofs {
  /** Whether a verified device signature covers the batch. */
  isSigned(of: ReadingName & { readonly patientId: string }): Promise<boolean>;
  /** @returns undefined while no signed block covers the batch. @throws Problem "not-found". */
  proofOf(permit: Permit, of: ReadingName): Promise<ProofBundle | undefined>;
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
