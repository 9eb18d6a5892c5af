import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBase64, parseDecimal, readUint64, uint64 } from "./bytes.ts";
import { formatCheckpoint, parseCheckpoint } from "./checkpoint.ts";
import { formatNote, noteKey, parseKey, parseNote, parseSignatures } from "./note.ts";

const SIGNATURE = `— log.example/a ${Buffer.alloc(68, 7).toString("base64")}\n`;
const ROOT = Buffer.alloc(32, 9).toString("base64");

test("a note is split at its last empty line and written as it was read", () => {
  const given = `one\n\ntwo\n\n${SIGNATURE}${SIGNATURE}`;
  const note = parseNote(given);
  assert.equal(note?.text, "one\n\ntwo\n");
  assert.equal(note?.signatures.length, 2);
  assert.equal(note && formatNote(note), given);
});

test("what is no signed note is none", () => {
  const wrong: Record<string, string> = {
    "no signature": "text\n\n",
    "no empty line": `text\n${SIGNATURE}`,
    "no line feed at the end": `text\n\n${SIGNATURE.slice(0, -1)}`,
    "a control character": `te\u0001xt\n\n${SIGNATURE}`,
    "a carriage return": `text\r\n\n${SIGNATURE}`,
    "half a surrogate pair": `te\ud800xt\n\n${SIGNATURE}`,
    "a hyphen for the dash": `text\n\n${SIGNATURE.replace("—", "-")}`,
    "a plus in the name": `text\n\n${SIGNATURE.replace("/a", "+a")}`,
    "a no-break space in the name": `text\n\n${SIGNATURE.replace("/a", "\u00a0a")}`,
    "three spaces": `text\n\n${SIGNATURE.replace(" log", "  log")}`,
    "only a key id": "text\n\n— a AAAAAA==\n",
    "unpadded base64": `text\n\n${SIGNATURE.replace("=", "")}`,
    "base64 with stray bits": "text\n\n— a AAAAAAB=\n",
    "65 signatures": `text\n\n${SIGNATURE.repeat(65)}`,
  };
  for (const [why, given] of Object.entries(wrong)) assert.equal(parseNote(given), undefined, why);
  assert.ok(parseNote(`text\n\n${SIGNATURE.repeat(16)}`), "16 must be taken");
  assert.deepEqual(parseSignatures(""), []);
});

test("a verifier key whose id is not that of its bytes, or of a wrong length, is none", () => {
  const good = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
  assert.equal(parseKey(good)?.id, 0x530d903a);
  const wrong = [
    good.replace("530d903a", "530d903b"),
    good.replace("530d903a", "530D903A"),
    good.replace("foo", "fo o"),
    good.slice(0, -4),
    `${good}AAAA`,
    "example.com/foo+530d903a",
    "",
  ];
  for (const text of wrong) assert.equal(parseKey(text), undefined, text);
  assert.throws(() => noteKey("a b", 1, new Uint8Array(32)), RangeError);
  assert.throws(() => noteKey("a", 6, new Uint8Array(32)), RangeError);
});

test("a checkpoint is read strictly and written in the one form", () => {
  const good = `log.example/a\n20852163\n${ROOT}\n`;
  const read = parseCheckpoint(good);
  assert.ok(read);
  assert.equal(formatCheckpoint(read), good);
  assert.deepEqual(parseCheckpoint(`${good}an extension\n`)?.extensions, ["an extension"]);
  const wrong: Record<string, string> = {
    "no line feed": good.slice(0, -1),
    "an empty origin": `\n1\n${ROOT}\n`,
    "a leading zero": `a\n01\n${ROOT}\n`,
    "a sign": `a\n+1\n${ROOT}\n`,
    "a size beyond 2^53": `a\n9007199254740992\n${ROOT}\n`,
    "a short root": "a\n1\nAAAA\n",
    "an empty extension line": `${good}\n`,
    "two lines": "a\n1\n",
  };
  for (const [why, text] of Object.entries(wrong)) {
    assert.equal(parseCheckpoint(text), undefined, why);
  }
  assert.throws(() => formatCheckpoint({ ...read, origin: "a\nb" }), RangeError);
  assert.throws(() => formatCheckpoint({ ...read, size: -1 }), RangeError);
});

test("numbers are eight bytes, decimals have one form", () => {
  for (const value of [0, 1, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
    assert.equal(readUint64(uint64(value)), value);
    assert.equal(parseDecimal(String(value)), value);
  }
  assert.equal(readUint64(new Uint8Array(8).fill(255)), undefined);
  assert.equal(readUint64(new Uint8Array(7)), undefined);
  assert.throws(() => uint64(2 ** 53), RangeError);
  assert.equal(fromBase64("AB=="), undefined);
});
