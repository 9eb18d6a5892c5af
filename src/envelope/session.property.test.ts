import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, randomBytes } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { systemClock } from "../clock.ts";
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import type { Batch } from "./batch.ts";
import { signBlock, verifyBlock } from "./block.ts";
import { hex, parseEnvelope } from "./envelope.ts";
import { makePrekey } from "./opening.ts";
import { acceptOpening, DeviceSession, type OpeningCheck, PlatformSession } from "./session.ts";
import type { KemMode } from "./shares.ts";
import { AES_256_GCM, SUITES, type Suite } from "./suites.ts";

const NOW_MS = 1_760_000_000_000;
const platformKeys = generateKeyPairSync("ed25519");
const deviceKeys = {
  "P-256": generateKeyPairSync("ec", { namedCurve: "P-256" }),
  Ed25519: generateKeyPairSync("ed25519"),
};
type Algorithm = keyof typeof deviceKeys;

const identityOf = (algorithm: Algorithm) => ({
  certificateHash: new Uint8Array(32).fill(7),
  privateKey: deviceKeys[algorithm].privateKey,
  platformKey: createPublicKey(platformKeys.privateKey),
});
const spkiOf = (algorithm: Algorithm) =>
  deviceKeys[algorithm].publicKey.export({ format: "der", type: "spki" });

const check = (algorithm: Algorithm, more: Partial<OpeningCheck> = {}): OpeningCheck => ({
  certificateOf: () => ({ deviceId: "device", publicKey: spkiOf(algorithm) }),
  prekeySecret: () => undefined,
  platformIdentity: platformKeys,
  nowMs: NOW_MS,
  storeEpoch: 1,
  chance: systemClock,
  ...more,
});

interface Choice {
  suite?: Suite;
  kem?: KemMode;
  algorithm?: Algorithm;
  firstSequence?: number;
}

function begin({ suite = AES_256_GCM, kem = "classical", algorithm = "Ed25519", ...o }: Choice) {
  return DeviceSession.begin(identityOf(algorithm), {
    suite,
    kem,
    firstSequence: o.firstSequence ?? 1,
    nowMs: NOW_MS,
    chance: systemClock,
  });
}

function both(choice: Choice = {}): { device: DeviceSession; platform: PlatformSession } {
  const begun = begin(choice);
  const accepted = acceptOpening(begun.opening, check(choice.algorithm ?? "Ed25519"));
  return { device: begun.finish(accepted.reply), platform: accepted.session };
}

const batchOf = (sequence: number): Batch => ({
  sequence,
  clockMs: NOW_MS,
  offsetMs: 0,
  points: [{ mdc: 147842, exponent: 0, timesMs: [NOW_MS], mantissas: [72], quality: [0] }],
  waveforms: [],
});

const sealNext = (device: DeviceSession) => {
  const sequence = device.nextSequence;
  return { sequence, envelope: device.seal({ sequence, batch: batchOf(sequence) }) };
};

/** The refusal's code; fails for anything that is taken, or that throws what is no refusal. */
function refusalOf(work: () => unknown, what: string): string {
  try {
    work();
  } catch (error) {
    if (error instanceof Problem) return error.code;
    throw error;
  }
  return assert.fail(`${what} was taken`);
}

/** Runs for the bytes with each one of their bits flipped. */
function eachFlip(bytes: Uint8Array, run: (flipped: Uint8Array, what: string) => void): void {
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = Uint8Array.from(bytes);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    run(flipped, `bit ${bit}`);
  }
}

const choice = fc.record({
  suite: fc.constantFrom(...SUITES),
  kem: fc.constantFrom<KemMode>("classical", "hybrid"),
  algorithm: fc.constantFrom<Algorithm>("P-256", "Ed25519"),
  firstSequence: fc.integer({ min: 1, max: 2 ** 50 }),
});

test("what was sealed opens, in any order, through any number of restarts of the platform", () => {
  const order = fc.array(fc.nat(), { minLength: 600, maxLength: 600 });
  fc.assert(
    fc.property(choice, order, fc.nat({ max: 599 }), (chosen, weights, restartAt) => {
      const { device, platform } = both(chosen);
      const sealed = weights.map((weight) => ({ weight, ...sealNext(device) }));
      sealed.sort((a, b) => a.weight - b.weight);
      let session = platform;
      for (const [i, { sequence, envelope }] of sealed.entries()) {
        if (i === restartAt) {
          session = PlatformSession.importState(session.exportState(), systemClock);
        }
        const { content, epoch, index } = session.open(envelope);
        assert.equal(content.sequence, sequence);
        assert.equal(chosen.firstSequence + epoch * 256 + index, sequence);
        assert.deepEqual(content.batch, batchOf(sequence));
      }
    }),
    { numRuns: 8 },
  );
});

test("an envelope opens up to 64 epochs ahead of the newest seen, and not one epoch further", () => {
  const { device, platform } = both();
  const edge = limits.epochsAheadMax * limits.epochEnvelopesMax;
  for (let n = 0; n < edge; n++) sealNext(device);
  const inside = sealNext(device); // the first of epoch 64
  for (let n = 1; n < limits.epochEnvelopesMax; n++) sealNext(device);
  const outside = sealNext(device); // the first of epoch 65
  assert.equal(
    refusalOf(() => platform.open(outside.envelope), "epoch 65"),
    "envelope-refused",
  );
  assert.equal(platform.open(inside.envelope).content.sequence, inside.sequence);
  assert.equal(platform.open(outside.envelope).content.sequence, outside.sequence);
});

