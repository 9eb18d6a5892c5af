// npm run check: types of the platform and of the console, formatting and lint.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { bootstrap } from "./bootstrap.mjs";
import { ROOT } from "./platform.mjs";

/** Returns the names of the checks that failed. */
export function check(node) {
  const modules = join(ROOT, "node_modules");
  const tsc = join(modules, "typescript", "bin", "tsc");
  const biome = join(modules, "@biomejs", "biome", "bin", "biome");
  const steps = [["types", [tsc, "-p", "."]]];
  if (existsSync(join(ROOT, "console", "tsconfig.json"))) {
    steps.push(["types of the console", [tsc, "-p", "console"]]);
  }
  steps.push(["formatting and lint", [biome, "check"]]);
  return steps
    .filter(([name, args]) => {
      console.error(`Checking ${name} …`);
      return spawnSync(node, args, { cwd: ROOT, stdio: "inherit" }).status !== 0;
    })
    .map(([name]) => name);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const failed = check(await bootstrap());
  if (failed.length > 0) {
    console.error(`Failed: ${failed.join(", ")}`);
    process.exitCode = 1;
  }
}
