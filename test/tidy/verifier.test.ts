import assert from "node:assert/strict";
import { test } from "node:test";
import { filesEnding, importsOf, isTest, text } from "./sources.ts";

/** What writer and verifier of the log share: how things are written, never how they are made or judged. */
const ENCODINGS = [
  "bytes",
  "canonical",
  "checkpoint",
  "index-proof",
  "leaf-format",
  "note",
  "proof-file",
  "tile-paths",
].map((name) => `src/transparency/${name}.ts`);
const verifier = filesEnding([".ts"], ["src/transparency/verify/"]).filter((f) => !isTest(f));

test("the log's verifier shares no code with its writer beyond the encodings", () => {
  assert.ok(verifier.length > 0);
  const wrong = verifier.flatMap((file) =>
    importsOf(file)
      .filter(({ name, path }) =>
        path === undefined
          ? !name.startsWith("@noble/hashes/")
          : !verifier.includes(path) && !ENCODINGS.includes(path),
      )
      .map(({ name }) => `${file} imports ${name}`),
  );
  assert.deepEqual(wrong, []);
});

test("the log's verifier and its encodings run in a browser", () => {
  const files = [...verifier, ...filesEnding([".ts"]).filter((file) => ENCODINGS.includes(file))];
  const wrong = files.flatMap((file) => [
    ...importsOf(file)
      .filter(({ name, path }) =>
        path === undefined
          ? !name.startsWith("@noble/hashes/")
          : !verifier.includes(path) && !ENCODINGS.includes(path),
      )
      .map(({ name }) => `${file} imports ${name}`),
    ...(/\bBuffer\b|\bprocess\./.test(text(file)) ? [`${file} uses what only Node has`] : []),
  ]);
  assert.deepEqual(wrong, []);
});
