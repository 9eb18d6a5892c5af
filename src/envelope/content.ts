/** The plaintext of a device's envelope (docs/envelope.md §4): a map in canonical CBOR. */
import { limits } from "../limits.ts";
import { type Batch, decodeBatch, encodeBatch } from "./batch.ts";
import { CborReader, CborWriter, MAJOR } from "./cbor.ts";
import { fromHex, hex } from "./envelope.ts";

/** Why numbers will never arrive. */
export type GapReason = "spool-full" | "damaged" | "withdrawn";

export interface Gap {
  /** First and last number, both included. */
  from: number;
  to: number;
  reason: GapReason;
}

/** How the device's last session ended, as the device knows it: evidence of rollback and cloning. */
export interface PreviousSession {
  /** Hex of 16 bytes. */
  sessionId: string;
  /** Last number it sealed. */
  lastSequence: number;
  /** SHA-256 of the envelope with that number. */
  head: Uint8Array;
}

export interface Content {
  /** Device-wide number of this envelope. */
  sequence: number;
  batch?: Batch;
  /** 32 bytes, in the first envelope of a session: what leaf salts are made from. */
  saltKey?: Uint8Array;
  /** A signed block (COSE_Sign1, `block.ts`). */
  block?: Uint8Array;
  gaps?: Gap[];
  /** The last envelope of its session. */
  close?: boolean;
  /** In the first envelope of a session, unless the device never had one before. */
  previous?: PreviousSession;
}

const SEQUENCE_MAX = 2 ** 52;
const REASONS: readonly GapReason[] = ["spool-full", "damaged", "withdrawn"];
const LABEL = { sequence: 1, batch: 2, saltKey: 3, block: 4, gaps: 5, close: 6, previous: 7 };
const writer = new CborWriter(4_096);

/** Encodes the content in its one canonical form. @throws Problem "batch-refused". */
export function encodeContent(content: Content): Uint8Array {
  const { batch, saltKey, block, gaps, close, previous } = content;
  const batchBytes = batch === undefined ? undefined : encodeBatch(batch);
  const optional = [batch, saltKey, block, gaps, close || undefined, previous];
  writer.at = 0;
  writer.map(1 + optional.filter((part) => part !== undefined).length);
  writer.int(LABEL.sequence);
  writer.int(content.sequence);
  if (batchBytes !== undefined) field(LABEL.batch, batchBytes);
  if (saltKey !== undefined) field(LABEL.saltKey, saltKey);
  if (block !== undefined) field(LABEL.block, block);
  if (gaps !== undefined) writeGaps(gaps);
  if (close) {
    writer.int(LABEL.close);
    writer.boolean(true);
  }
  if (previous !== undefined) {
    writer.int(LABEL.previous);
    writer.array(3);
    writer.bytes(fromHex(previous.sessionId));
    writer.int(previous.lastSequence);
    writer.bytes(previous.head);
  }
  const encoded = writer.take();
  // What the platform would refuse must not be sealed: a number can be used only once.
  if (batch === undefined) decodeContent(encoded);
  else if (batch.sequence !== content.sequence) {
    throw new Error("content: the batch bears another number than its envelope");
  }
  return encoded;
}

function field(label: number, value: Uint8Array): void {
  writer.int(label);
  writer.bytes(value);
}

function writeGaps(gaps: readonly Gap[]): void {
  writer.int(LABEL.gaps);
  writer.array(gaps.length);
  for (const gap of gaps) {
    writer.array(3);
    writer.int(gap.from);
    writer.int(gap.to);
    writer.int(REASONS.indexOf(gap.reason) + 1);
  }
}

/** Decodes what was sealed and refuses every form but the canonical one.
 * @throws Problem "batch-refused". */
export function decodeContent(bytes: Uint8Array): Content {
  return readContent(bytes).content;
}

/** What was read, and the batch's bytes as they came (a view into the input): the decoder refuses
 * every form but the canonical one, so they are what `encodeBatch` would make. */
export interface ReadContent {
  readonly content: Content;
  batchBytes: Uint8Array | undefined;
}

/** As `decodeContent`. @throws Problem "batch-refused". */
export function readContent(bytes: Uint8Array): ReadContent {
  const reader = new CborReader(bytes, "batch-refused");
  let left = reader.map(1, 7);
  reader.expect(LABEL.sequence);
  const content: Content = { sequence: reader.int(1, SEQUENCE_MAX) };
  const read: ReadContent = { content, batchBytes: undefined };
  let before: number = LABEL.sequence;
  while (--left > 0) {
    const label = reader.int(0, 23);
    if (label <= before) reader.refuse("labels out of order or doubled");
    before = label;
    decodeField(reader, label, read);
  }
  reader.end();
  if (content.batch !== undefined && content.batch.sequence !== content.sequence) {
    reader.refuse("the batch bears another number than its envelope");
  }
  return read;
}

function decodeField(reader: CborReader, label: number, read: ReadContent): void {
  const { content } = read;
  if (label === LABEL.batch) {
    read.batchBytes = reader.byteString(1, limits.batchBytesMax);
    content.batch = decodeBatch(read.batchBytes);
  } else if (label === LABEL.saltKey) content.saltKey = reader.byteString(32, 32).slice();
  else if (label === LABEL.block)
    content.block = reader.byteString(1, limits.signedBytesMax).slice();
  else if (label === LABEL.gaps) content.gaps = decodeGaps(reader);
  else if (label === LABEL.close) {
    if (reader.head(MAJOR.simple) !== 21) reader.refuse("a close that is not true");
    content.close = true;
  } else if (label === LABEL.previous) {
    reader.array(3, 3);
    const sessionId = hex(reader.byteString(16, 16));
    const lastSequence = reader.int(1, SEQUENCE_MAX);
    content.previous = { sessionId, lastSequence, head: reader.byteString(32, 32).slice() };
  } else reader.refuse("an unknown label");
}

function decodeGaps(reader: CborReader): Gap[] {
  const gaps: Gap[] = [];
  let before = 0;
  for (let left = reader.array(1, limits.gapsMax); left > 0; left--) {
    reader.array(3, 3);
    const from = reader.int(before + 1, SEQUENCE_MAX);
    const to = reader.int(from, SEQUENCE_MAX);
    const reason = REASONS[reader.int(1, REASONS.length) - 1]!;
    before = to;
    gaps.push({ from, to, reason });
  }
  return gaps;
}
