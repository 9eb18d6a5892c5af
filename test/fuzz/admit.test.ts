import { after, test } from "node:test";
import * as target from "./admit.ts";
import { fuzz } from "./main.ts";

after(() => target.close());

test("ten thousand mutated arrivals give typed verdicts and admit nothing but what was sealed", async () => {
  const seed = Date.now() % 1_000_000_000;
  console.log(`seed ${seed}`);
  for (const bytes of target.seeds) await target.run(bytes);
  await fuzz(target, 10_000, seed);
  await target.verify();
});
