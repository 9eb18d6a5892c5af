/**
 * The device's signed word for its batches (docs/envelope.md §9): a COSE_Sign1 over the root of an
 * RFC 9162 tree. A leaf hides its batch behind a salt and can be rebuilt from stored columns.
 */
import { createPublicKey, type KeyObject } from "node:crypto";
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import { inclusionPath, rootOf, sha256, sha256Into } from "../transparency/tree.ts";
import { CborReader, CborWriter } from "./cbor.ts";
import { certificateHashOf, parseSign1, sign1, verifySign1 } from "./cose.ts";
import { fromHex, hex } from "./envelope.ts";
import { label } from "./kdf.ts";
import type { DeviceIdentity } from "./opening.ts";
import { KIND } from "./opening.ts";

const LEAF_DOMAIN = label("vitalward/1 leaf");
const SALT_DOMAIN = label("vitalward/1 salt");
const AAD_BLOCK = label("vitalward/1 block");
const SEQUENCE_MAX = 2 ** 52;
/** Numbers one block may span: its batches and what carried none. Whoever checks it walks over them. */
const SPAN_MAX = 2 * limits.blockBatchesMax;

export interface Block {
  sessionId: string;
  /** Numbers it speaks for, both included; `from` = `to` + 1 when there is none. */
  from: number;
  to: number;
  /** Leaves: those of the numbers that carried a batch. */
  count: number;
  /** Root hash over the leaves in the order of their numbers. */
  root: Uint8Array;
  /** Device clock when signed, milliseconds. */
  signedMs: number;
  /** In a session's last block the number of the envelope that carries it, the session's last; else 0. */
  lastSequence: number;
}

/** salt_n = HMAC-SHA256(saltKey, "vitalward/1 salt" | n as 8 bytes, big-endian): 32 bytes. */
export function leafSalt(saltKey: Uint8Array, sequence: number): Uint8Array {
  return leafSalter(saltKey)(sequence);
}

const BLOCK_BYTES = 64;

/** As `leafSalt`, with what only depends on the key done once: RFC 2104 written out, since making an
 * HMAC object costs many times the two hashes.
 * @param saltKey 32 bytes. */
export function leafSalter(saltKey: Uint8Array): (sequence: number) => Uint8Array {
  const inner = Buffer.alloc(BLOCK_BYTES + SALT_DOMAIN.length + 8, 0x36);
  const outer = Buffer.alloc(BLOCK_BYTES + 32, 0x5c);
  for (let i = 0; i < saltKey.length; i++) {
    inner[i] = saltKey[i]! ^ 0x36;
    outer[i] = saltKey[i]! ^ 0x5c;
  }
  inner.set(SALT_DOMAIN, BLOCK_BYTES);
  return (sequence) => {
    inner.writeUIntBE(Math.floor(sequence / 2 ** 32), inner.length - 8, 4);
    inner.writeUIntBE(sequence % 2 ** 32, inner.length - 4, 4);
    sha256Into(inner, outer, BLOCK_BYTES);
    return sha256(outer);
  };
}

/** 0x00 (RFC 9162 §2.1.1) and the domain. */
const LEAF_HEAD = Uint8Array.of(0, ...LEAF_DOMAIN);
/** Where the leaves of small batches are put together. */
const leafInput = Buffer.alloc(1_024);

/** SHA-256(0x00 | "vitalward/1 leaf" | salt | batch): the leaf's hash in the tree. */
export function batchLeaf(salt: Uint8Array, batchBytes: Uint8Array): Uint8Array {
  const length = LEAF_HEAD.length + salt.length + batchBytes.length;
  const input = length <= leafInput.length ? leafInput : Buffer.alloc(length);
  input.set(LEAF_HEAD);
  input.set(salt, LEAF_HEAD.length);
  input.set(batchBytes, LEAF_HEAD.length + salt.length);
  return sha256(input.subarray(0, length));
}

/** Root over the leaf hashes, in the order of their numbers. */
export function blockRoot(leaves: readonly Uint8Array[]): Uint8Array {
  return rootOf(leaves);
}

/** The path from leaf `index` to the block's root, lowest sibling first. */
export function inclusionProof(leaves: readonly Uint8Array[], index: number): Uint8Array[] {
  return inclusionPath(leaves, index);
}

/** Signs a block as COSE_Sign1; its protected header names the device's certificate (x5t). */
export function signBlock(
  identity: Pick<DeviceIdentity, "certificateHash" | "privateKey">,
  block: Block,
): Uint8Array {
  const writer = new CborWriter(256);
  writer.array(8);
  writer.int(KIND.block);
  writer.bytes(fromHex(block.sessionId));
  writer.int(block.from);
  writer.int(block.to);
  writer.int(block.count);
  writer.bytes(block.root);
  writer.int(block.signedMs);
  writer.int(block.lastSequence);
  return sign1(identity.privateKey, writer.take(), AAD_BLOCK, identity.certificateHash);
}

/** Reads a block and judges its form and signature; the caller compares the root.
 * @param signer hex SHA-256 of the certificate and its SubjectPublicKeyInfo, DER.
 * @returns undefined for whatever this device did not sign as a block. */
export function verifyBlock(
  bytes: Uint8Array,
  signer: { certificateHash: string; publicKey: Uint8Array },
): Block | undefined {
  try {
    const message = parseSign1(bytes, "batch-refused");
    const named = certificateHashOf(message);
    if (named === undefined || hex(named) !== signer.certificateHash) return undefined;
    if (!verifySign1(message, keyOf(signer.publicKey), AAD_BLOCK)) return undefined;
    return readBlock(message.content);
  } catch (error) {
    if (error instanceof Problem) return undefined;
    throw error;
  }
}

function keyOf(spki: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
}

function readBlock(payload: Uint8Array): Block {
  const reader = new CborReader(payload, "batch-refused");
  reader.array(8, 8);
  reader.expect(KIND.block);
  const sessionId = hex(reader.byteString(16, 16));
  const from = reader.int(1, SEQUENCE_MAX);
  const to = reader.int(from - 1, Math.min(from + SPAN_MAX - 1, SEQUENCE_MAX));
  const count = reader.int(0, Math.min(to - from + 1, limits.blockBatchesMax));
  const root = reader.byteString(32, 32).slice();
  const signedMs = reader.int(0, SEQUENCE_MAX);
  const lastSequence = reader.int(0, SEQUENCE_MAX);
  reader.end();
  return { sessionId, from, to, count, root, signedMs, lastSequence };
}
