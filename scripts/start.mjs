// npm start: install what is missing, build what is stale, start the platform with its demonstration ward.
import { join } from "node:path";
import { bootstrap } from "./bootstrap.mjs";
import { buildConsole } from "./console-build.mjs";
import { runUnderNode26 } from "./node26.mjs";
import { ROOT } from "./platform.mjs";

const node = await bootstrap();
if (!(await buildConsole(node))) process.exit(1);
process.exitCode = await runUnderNode26(node, [
  join(ROOT, "src", "cli", "main.ts"),
  "serve",
  "--demo",
  ...process.argv.slice(2),
]);
