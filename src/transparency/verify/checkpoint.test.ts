import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { formatCheckpoint } from "../checkpoint.ts";
import { formatKey, formatNote, noteKey, parseNote } from "../note.ts";
import {
  type CheckpointSigner,
  ed25519Cosigner,
  logSigner,
  mlDsa44Cosigner,
  signCheckpoint,
} from "../sign.ts";
import { type CheckpointPolicy, verifyCheckpoint } from "./checkpoint.ts";

const ORIGIN = "hospital.example/log/0";
const NOW = 1_800_000_000;
const ed25519 = () => generateKeyPairSync("ed25519").privateKey;
const mlDsa44 = () => generateKeyPairSync("ml-dsa-44").privateKey;
const log = logSigner(ORIGIN, ed25519());
const logToo = mlDsa44Cosigner(ORIGIN, mlDsa44());
const witnesses = ["a", "b", "c", "d"].map((name) => ed25519Cosigner(`${name}.example`, ed25519()));
const [a, b, c, d] = witnesses as [
  CheckpointSigner,
  CheckpointSigner,
  CheckpointSigner,
  CheckpointSigner,
];
const aToo = mlDsa44Cosigner("a.example", mlDsa44());
const checkpoint = { origin: ORIGIN, size: 42, root: new Uint8Array(32).fill(5) };
const policy: CheckpointPolicy = {
  origin: ORIGIN,
  operator: "hospital",
  logKeys: [log, logToo].map(({ key }) => formatKey(key)),
  witnesses: witnesses.map(({ key }, n) => ({
    operator: key.name,
    keys: n === 0 ? [formatKey(key), formatKey(aToo.key)] : [formatKey(key)],
  })),
  quorum: 3,
  freshWithinS: 300,
  aheadS: 60,
};

async function check(
  signers: readonly CheckpointSigner[],
  expected: string | undefined,
  { timeS = NOW, change = {} as Partial<CheckpointPolicy>, text = (whole: string) => whole } = {},
) {
  const note = text(signCheckpoint(checkpoint, signers, timeS));
  const verdict = await verifyCheckpoint(note, { ...policy, ...change }, NOW);
  assert.equal(verdict.reason, expected);
  assert.equal(verdict.holds, expected === undefined);
  return verdict;
}

test("the log and three of four fresh witnesses suffice, two do not", async () => {
  const verdict = await check([log, a, b, c], undefined);
  assert.deepEqual([...verdict.cosigned.keys()], ["a.example", "b.example", "c.example"]);
  assert.equal(verdict.liarsBorne, 1);
  assert.equal(verdict.checkpoint?.size, 42);
  await check([log, b, d], "too-few-witnesses");
  await check([log], "too-few-witnesses");
});

test("one witness counts once, whatever it signs with and however often", async () => {
  await check([log, a, aToo, a, b], "too-few-witnesses");
  await check([log, aToo, b, c], undefined);
});

test("the log signs with either of its keys, and a note without its line is refused", async () => {
  await check([logToo, a, b, c], undefined);
  await check([a, b, c, d], "not-signed-by-log");
});

test("an altered size, root or origin is refused", async () => {
  const all = [log, logToo, a, aToo, b, c];
  await check(all, "invalid-signature", { text: (whole) => whole.replace("\n42\n", "\n43\n") });
  const root = Buffer.from(checkpoint.root).toString("base64");
  await check(all, "invalid-signature", {
    text: (whole) => whole.replace(root, `Z${root.slice(1)}`),
  });
  await check(all, "other-log", { text: (whole) => whole.replace("log/0\n", "log/1\n") });
  await check(all, "malformed", { text: (whole) => whole.slice(0, -1) });
});

test("a line of a known key that does not hold refuses the note; one of an unknown key is ignored", async () => {
  const forged = {
    ...b,
    sign: (text: string) => ({ ...b.sign(text, NOW), signature: new Uint8Array(72) }),
  };
  await check([log, a, forged, c, d], "invalid-signature");
  await check([log, a, b, c, ed25519Cosigner("e.example", ed25519())], undefined);
  await check([log, a, b, ed25519Cosigner("c.example", ed25519())], "too-few-witnesses");
});

test("old cosignatures and those from the future do not count", async () => {
  await check([log, a, b, c], undefined, { timeS: NOW - 300 });
  await check([log, a, b, c], "not-fresh", { timeS: NOW - 301 });
  await check([log, a, b, c], undefined, { timeS: NOW + 60 });
  await check([log, a, b, c], "not-fresh", { timeS: NOW + 61 });
  await check([log, a, b, c], "too-few-witnesses", { timeS: 0 });
});

test("a cosignature's time cannot be changed", async () => {
  for (const signer of [a, aToo]) {
    const later = {
      ...signer,
      sign: (text: string) => {
        const line = signer.sign(text, NOW - 900);
        line.signature.set(signer.sign(text, NOW).signature.subarray(0, 8));
        return line;
      },
    };
    await check([log, later, b, c], "invalid-signature");
  }
});

test("a policy is refused that the operator or two disjoint groups could satisfy", async () => {
  const all = [log, a, b, c, d];
  const [first, ...rest] = policy.witnesses;
  assert.ok(first);
  const unsound: Record<string, Partial<CheckpointPolicy>> = {
    "the operator as a witness": { witnesses: [{ ...first, operator: "hospital" }, ...rest] },
    "one operator, two witnesses": {
      witnesses: [
        ...policy.witnesses,
        { operator: "b.example", keys: [formatKey(ed25519Cosigner("b2.example", ed25519()).key)] },
      ],
    },
    "the log's key as a witness": {
      witnesses: [
        { operator: "x", keys: [formatKey(noteKey("x", 4, log.key.publicKey))] },
        ...policy.witnesses,
      ],
    },
    "a witness without a key": { witnesses: [{ operator: "x", keys: [] }, ...policy.witnesses] },
    "two of four": { quorum: 2 },
    "none of four": { quorum: 0 },
    "five of four": { quorum: 5 },
    "no log key": { logKeys: [] },
    "a witness' key for the log": { logKeys: [formatKey(a.key)] },
    "no key at all": { logKeys: ["nonsense"] },
  };
  for (const change of Object.values(unsound)) await check(all, "policy", { change });
});

test("ML-DSA-44 is put under no extension line, and holds under none", async () => {
  const text = `${formatCheckpoint(checkpoint)}extension\n`;
  assert.throws(() => aToo.sign(text, NOW), RangeError);
  const line = aToo.sign(formatCheckpoint(checkpoint), NOW);
  const signatures = [log.sign(text, NOW), line];
  const verdict = await verifyCheckpoint(formatNote({ text, signatures }), policy, NOW);
  assert.equal(verdict.reason, "invalid-signature");
});

test("no changed character of a checkpoint is believed", async () => {
  const whole = signCheckpoint(checkpoint, [log, a, b, c], NOW);
  for (let at = 0; at < whole.length; at += 3) {
    const changed = `${whole.slice(0, at)}${whole[at] === "A" ? "B" : "A"}${whole.slice(at + 1)}`;
    const verdict = await verifyCheckpoint(changed, policy, NOW);
    // A changed name or key id makes a line one of an unknown key: then a witness is missing.
    assert.equal(verdict.holds, false, `character ${at}: ${parseNote(changed)?.text}`);
  }
});
