import assert from "node:assert/strict";
import { test } from "node:test";
import * as target from "./envelope.ts";
import { fuzz } from "./main.ts";

test("each seed of the envelope fuzzer is taken by one of the decoders", () => {
  for (const seed of target.seeds) target.run(seed);
  assert.ok(target.seeds.length > 8);
});

test("twenty thousand mutated batches, contents, openings, blocks and receipts are canonical or refused by name", async () => {
  const seed = Date.now() % 1_000_000_000;
  console.log(`seed ${seed}`);
  await fuzz(target, 20_000, seed);
});
