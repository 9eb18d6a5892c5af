/**
 * Checks one signature line against the key it names, by Web Crypto: the same in Node and in a browser.
 */
import { readUint64, utf8 } from "../bytes.ts";
import { cosignatureMessage, parseCheckpoint, subtreeMessage } from "../checkpoint.ts";
import { type NoteKey, type NoteSignature, SIGNATURE_TYPES } from "../note.ts";

/** "unsupported": this browser has no ML-DSA-44. Such a line counts as absent, never as valid. */
export type LineVerdict =
  | { readonly verdict: "valid"; readonly timeS: number | undefined }
  | { readonly verdict: "invalid" }
  | { readonly verdict: "unsupported" };

const INVALID: LineVerdict = { verdict: "invalid" };

/** @param text of the note. @param key the one that name and id of the line stand for. */
export async function verifyLine(
  text: string,
  line: NoteSignature,
  key: NoteKey,
): Promise<LineVerdict> {
  switch (key.type) {
    case SIGNATURE_TYPES.ed25519:
      return judged(await isSigned("Ed25519", key, line.signature, utf8(text)), undefined);
    case SIGNATURE_TYPES.cosignatureEd25519: {
      const timeS = readUint64(line.signature);
      if (timeS === undefined) return INVALID;
      const message = cosignatureMessage(timeS, text);
      return judged(await isSigned("Ed25519", key, line.signature.subarray(8), message), timeS);
    }
    case SIGNATURE_TYPES.cosignatureMlDsa44: {
      const timeS = readUint64(line.signature);
      const checkpoint = parseCheckpoint(text);
      if (timeS === undefined || checkpoint?.extensions.length !== 0) return INVALID;
      const message = subtreeMessage(key.name, timeS, checkpoint);
      if (message === undefined) return INVALID;
      return judged(await isSigned("ML-DSA-44", key, line.signature.subarray(8), message), timeS);
    }
    default:
      return { verdict: "unsupported" };
  }
}

function judged(signed: boolean | undefined, timeS: number | undefined): LineVerdict {
  if (signed === undefined) return { verdict: "unsupported" };
  return signed ? { verdict: "valid", timeS } : INVALID;
}

/** @returns undefined where the algorithm is not there. */
async function isSigned(
  algorithm: "Ed25519" | "ML-DSA-44",
  key: NoteKey,
  signature: Uint8Array,
  message: Uint8Array,
): Promise<boolean | undefined> {
  const { subtle } = globalThis.crypto;
  const format = algorithm === "Ed25519" ? "raw" : "raw-public";
  try {
    const imported = await subtle.importKey(format, copied(key.publicKey), algorithm, false, [
      "verify",
    ]);
    return await subtle.verify(algorithm, imported, copied(signature), copied(message));
  } catch (error) {
    if (error instanceof DOMException)
      return error.name === "NotSupportedError" ? undefined : false;
    // A browser that does not know the format "raw-public" says so by a TypeError.
    if (error instanceof TypeError && algorithm === "ML-DSA-44") return undefined;
    throw error;
  }
}

/** On a buffer of its own, as Web Crypto's types ask. */
function copied(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}
