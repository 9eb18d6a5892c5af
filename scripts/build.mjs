// npm run build: the console, and the packages that others install (device SDK, verifier), compiled
// because Node does not strip types inside node_modules.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { bootstrap } from "./bootstrap.mjs";
import { buildConsole } from "./console-build.mjs";
import { ROOT } from "./platform.mjs";

const node = await bootstrap();
if (!(await buildConsole(node))) process.exit(1);
for (const folder of ["src/device", "src/transparency"]) {
  const project = join(ROOT, folder, "tsconfig.json");
  if (!existsSync(project)) continue;
  const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  const built = spawnSync(node, [tsc, "-p", project], { cwd: ROOT, stdio: "inherit" });
  if (built.status !== 0) process.exit(built.status ?? 1);
  console.error(`  compiled ${folder}`);
}
