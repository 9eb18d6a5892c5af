/** Whole sessions for our vectors, with every key on the way written out plainly. */
import { createHmac, createPublicKey } from "node:crypto";
import type { Batch } from "../../src/envelope/batch.ts";
import { type Content, encodeContent } from "../../src/envelope/content.ts";
import { makePrekey } from "../../src/envelope/opening.ts";
import { acceptOpening, DeviceSession, envelopeHash } from "../../src/envelope/session.ts";
import type { Chance, KemMode } from "../../src/envelope/shares.ts";
import { AES_256_GCM, CHACHA20_POLY1305, type Suite } from "../../src/envelope/suites.ts";
import { CLOCK_MS, oneSample } from "./batch-vectors.ts";
import { CERTIFICATE_HASH, ed25519Of } from "./block-vectors.ts";
import { type Encapsulations, fixedChance, hex, sha256 } from "./chance.ts";

interface Case {
  name: string;
  kem: KemMode;
  suite: Suite;
  start: "reply" | "prekey";
  firstSequence: number;
}

const cases: readonly Case[] = [
  {
    name: "classical, reply",
    kem: "classical",
    suite: AES_256_GCM,
    start: "reply",
    firstSequence: 1,
  },
  { name: "hybrid, reply", kem: "hybrid", suite: AES_256_GCM, start: "reply", firstSequence: 258 },
  {
    name: "classical, prekey",
    kem: "classical",
    suite: CHACHA20_POLY1305,
    start: "prekey",
    firstSequence: 1,
  },
  {
    name: "hybrid, prekey",
    kem: "hybrid",
    suite: AES_256_GCM,
    start: "prekey",
    firstSequence: 1_000,
  },
];

/** Of each session these are shown: the first two of epoch 0, its last, and the first of epoch 1. */
const SHOWN = [0, 1, 255, 256];

export function sessionVectors(known: Encapsulations, mayAdd: boolean) {
  return {
    about: "docs/envelope.md §5 to §8. Envelopes are shown for epoch 0 and the first of epoch 1.",
    certificateHash: hex(CERTIFICATE_HASH),
    ed25519SeedOfDevice: hex(sha256("device")),
    ed25519SeedOfPlatform: hex(sha256("platform")),
    sessions: cases.map((one) => sessionVector(one, known, mayAdd)),
  };
}

/** Both ends; chance is named by the case. */
function begin(one: Case, device: Chance, platform: Chance) {
  const identity = {
    certificateHash: CERTIFICATE_HASH,
    privateKey: ed25519Of("device"),
    platformKey: createPublicKey(ed25519Of("platform")),
  };
  const platformIdentity = { privateKey: ed25519Of("platform") };
  const options = {
    suite: one.suite,
    firstSequence: one.firstSequence,
    nowMs: CLOCK_MS,
    chance: device,
  };
  const spki = createPublicKey(identity.privateKey).export({ format: "der", type: "spki" });
  const made = makePrekey(
    platformIdentity,
    { kem: one.kem, expiresMs: CLOCK_MS + 86_400_000 },
    platform,
  );
  const accept = (opening: Uint8Array) =>
    acceptOpening(opening, {
      certificateOf: () => ({ deviceId: "device", publicKey: spki }),
      prekeySecret: (id) => (id === made.id ? made.secret : undefined),
      platformIdentity,
      nowMs: CLOCK_MS + 40,
      storeEpoch: 1,
      chance: platform,
    });
  if (one.start === "prekey") {
    const { opening, session } = DeviceSession.fromPrekey(identity, made.prekey, options);
    return {
      opening,
      session,
      first: made.prekey,
      second: opening,
      ...platformSide(accept(opening)),
    };
  }
  const begun = DeviceSession.begin(identity, { ...options, kem: one.kem });
  const accepted = accept(begun.opening);
  const session = begun.finish(accepted.reply);
  const { opening } = begun;
  return { opening, session, first: opening, second: accepted.reply, ...platformSide(accepted) };
}

const platformSide = ({ session, reply }: ReturnType<typeof acceptOpening>) => ({
  platform: session,
  reply,
});

