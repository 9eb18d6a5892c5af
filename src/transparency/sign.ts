/**
 * Signs checkpoints, as a log and as a witness. The private keys are Node's; which keystore they come from is the
 * caller's business. Ed25519 and ML-DSA-44 (FIPS 204, pure, empty context).
 * @see C2SP signed-note v1.0.0, tlog-cosignature v1.0.1.
 */
import { createPublicKey, type KeyObject, sign } from "node:crypto";
import { joined, uint64, utf8 } from "./bytes.ts";
import {
  type Checkpoint,
  cosignatureMessage,
  formatCheckpoint,
  parseCheckpoint,
  subtreeMessage,
} from "./checkpoint.ts";
import { formatNote, type NoteKey, type NoteSignature, noteKey, SIGNATURE_TYPES } from "./note.ts";

export interface CheckpointSigner {
  /** The public half, for policies. */
  readonly key: NoteKey;
  /** @param text of a checkpoint. @param timeS POSIX seconds; Ed25519 log signatures carry none.
   * @throws RangeError for a text that this kind of signature cannot cover. */
  sign(text: string, timeS: number): NoteSignature;
}

/** A log's own signature: Ed25519 over the text. */
export function logSigner(name: string, privateKey: KeyObject): CheckpointSigner {
  return signerOf(name, SIGNATURE_TYPES.ed25519, privateKey, (text) =>
    sign(null, utf8(text), privateKey),
  );
}

/** A witness' cosignature, Ed25519. The message does not name the witness: one key, one witness. */
export function ed25519Cosigner(name: string, privateKey: KeyObject): CheckpointSigner {
  return signerOf(name, SIGNATURE_TYPES.cosignatureEd25519, privateKey, (text, timeS) =>
    joined(uint64(timeS), sign(null, cosignatureMessage(timeS, text), privateKey)),
  );
}

/** A witness' cosignature or a log's second signature, ML-DSA-44. */
export function mlDsa44Cosigner(name: string, privateKey: KeyObject): CheckpointSigner {
  return signerOf(name, SIGNATURE_TYPES.cosignatureMlDsa44, privateKey, (text, timeS) => {
    const checkpoint = parseCheckpoint(text);
    const message = checkpoint && subtreeMessage(name, timeS, checkpoint);
    // It does not cover extension lines, so it is not put under any.
    if (message === undefined || checkpoint?.extensions.length !== 0) {
      throw new RangeError("ML-DSA-44 cannot cover this checkpoint");
    }
    return joined(uint64(timeS), sign(null, message, privateKey));
  });
}

function signerOf(
  name: string,
  type: number,
  privateKey: KeyObject,
  signText: (text: string, timeS: number) => Uint8Array,
): CheckpointSigner {
  const expected = type === SIGNATURE_TYPES.cosignatureMlDsa44 ? "ml-dsa-44" : "ed25519";
  if (privateKey.asymmetricKeyType !== expected) throw new RangeError("a key of another kind");
  const publicKey = createPublicKey(privateKey).export({ format: "raw-public" });
  const key = noteKey(name, type, new Uint8Array(publicKey));
  return {
    key,
    sign: (text, timeS) => ({ name, id: key.id, signature: signText(text, timeS) }),
  };
}

/** The checkpoint as a note with one line of each signer, in their order. */
export function signCheckpoint(
  checkpoint: Checkpoint,
  signers: readonly CheckpointSigner[],
  timeS: number,
): string {
  const text = formatCheckpoint(checkpoint);
  return formatNote({ text, signatures: signers.map((signer) => signer.sign(text, timeS)) });
}
