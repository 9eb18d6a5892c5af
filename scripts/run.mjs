// node scripts/run.mjs FILE.ts [ARGUMENT…]: installs what is missing, then runs the file under Node 26.
import { resolve } from "node:path";
import { bootstrap, refuse } from "./bootstrap.mjs";
import { runUnderNode26 } from "./node26.mjs";
import { ROOT } from "./platform.mjs";

const [file, ...rest] = process.argv.slice(2);
if (!file) refuse("usage: node scripts/run.mjs FILE.ts [ARGUMENT…]");
process.exitCode = await runUnderNode26(await bootstrap(), [resolve(ROOT, file), ...rest]);