function sessionVector(one: Case, known: Encapsulations, mayAdd: boolean) {
  const device = fixedChance(`${one.name}/device`, known, mayAdd);
  const platformChance = fixedChance(`${one.name}/platform`, known, mayAdd);
  const { opening, session, platform, reply, first, second } = begin(one, device, platformChance);
  const envelopes: Record<string, unknown>[] = [];
  for (let n = 0; n <= SHOWN.at(-1)!; n++) {
    const content = contentOf(one.firstSequence + n, n);
    const envelope = session.seal(content);
    platform.open(envelope);
    if (!SHOWN.includes(n)) continue;
    envelopes.push({
      sequence: content.sequence,
      epoch: Math.floor(n / 256),
      partialIv: n % 256,
      plaintext: hex(encodeContent(content)),
      envelope: hex(envelope),
      envelopeHash: hex(envelopeHash(envelope)),
    });
  }
  const receipt = {
    sessionId: session.sessionId,
    contiguous: one.firstSequence + 4,
    bitmap: Uint8Array.of(0x50, 0x01),
    refused: [{ sequence: one.firstSequence + 2, problem: "batch-refused" as const }],
    storeEpoch: 1,
  };
  const downlink = platform.sealDownlink({ receipt });
  session.openDownlink(downlink);
  return {
    name: one.name,
    kem: one.kem,
    alg: one.suite.alg,
    start: one.start,
    sessionId: session.sessionId,
    ...(one.start === "prekey" ? { prekey: hex(first) } : {}),
    opening: hex(opening),
    ...(one.start === "reply" ? { reply: hex(reply) } : {}),
    secrets: secretsOf(one, known),
    keys: keysOf(session.exportDownlink().downRoot, platform.exportState(), {
      first,
      second,
      suite: one.suite,
      kid: downlink.subarray(9, 25),
    }),
    envelopes,
    receipt: { ...receipt, bitmap: hex(receipt.bitmap) },
    downlink: hex(downlink),
  };
}

function contentOf(sequence: number, place: number): Content {
  const batch: Batch = { ...oneSample, sequence };
  if (place > 0) return { sequence, batch };
  return { sequence, batch, saltKey: new Uint8Array(sha256("salt key")) };
}

/** The private halves as chance gave them: what a reader needs to recompute the exporter secrets. */
function secretsOf(one: Case, known: Encapsulations) {
  const side = one.start === "reply" ? "device" : "platform";
  const chance = fixedChance(`${one.name}/${side}`, known, false);
  chance.random(16); // the session's or the prekey's id comes first
  const recipientX25519 = hex(chance.random(32));
  if (one.kem === "classical") return { recipientX25519 };
  return { recipientX25519, recipientMlKemSeed: hex(chance.random(64)) };
}

const hmac = (key: Uint8Array, ...parts: (Uint8Array | string)[]) => {
  const mac = createHmac("sha256", key);
  for (const part of parts) mac.update(part);
  return mac.digest();
};
const expand = (key: Uint8Array, info: string) => hmac(key, info, Uint8Array.of(1));

/** The key schedule of docs/envelope.md §6, from the up root on, written without the product's code. */
function keysOf(
  down: Uint8Array,
  state: Uint8Array,
  o: { first: Uint8Array; second: Uint8Array; suite: Suite; kid: Uint8Array },
) {
  const transcript = sha256("vitalward/1 transcript", sha256(o.first), sha256(o.second));
  // The state holds the chain key of the oldest epoch, which is epoch 0: the up root.
  const at = Buffer.from(state).indexOf(Buffer.from("005820", "hex")) + 3;
  const up = state.subarray(at, at + 32);
  const epoch = (chainKey: Uint8Array) => ({
    chainKey: hex(chainKey),
    kid: hex(expand(chainKey, "vitalward/1 kid").subarray(0, 8)),
    key: hex(expand(chainKey, "vitalward/1 key").subarray(0, o.suite.keyBytes)),
    contextIv: hex(expand(chainKey, "vitalward/1 iv").subarray(0, o.suite.nonceBytes)),
  });
  const downSecret = hmac(down, "vitalward/1 down epoch", o.kid);
  return {
    transcript: hex(transcript),
    up: hex(up),
    down: hex(down),
    epochs: [epoch(up), epoch(expand(up, "next"))],
    downlink: {
      ...epoch(downSecret),
      chainKey: undefined,
      secret: hex(downSecret),
      kid: hex(o.kid),
    },
  };
}
