/**
 * Fuzzes every decoder of what devices send: any bytes give something typed or a named refusal, and
 * whatever a decoder takes is the one canonical form of what it gives.
 */
import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { systemClock } from "../../src/clock.ts";
import { type Batch, decodeBatch, encodeBatch } from "../../src/envelope/batch.ts";
import {
  batchLeaf,
  blockRoot,
  leafSalt,
  signBlock,
  verifyBlock,
} from "../../src/envelope/block.ts";
import { type Content, decodeContent, encodeContent } from "../../src/envelope/content.ts";
import { parseEncrypt0, parseSign1 } from "../../src/envelope/cose.ts";
import { parseEnvelope, writeEnvelope } from "../../src/envelope/envelope.ts";
import { kindOfSigned, makePrekey, openPrekey, parseOpening } from "../../src/envelope/opening.ts";
import { joinPayload, splitPayload } from "../../src/envelope/payload.ts";
import { decodeDownlink, encodeDownlink } from "../../src/envelope/receipt.ts";
import { DeviceSession } from "../../src/envelope/session.ts";
import { AES_256_GCM } from "../../src/envelope/suites.ts";
import { Problem, type ProblemCode } from "../../src/problems.ts";

const device = generateKeyPairSync("ec", { namedCurve: "P-256" });
const platform = generateKeyPairSync("ed25519");
const platformKey = createPublicKey(
  createPrivateKey(platform.privateKey.export({ format: "pem", type: "pkcs8" })),
);
const identity = {
  certificateHash: new Uint8Array(32).fill(3),
  privateKey: device.privateKey,
  platformKey,
};
const publicKey = device.publicKey.export({ format: "der", type: "spki" });
const nowMs = 1_700_000_000_000;
const sessionId = "00112233445566778899aabbccddeeff";

const batch: Batch = {
  sequence: 7,
  clockMs: nowMs,
  offsetMs: -3_600_000,
  points: [
    { mdc: 147842, exponent: 0, timesMs: [nowMs - 9], mantissas: [72], quality: [0] },
    {
      mdc: 150456,
      exponent: -1,
      timesMs: [nowMs - 30, nowMs - 20, nowMs - 5],
      mantissas: [970, -2, 70_000],
      quality: [0, 1, 0],
    },
  ],
  waveforms: [
    {
      mdc: 131329,
      startMs: nowMs - 100,
      rate: { numerator: 360, denominator: 1 },
      exponent: -3,
      values: Int32Array.from([1, -1, 300, 70_000]),
      quality: 2,
    },
  ],
};
const block = signBlock(identity, {
  sessionId,
  from: 1,
  to: 7,
  count: 1,
  root: blockRoot([batchLeaf(leafSalt(new Uint8Array(32), 7), encodeBatch(batch))]),
  signedMs: nowMs,
  lastSequence: 0,
});
const contents: Content[] = [
  { sequence: 7, batch, saltKey: new Uint8Array(32).fill(1) },
  {
    sequence: 8,
    block,
    close: true,
    gaps: [{ from: 1, to: 4, reason: "spool-full" }],
    previous: { sessionId, lastSequence: 3, head: new Uint8Array(32).fill(9) },
  },
];
const openings = (["classical", "hybrid"] as const).map(
  (kem) =>
    DeviceSession.begin(identity, {
      suite: AES_256_GCM,
      kem,
      firstSequence: 1,
      nowMs,
      chance: systemClock,
    }).opening,
);
const envelope = writeEnvelope(
  AES_256_GCM,
  new Uint8Array(8).fill(5),
  3,
  new Uint8Array(60).fill(6),
);
const { prekey } = makePrekey(platform, { kem: "hybrid", expiresMs: nowMs }, systemClock);
const downlink = encodeDownlink({
  receipt: {
    sessionId,
    contiguous: 6,
    bitmap: Uint8Array.of(0x80, 1),
    refused: [{ sequence: 9, problem: "batch-refused" }],
    storeEpoch: 1,
  },
});

export const seeds: readonly Uint8Array[] = [
  encodeBatch(batch),
  encodeBatch({ ...batch, waveforms: [] }),
  ...contents.map(encodeContent),
  ...openings,
  envelope,
  prekey,
  block,
  downlink,
  joinPayload([openings[0] as Uint8Array, envelope]),
];

const REFUSALS: ReadonlySet<ProblemCode> = new Set([
  "envelope-malformed",
  "envelope-too-large",
  "envelope-refused",
  "opening-refused",
  "batch-refused",
]);

/** What it gives; undefined when it was refused by name. */
export function taken<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    if (error instanceof Problem && REFUSALS.has(error.code)) return undefined;
    throw error;
  }
}

export function run(bytes: Uint8Array): void {
  const decoded = taken(() => decodeBatch(bytes));
  if (decoded) same(encodeBatch(decoded), bytes);
  const content = taken(() => decodeContent(bytes));
  if (content) same(encodeContent(content), bytes);
  const items = taken(() => splitPayload(bytes));
  if (items) same(joinPayload(items.map((item) => item.bytes)), bytes);
  taken(() => parseEnvelope(bytes));
  taken(() => parseEncrypt0(bytes, "envelope-malformed"));
  taken(() => parseSign1(bytes, "opening-refused"));
  taken(() => parseOpening(bytes));
  taken(() => kindOfSigned(bytes));
  taken(() => openPrekey(bytes, platformKey));
  taken(() => decodeDownlink(bytes));
  const signed = taken(() => verifyBlock(bytes, { certificateHash: "03".repeat(32), publicKey }));
  if (signed) same(bytes, block);
}

function same(actual: Uint8Array, expected: Uint8Array): void {
  assert.equal(Buffer.from(actual).toString("hex"), Buffer.from(expected).toString("hex"));
}
