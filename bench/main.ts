/** `npm run bench -- <name> [--json]`: runs the cases of one bench file and prints value against reference. */
import { readdirSync } from "node:fs";
import type { BenchCase } from "./measure.ts";

const names = readdirSync(import.meta.dirname)
  .filter((file) => /^[a-z-]+\.ts$/.test(file))
  .map((file) => file.slice(0, -3));

/** A bench is a file that exports `cases`; the others are its parts. */
async function benchOf(name: string): Promise<(() => AsyncIterable<BenchCase>) | undefined> {
  if (!names.includes(name) || name === "main" || name === "measure") return undefined;
  const file = (await import(`./${name}.ts`)) as { cases?: () => AsyncIterable<BenchCase> };
  return file.cases;
}

function line(one: BenchCase): string {
  const figure = (n: number) => n.toLocaleString("en-GB", { maximumSignificantDigits: 4 });
  const value = `${figure(one.value)} ${one.unit}`;
  const reference = `${figure(one.referenceValue)} ${one.reference}`;
  return `${one.case.padEnd(34)} ${value.padStart(22)}   ${`×${figure(one.ratio)}`.padStart(9)}   ${reference}`;
}

const args = process.argv.slice(2);
const [name = ""] = args.filter((arg) => !arg.startsWith("--"));
const cases = await benchOf(name);
if (cases === undefined) {
  const known = [];
  for (const one of names) if ((await benchOf(one)) !== undefined) known.push(one);
  console.error(`bench: name one of ${known.join(", ")}`);
  process.exit(2);
}
const json = args.includes("--json");
if (!json) console.log(`${name}: value, times better than the reference, the reference`);
for await (const one of cases()) {
  console.log(json ? JSON.stringify({ bench: name, ...one }) : line(one));
}