test("what was settled and forgotten opens no more, also from the exported state", () => {
  const { device, platform } = both();
  const first = sealNext(device);
  for (let n = 1; n < 600; n++) platform.open(sealNext(device).envelope);
  platform.open(first.envelope);
  platform.settledBefore(first.sequence + limits.epochEnvelopesMax);
  const later = PlatformSession.importState(platform.exportState(), systemClock);
  for (const session of [platform, later]) {
    assert.equal(
      refusalOf(() => session.open(first.envelope), "it"),
      "envelope-refused",
    );
    assert.equal(session.locate(first.envelope)?.settled, true);
  }
});

for (const suite of SUITES) {
  test(`an envelope with any one bit flipped is refused (${suite.name})`, () => {
    const { device, platform } = both({ suite });
    const { envelope } = sealNext(device);
    eachFlip(envelope, (flipped, what) => {
      const code = refusalOf(() => platform.open(flipped), what);
      assert.match(code, /^envelope-(refused|malformed)$/, what);
    });
    assert.equal(platform.open(envelope).content.sequence, 1);
    const downlink = platform.sealDownlink({
      receipt: {
        sessionId: device.sessionId,
        contiguous: 1,
        bitmap: new Uint8Array(),
        refused: [],
        storeEpoch: 1,
      },
    });
    eachFlip(downlink, (flipped, what) => {
      const code = refusalOf(() => device.openDownlink(flipped), what);
      assert.match(code, /^envelope-(refused|malformed)$/, what);
    });
    assert.equal(device.openDownlink(downlink).receipt?.contiguous, 1);
  });
}

for (const algorithm of ["P-256", "Ed25519"] as const) {
  test(`an opening, a reply or a block with any one bit flipped is refused (${algorithm})`, () => {
    const begun = begin({ algorithm });
    eachFlip(begun.opening, (flipped, what) => {
      const code = refusalOf(() => acceptOpening(flipped, check(algorithm)), what);
      assert.match(code, /^(opening-refused|envelope-malformed)$/, what);
    });
    const { reply } = acceptOpening(begun.opening, check(algorithm));
    eachFlip(reply, (flipped, what) => {
      assert.equal(
        refusalOf(() => begun.finish(flipped), what),
        "opening-refused",
        what,
      );
    });
    const block = signBlock(identityOf(algorithm), {
      sessionId: begun.sessionId,
      from: 1,
      to: 3,
      count: 3,
      root: randomBytes(32),
      signedMs: NOW_MS,
      lastSequence: 0,
    });
    const signer = { certificateHash: "07".repeat(32), publicKey: spkiOf(algorithm) };
    assert.equal(verifyBlock(block, signer)?.to, 3);
    eachFlip(block, (flipped, what) => assert.equal(verifyBlock(flipped, signer), undefined, what));
  });
}

test("a reply to another opening, or one for another device's session, starts nothing", () => {
  const one = begin({});
  const two = begin({});
  const { reply } = acceptOpening(one.opening, check("Ed25519"));
  assert.equal(
    refusalOf(() => two.finish(reply), "the reply"),
    "opening-refused",
  );
  const foreign = check("Ed25519", { certificateOf: () => undefined });
  assert.equal(
    refusalOf(() => acceptOpening(one.opening, foreign), "it"),
    "opening-refused",
  );
});

test("an opening on a prekey is refused once the prekey's secret is destroyed", () => {
  const made = makePrekey(platformKeys, { kem: "hybrid", expiresMs: NOW_MS + 1_000 }, systemClock);
  const options = { suite: AES_256_GCM, firstSequence: 1, nowMs: NOW_MS, chance: systemClock };
  const { opening, session } = DeviceSession.fromPrekey(
    identityOf("Ed25519"),
    made.prekey,
    options,
  );
  const held = check("Ed25519", {
    prekeySecret: (id) => (id === made.id ? made.secret : undefined),
  });
  const { session: platform } = acceptOpening(opening, held);
  assert.equal(platform.open(sealNext(session).envelope).content.sequence, 1);
  assert.equal(
    refusalOf(() => acceptOpening(opening, check("Ed25519")), "it"),
    "opening-refused",
  );
  const late = { ...options, nowMs: NOW_MS + 1_000 };
  const again = () => DeviceSession.fromPrekey(identityOf("Ed25519"), made.prekey, late);
  assert.equal(refusalOf(again, "an expired prekey"), "opening-refused");
});

test("no key and nonce come twice: not across sessions, epochs, restarts or old copies of a state", () => {
  const seen = new Set<string>();
  const note = (envelope: Uint8Array, kidBytes: number) => {
    const { kid, partialIv } = parseEnvelope(envelope, kidBytes);
    const name = `${hex(kid)}/${partialIv}`; // the kid names key and Context IV
    assert.ok(!seen.has(name), name);
    seen.add(name);
  };
  let sealed = 0;
  for (let start = 0; start < 6; start++) {
    // The device was restored from an old copy each time: it numbers from 1 again, in a new session.
    const { device, platform } = both({ firstSequence: 1 });
    for (let n = 0; n < 300; n++, sealed++) note(sealNext(device).envelope, 8);
    const old = platform.exportState();
    for (let restore = 0; restore < 4; restore++) {
      const session = PlatformSession.importState(old, systemClock);
      for (let n = 0; n < 300; n++, sealed++) note(session.sealDownlink({}), 16);
    }
  }
  assert.equal(seen.size, sealed);
});

test("an envelope opens in its own session only", () => {
  const one = both();
  const two = both();
  const { envelope } = sealNext(one.device);
  assert.equal(
    refusalOf(() => two.platform.open(envelope), "it"),
    "envelope-refused",
  );
  const down = one.platform.sealDownlink({});
  assert.equal(
    refusalOf(() => two.device.openDownlink(down), "it"),
    "envelope-refused",
  );
});
