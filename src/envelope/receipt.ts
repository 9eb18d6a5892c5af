/**
 * What the platform says to a device (docs/envelope.md §8), sealed under a downlink key: receipts.
 * A device frees its spool on nothing else.
 */
import { limits } from "../limits.ts";
import { PROBLEMS, type ProblemCode } from "../problems.ts";
import { CborReader, CborWriter } from "./cbor.ts";
import { fromHex, hex } from "./envelope.ts";

export interface Receipt {
  /** Whose numbers these are: the session it is sealed under, or an older one of the same device. */
  sessionId: string;
  /** Every number of the session up to this one is durably kept, or settled (refused, a stated gap).
   * One less than the session's first number if that is missing. */
  contiguous: number;
  /** Later numbers that are kept: bit i, highest bit of a byte first, is contiguous + 1 + i.
   * No zero byte at its end. */
  bitmap: Uint8Array;
  /** Numbers that will never be taken, ascending. */
  refused: { sequence: number; problem: ProblemCode }[];
  /** Grows when the platform was restored from a backup: send again what you hold. */
  storeEpoch: number;
}

export interface Downlink {
  receipt?: Receipt;
}

const SEQUENCE_MAX = 2 ** 52;
const LABEL_RECEIPT = 1;
const PROBLEM_BYTES_MAX = 64;

/** Is the number kept (or settled) according to the receipt? Refusals are told apart by `refused`. */
export function receiptCovers(receipt: Receipt, sequence: number): boolean {
  if (sequence <= receipt.contiguous) return true;
  const bit = sequence - receipt.contiguous - 1;
  const byte = receipt.bitmap[Math.floor(bit / 8)];
  return byte !== undefined && (byte & (0x80 >> (bit % 8))) !== 0;
}

/** @throws Problem "envelope-malformed" for a receipt past the limits. */
export function encodeDownlink(downlink: Downlink): Uint8Array {
  const writer = new CborWriter(1_024);
  writer.map(downlink.receipt === undefined ? 0 : 1);
  if (downlink.receipt !== undefined) {
    writer.int(LABEL_RECEIPT);
    writeReceipt(writer, downlink.receipt);
  }
  const encoded = writer.take();
  decodeDownlink(encoded); // a receipt that devices would refuse is a fault of ours, here and now
  return encoded;
}

function writeReceipt(writer: CborWriter, receipt: Receipt): void {
  let length = receipt.bitmap.length;
  while (length > 0 && receipt.bitmap[length - 1] === 0) length--;
  writer.array(5);
  writer.bytes(fromHex(receipt.sessionId));
  writer.int(receipt.storeEpoch);
  writer.int(receipt.contiguous);
  writer.bytes(receipt.bitmap.subarray(0, length));
  writer.array(receipt.refused.length);
  for (const refusal of receipt.refused) {
    writer.array(2);
    writer.int(refusal.sequence);
    writer.text(refusal.problem);
  }
}

/** @throws Problem "envelope-malformed". */
export function decodeDownlink(bytes: Uint8Array): Downlink {
  const reader = new CborReader(bytes, "envelope-malformed");
  const downlink: Downlink = {};
  if (reader.map(0, 1) === 1) {
    reader.expect(LABEL_RECEIPT);
    downlink.receipt = readReceipt(reader);
  }
  reader.end();
  return downlink;
}

function readReceipt(reader: CborReader): Receipt {
  reader.array(5, 5);
  const sessionId = hex(reader.byteString(16, 16));
  const storeEpoch = reader.int(0, SEQUENCE_MAX);
  const contiguous = reader.int(0, SEQUENCE_MAX);
  const bitmap = reader.byteString(0, limits.receiptBitmapBytesMax).slice();
  if (bitmap.at(-1) === 0) reader.refuse("a bitmap that ends in a zero byte");
  const refused: Receipt["refused"] = [];
  let before = 0;
  for (let left = reader.array(0, limits.receiptRefusedMax); left > 0; left--) {
    reader.array(2, 2);
    const sequence = reader.int(before + 1, SEQUENCE_MAX);
    const word = reader.text(PROBLEM_BYTES_MAX);
    // A newer platform may know problems that this device does not.
    const problem = Object.hasOwn(PROBLEMS, word) ? (word as ProblemCode) : "internal-fault";
    refused.push({ sequence, problem });
    before = sequence;
  }
  return { sessionId, contiguous, bitmap, refused, storeEpoch };
}
