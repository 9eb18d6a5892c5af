/**
 * Proof files (`.tlog-proof`): one leaf's inclusion with the cosigned checkpoint it leads to, for checking offline.
 * Encodings only; `verify/proof-file.ts` judges.
 * @see C2SP tlog-proof.
 */
import { fromBase64, parseDecimal, toBase64 } from "./bytes.ts";

const HEADER = "c2sp.org/tlog-proof@v1";
/** A path of a tree of 2^53 leaves has 53 hashes. */
const PATH_MAX = 63;
/** The opened entry of an event, at most. */
export const PROOF_EXTRA_BYTES_MAX = 65_536;

export interface ProofFile {
  /** Of the leaf, from 0. */
  readonly index: number;
  /** From the leaf's sibling up to the root's child. */
  readonly path: readonly Uint8Array[];
  /** The signed note. */
  readonly checkpoint: string;
  /** Whatever the receiver needs beside; no proof speaks for it. */
  readonly extra?: Uint8Array;
}

/** @throws RangeError for what no proof file can hold. */
export function formatProofFile({ index, path, checkpoint, extra }: ProofFile): string {
  if (!Number.isSafeInteger(index) || index < 0) throw new RangeError("not a leaf's index");
  if (path.length > PATH_MAX || path.some((hash) => hash.length !== 32)) {
    throw new RangeError("not an inclusion path");
  }
  if (extra !== undefined && extra.length > PROOF_EXTRA_BYTES_MAX) {
    throw new RangeError("more than a proof file carries beside the proof");
  }
  const lines = [
    HEADER,
    ...(extra === undefined ? [] : [`extra ${toBase64(extra)}`]),
    `index ${index}`,
    ...path.map(toBase64),
  ];
  return `${lines.join("\n")}\n\n${checkpoint}`;
}

/** @returns undefined for what is no proof file. The checkpoint is not looked into. */
export function parseProofFile(given: string): ProofFile | undefined {
  const gap = given.indexOf("\n\n");
  if (gap < 0) return undefined;
  const lines = given.slice(0, gap).split("\n");
  if (lines.shift() !== HEADER) return undefined;
  const extraLine = lines[0]?.startsWith("extra ") ? lines.shift() : undefined;
  const extra = extraLine === undefined ? undefined : fromBase64(extraLine.slice(6));
  if (extraLine !== undefined && (extra?.length ?? Infinity) > PROOF_EXTRA_BYTES_MAX) {
    return undefined;
  }
  const [, indexText = ""] = /^index ([0-9]+)$/.exec(lines.shift() ?? "") ?? [];
  const index = parseDecimal(indexText);
  const path = lines.map(fromBase64);
  if (index === undefined || path.length > PATH_MAX) return undefined;
  if (path.some((hash) => hash?.length !== 32)) return undefined;
  return {
    index,
    path: path as Uint8Array[],
    checkpoint: given.slice(gap + 2),
    ...(extra !== undefined && { extra }),
  };
}
