/** Salts, leaves, a root, a path and the signed block over them, for our vectors. */
import { createPrivateKey } from "node:crypto";
import { p256 } from "@noble/curves/nist.js";
import { encodeBatch } from "../../src/envelope/batch.ts";
import {
  batchLeaf,
  blockRoot,
  inclusionProof,
  leafSalt,
  signBlock,
} from "../../src/envelope/block.ts";
import { toBeSigned } from "../../src/envelope/cose.ts";
import { CLOCK_MS, oneSample } from "./batch-vectors.ts";
import { hex, sha256 } from "./chance.ts";

export const SESSION_ID = "00112233445566778899aabbccddeeff";
export const CERTIFICATE_HASH = new Uint8Array(sha256("certificate"));
const AAD = new TextEncoder().encode("vitalward/1 block");

/** The device's Ed25519 key: its seed is SHA-256("device"). */
export function ed25519Of(name: string) {
  const seed = sha256(name);
  const prefix = Buffer.from("302e020100300506032b657004220420", "hex");
  return createPrivateKey({ key: Buffer.concat([prefix, seed]), format: "der", type: "pkcs8" });
}

export function blockVectors() {
  const saltKey = new Uint8Array(sha256("salt key"));
  // Number 3 carried no batch: it has no leaf.
  const numbers = [1, 2, 4, 2 ** 32];
  const batches = numbers.map((sequence) => encodeBatch({ ...oneSample, sequence }));
  const leaves = batches.map((batch, i) => batchLeaf(leafSalt(saltKey, numbers[i] ?? 0), batch));
  const three = leaves.slice(0, 3);
  const ed25519 = signBlock(
    { certificateHash: CERTIFICATE_HASH, privateKey: ed25519Of("device") },
    {
      sessionId: SESSION_ID,
      from: 1,
      to: 5,
      count: 3,
      root: blockRoot(three),
      signedMs: CLOCK_MS + 55_000,
      lastSequence: 5,
    },
  );
  return {
    about: "docs/envelope.md §9. The block says numbers 1 to 5, three batches, the session's last.",
    saltKey: hex(saltKey),
    leaves: numbers.map((sequence, i) => ({
      sequence,
      batch: hex(batches[i] as Uint8Array),
      salt: hex(leafSalt(saltKey, sequence)),
      leaf: hex(leaves[i] as Uint8Array),
    })),
    rootOfThree: hex(blockRoot(three)),
    pathOfSecond: inclusionProof(three, 1).map(hex),
    rootOfFour: hex(blockRoot(leaves)),
    pathOfFourth: inclusionProof(leaves, 3).map(hex),
    certificateHash: hex(CERTIFICATE_HASH),
    ed25519Seed: hex(sha256("device")),
    signedByEd25519: hex(ed25519),
    p256Private: hex(sha256("p256 device")),
    signedByP256: hex(byP256(ed25519)),
  };
}

/** The same payload under ES256, with the deterministic k of RFC 6979. */
function byP256(ed25519: Uint8Array): Uint8Array {
  const bytes = Buffer.from(ed25519);
  const header = Buffer.concat([Buffer.from("a201261822822f5820", "hex"), CERTIFICATE_HASH]);
  const edHeader = Buffer.concat([Buffer.from("a201271822822f5820", "hex"), CERTIFICATE_HASH]);
  const at = bytes.indexOf(edHeader) + edHeader.length;
  // From the end of the header: an empty map, the payload as a byte string, the signature.
  const payload = bytes.subarray(at + 3, bytes.length - 66);
  const signed = toBeSigned(header, AAD, payload);
  const signature = p256.sign(signed, sha256("p256 device"), { lowS: false });
  return Buffer.concat([
    bytes.subarray(0, bytes.indexOf(edHeader)),
    header,
    bytes.subarray(at, bytes.length - 64),
    signature,
  ]);
}
