import assert from "node:assert/strict";
import { test } from "node:test";
import * as target from "./fhir.ts";
import { fuzz } from "./main.ts";

test("each seed of the FHIR fuzzer runs", () => {
  for (const seed of target.seeds) target.run(seed);
  assert.ok(target.seeds.length > 5);
});

test("three thousand spoilt resources and searches are taken or refused in words that repeat no value", async () => {
  const seed = Date.now() % 1_000_000_000;
  console.log(`seed ${seed}`);
  await fuzz(target, 3_000, seed);
});
