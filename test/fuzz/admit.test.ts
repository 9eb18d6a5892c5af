import assert from "node:assert/strict";
import { after, test } from "node:test";
import * as target from "./admit.ts";
import { fuzz } from "./main.ts";

after(() => target.close());

test("ten thousand mutated arrivals give typed verdicts and admit nothing but what was sealed", async () => {
  const seed = Date.now() % 1_000_000_000;
  console.log(`seed ${seed}`);
  for (const bytes of target.seeds) await target.run(bytes);
  assert.ok(target.outcomes.admitted >= 4 && target.outcomes.duplicate > 0, "the seeds are taken");
  await fuzz(target, 10_000, seed);
  await target.verify();
  // Mutations reach both sides of the judgement: what is refused, and what is known again.
  assert.ok(target.outcomes.refused > 5_000 && target.outcomes.duplicate > 8);
});

test("an envelope that was taken and is not among the seeds would be noticed", async () => {
  await assert.rejects(target.run(target.unforeseen()), /something else was taken/);
});
