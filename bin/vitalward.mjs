#!/usr/bin/env node
// The `vitalward` command. Whatever Node started this, the work is done by Node 26: `npm exec` puts it
// first in the path, a plain shell does not.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { runUnderNode26 } from "../scripts/node26.mjs";
import { NODE_MAJOR, node26, ROOT } from "../scripts/platform.mjs";

const main = join(ROOT, "src", "cli", "main.ts");
if (Number(process.versions.node.split(".")[0]) >= NODE_MAJOR) {
  await import(main);
} else {
  const node = node26();
  if (!node || !existsSync(join(ROOT, "node_modules", "commander"))) {
    console.error('Run "npm start" in the clone once: it installs what this command needs.');
    process.exit(78);
  }
  process.exitCode = await runUnderNode26(node, [main, ...process.argv.slice(2)]);
}
