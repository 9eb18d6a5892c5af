import assert from "node:assert/strict";
import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseCheckpoint } from "../../src/transparency/checkpoint.ts";
import {
  formatKey,
  formatNote,
  type NoteSignature,
  parseKey,
  parseNote,
} from "../../src/transparency/note.ts";
import { logSigner } from "../../src/transparency/sign.ts";
import { verifyCheckpoint } from "../../src/transparency/verify/checkpoint.ts";
import { verifyLine } from "../../src/transparency/verify/signature.ts";

function published(name: string) {
  const whole = readFileSync(join(import.meta.dirname, "tlog", `${name}.txt`), "utf8");
  const gap = whole.indexOf("\n\n");
  const keys = whole.slice(0, gap).split("\n");
  return { keys, text: whole.slice(gap + 2) };
}

/** How many lines of keys in the file hold. */
async function holding(name: string, change = (text: string) => text): Promise<string[]> {
  const { keys, text } = published(name);
  const note = parseNote(text);
  assert.ok(note, name);
  assert.equal(formatNote(note), text, `${name} is written as it was read`);
  const found: string[] = [];
  for (const written of keys) {
    const key = parseKey(written);
    assert.ok(key, written);
    assert.equal(formatKey(key), written);
    const line: NoteSignature | undefined = note.signatures.find(
      (one) => one.name === key.name && one.id === key.id,
    );
    assert.ok(line, `${name}: no line of ${key.name}`);
    const { verdict } = await verifyLine(change(note.text), line, key);
    if (verdict === "valid") found.push(`${key.name} ${key.type}`);
  }
  return found;
}

const FILES = {
  "signed-note": ["example.com/foo 1"],
  "go-note": ["PeterNeumann 1", "EnochRoot 1"],
  arche2025h1: ["arche2025h1.staging.ct.transparency.dev 1", "remora.n621.de 4"],
  coachandhorses2026h1: [
    "witness.navigli.sunlight.geomys.org 4",
    "witness.navigli.sunlight.geomys.org 6",
  ],
};

for (const [name, expected] of Object.entries(FILES)) {
  test(`${name}: the published signatures hold, and none over another text`, async () => {
    assert.deepEqual(await holding(name), expected);
    const other = (text: string) => text.replace(/[0-9]{4}|crypto|example/, "1234");
    assert.deepEqual(await holding(name, other), []);
  });
}

test("the checkpoints of public logs are read", () => {
  const of = (name: string) => parseCheckpoint(parseNote(published(name).text)?.text ?? "");
  assert.equal(of("arche2025h1")?.size, 1_432_088_532);
  assert.equal(of("coachandhorses2026h1")?.size, 185_550_722);
  assert.equal(of("go-note"), undefined);
});

test("a public log's checkpoint holds by a policy with its key and one witness, at its time", async () => {
  const { keys, text } = published("arche2025h1");
  const [log = "", witness = ""] = keys;
  const policy = {
    origin: "arche2025h1.staging.ct.transparency.dev",
    operator: "log",
    logKeys: [log],
    witnesses: [{ operator: "witness", keys: [witness] }],
    quorum: 1,
    freshWithinS: 300,
    aheadS: 60,
  };
  const timeS = 0x6a122120;
  const verdict = await verifyCheckpoint(text, policy, timeS + 10);
  assert.equal(verdict.reason, undefined);
  assert.equal(verdict.cosigned.get("witness"), timeS);
  assert.equal((await verifyCheckpoint(text, policy, timeS + 301)).reason, "not-fresh");
});

test("our signer makes the bytes that Go makes with the same key", () => {
  // The documentation's EnochRoot is the key of a seed of zeroes.
  const { keys, text } = published("go-note");
  const privateKey = createPrivateKey({
    key: Buffer.alloc(32),
    format: "raw-private",
    asymmetricKeyType: "ed25519",
  });
  const signer = logSigner("EnochRoot", privateKey);
  assert.equal(formatKey(signer.key), keys[1]);
  const note = parseNote(text);
  assert.ok(note);
  assert.deepEqual(
    { ...signer.sign(note.text, 0) },
    {
      ...note.signatures[1],
      signature: Buffer.from(note.signatures[1]?.signature ?? []),
    },
  );
});
