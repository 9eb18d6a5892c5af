import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { type TestContext, test } from "node:test";
import { parseEnvelope, sessionAad, writeEnvelope } from "../envelope/envelope.ts";
import { epochKeys, nonceOf } from "../envelope/ratchet.ts";
import { envelopeHash } from "../envelope/session.ts";
import { SUITES } from "../envelope/suites.ts";
import { Opener } from "./opener.ts";

/** Envelopes of both suites and many sizes; every fifth has a bit changed. */
function sealedOnes(count: number) {
  return Array.from({ length: count }, (_, i) => {
    const suite = SUITES[i % SUITES.length]!;
    const keys = epochKeys(randomBytes(32), suite);
    const aad = sessionAad(suite, randomBytes(16));
    const nonce = nonceOf(keys.contextIv, i % 256);
    const plaintext = randomBytes((i * 37) % 5_000);
    const sealed = suite.seal(keys.key, nonce, aad, plaintext);
    const isChanged = i % 5 === 4;
    if (isChanged) sealed[i % sealed.length]! ^= 1;
    const bytes = writeEnvelope(suite, randomBytes(8), i % 256, sealed);
    const lock = { suite, keys, nonce, aad, epoch: 0, index: i % 256 };
    return { lock, bytes, plaintext: isChanged ? undefined : plaintext };
  });
}

/** Opens all in one turn. @returns how many were answered, and wrongly, as they come. */
function openAll(opener: Opener, count: number) {
  const told = { answers: 0, wrong: 0 };
  const all = sealedOnes(count);
  const answered = all.map(
    ({ lock, bytes, plaintext }) =>
      new Promise<void>((resolve) => {
        const { sealed } = parseEnvelope(bytes);
        opener.open(lock, bytes, sealed, (got, hash) => {
          told.answers++;
          const isRight =
            Buffer.compare(hash, envelopeHash(bytes)) === 0 &&
            (plaintext === undefined || got === undefined
              ? got === plaintext
              : Buffer.compare(got, plaintext) === 0);
          if (!isRight) told.wrong++;
          resolve();
        });
      }),
  );
  return { told, all: Promise.all(answered) };
}

function openerOf(t: TestContext, threadFile?: URL): Opener {
  const opener = new Opener(threadFile);
  t.after(() => opener.close());
  return opener;
}

/** Takes the first group and ends without an answer. */
const DYING = new URL(
  `data:text/javascript,${encodeURIComponent(
    'import { parentPort } from "node:worker_threads"; parentPort.once("message", () => process.exit(3));',
  )}`,
);

test("few or thousands at once, each is opened, and a changed one is told as such", async (t) => {
  const opener = openerOf(t);
  for (const count of [1, 7, 8, 100, 3_000]) {
    const { told, all } = openAll(opener, count);
    await all;
    assert.deepEqual(told, { answers: count, wrong: 0 });
  }
  const rounds = Array.from({ length: 20 }, () => openAll(opener, 150));
  await Promise.all(rounds.map(({ all }) => all));
  for (const { told } of rounds) assert.deepEqual(told, { answers: 150, wrong: 0 });
});

test("what the thread had when it ended is opened all the same, once each", async (t) => {
  const opener = openerOf(t, DYING);
  for (let round = 0; round < 3; round++) {
    const { told, all } = openAll(opener, 200);
    await all;
    assert.deepEqual(told, { answers: 200, wrong: 0 });
  }
});

test("closing answers everything that waits, and what comes later", async () => {
  const opener = new Opener();
  const before = openAll(opener, 500);
  await opener.close();
  await before.all;
  const after = openAll(opener, 20);
  await after.all;
  assert.deepEqual(
    [before.told, after.told],
    [
      { answers: 500, wrong: 0 },
      { answers: 20, wrong: 0 },
    ],
  );
});
