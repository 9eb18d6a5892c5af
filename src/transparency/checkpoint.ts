/**
 * Checkpoints: a log's size and root hash as the text of a signed note, and the messages that its signers sign.
 * Encodings only; `sign.ts` signs and `verify/checkpoint.ts` judges.
 * @see C2SP tlog-checkpoint v1.0.0, tlog-cosignature v1.0.1.
 */
import { fromBase64, joined, parseDecimal, toBase64, uint64, utf8 } from "./bytes.ts";

export interface Checkpoint {
  /** Which log: `<log>/<shard>` for ours. One line, not empty. */
  readonly origin: string;
  /** Number of leaves; 0 to 2^53 - 1, fewer than C2SP would allow. */
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
}

/** A checkpoint of anybody's log. Ours have no extension lines: ML-DSA signatures do not cover them. */
export interface ParsedCheckpoint extends Checkpoint {
  readonly extensions: readonly string[];
}

const SUBTREE_LABEL = utf8("subtree/v1\n\0");

/** @throws RangeError for what is no checkpoint. */
export function formatCheckpoint({ origin, size, root }: Checkpoint): string {
  if (!isOrigin(origin) || root.length !== 32) throw new RangeError("not a checkpoint");
  if (!Number.isSafeInteger(size) || size < 0) throw new RangeError("not a tree size");
  return `${origin}\n${size}\n${toBase64(root)}\n`;
}

/** @param text of a note. @returns undefined for what is no checkpoint. */
export function parseCheckpoint(text: string): ParsedCheckpoint | undefined {
  if (!text.endsWith("\n")) return undefined;
  const [origin = "", sizeText = "", rootText = "", ...extensions] = text.slice(0, -1).split("\n");
  const size = parseDecimal(sizeText);
  const root = fromBase64(rootText);
  if (origin === "" || size === undefined || root?.length !== 32) return undefined;
  if (extensions.some((line) => line === "")) return undefined;
  return { origin, size, root, extensions };
}

/** What an Ed25519 cosignature signs. @param timeS POSIX seconds. @param text with extension lines. */
export function cosignatureMessage(timeS: number, text: string): Uint8Array {
  return utf8(`cosignature/v1\ntime ${timeS}\n${text}`);
}

/** What an ML-DSA-44 cosignature signs: the `cosigned_message` of a whole tree.
 * @param timeS POSIX seconds; 0 where the signer says nothing about the time (a log, not a witness).
 * @returns undefined where the name or the origin is longer than 255 bytes: there is no such message. */
export function subtreeMessage(
  cosigner: string,
  timeS: number,
  { origin, size, root }: Checkpoint,
): Uint8Array | undefined {
  const name = utf8(cosigner);
  const log = utf8(origin);
  if (name.length > 255 || log.length > 255) return undefined;
  return joined(
    SUBTREE_LABEL,
    Uint8Array.of(name.length),
    name,
    uint64(timeS),
    Uint8Array.of(log.length),
    log,
    uint64(0),
    uint64(size),
    root,
  );
}

function isOrigin(origin: string): boolean {
  return /^[^\s\u0085+]+$/u.test(origin) && origin.isWellFormed();
}
