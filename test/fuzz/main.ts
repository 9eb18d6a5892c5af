/**
 * `npm run fuzz [target] [--cases N] [--seed S]`: runs each file of this folder that exports `seeds` and `run`.
 * A failing case is printed with its seed and bytes, and ends the run with exit code 1.
 */
import { readdirSync } from "node:fs";
import { parseArgs } from "node:util";
import { generator, mutate } from "./mutate.ts";

export interface FuzzTarget {
  /** Valid inputs to begin from. */
  readonly seeds: readonly Uint8Array[];
  /** Throws if the case shows a fault; a refusal of bad input is no fault. */
  run(bytes: Uint8Array): void | Promise<void>;
}

const own = new Set(["main.ts", "mutate.ts"]);

function targetNames(): string[] {
  return readdirSync(new URL(".", import.meta.url))
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts") && !own.has(name))
    .map((name) => name.slice(0, -3));
}

/** Runs so many cases of one target; throws on the first fault, with what it takes to repeat it. */
export async function fuzz(target: FuzzTarget, cases: number, seed: number): Promise<void> {
  const random = generator(seed);
  for (let number = 0; number < cases; number++) {
    const bytes = mutate(target.seeds, random);
    const hex = bytes.toString("hex");
    try {
      const running = target.run(bytes);
      if (running) await running;
    } catch (cause) {
      throw new Error(`seed ${seed}, case ${number}: ${hex}`, { cause });
    }
  }
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      cases: { type: "string", default: "1000000" },
      seed: { type: "string", default: String(Date.now() % 1_000_000_000) },
    },
  });
  const cases = Number(values.cases);
  const seed = Number(values.seed);
  const known = targetNames();
  const wanted = positionals.length > 0 ? positionals : known;
  const unknown = wanted.filter((name) => !known.includes(name));
  if (unknown.length > 0 || !Number.isSafeInteger(cases) || !Number.isSafeInteger(seed)) {
    console.error(`usage: npm run fuzz -- [${known.join("|")}] [--cases N] [--seed S]`);
    return 2;
  }
  for (const name of wanted) {
    const target = (await import(new URL(`${name}.ts`, import.meta.url).href)) as FuzzTarget;
    const beganMs = performance.now();
    await fuzz(target, cases, seed);
    const seconds = ((performance.now() - beganMs) / 1000).toFixed(1);
    console.log(`${name}: ${cases} cases in ${seconds} s, seed ${seed}: no fault`);
  }
  return 0;
}

if (import.meta.main) process.exitCode = await main();
