// Builds the console when any of its sources changed since the last build. Plain JavaScript for Node 20.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./platform.mjs";

const CONSOLE = join(ROOT, "console");
const STAMP = join(ROOT, ".cache", "console.stamp");
/** What the console is made of: itself, and the folders of src/ that it may import. */
const SOURCES = ["console", "src/vitals", "src/transparency", "src/envelope", "src/ward"];

/** Returns false when the build failed: an old console on a new platform would mislead. */
export async function buildConsole(node) {
  if (!existsSync(join(CONSOLE, "vite.config.ts"))) return true;
  const hash = sourceHash();
  const isBuilt = existsSync(join(CONSOLE, "dist", "index.html"));
  if (isBuilt && existsSync(STAMP) && readFileSync(STAMP, "utf8") === hash) return true;
  console.error("Building the console …");
  const startMs = Date.now();
  const vite = join(ROOT, "node_modules", "vite", "bin", "vite.js");
  const built = spawnSync(node, [vite, "build", "--logLevel", "warn"], {
    cwd: CONSOLE,
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, NODE_ENV: "production" },
  });
  if (built.status !== 0) {
    console.error("The console could not be built; the lines above say why.");
    return false;
  }
  mkdirSync(join(ROOT, ".cache"), { recursive: true });
  writeFileSync(STAMP, hash);
  console.error(`  built in ${((Date.now() - startMs) / 1000).toFixed(1)} s.`);
  return true;
}

function sourceHash() {
  const hash = createHash("sha256").update(readFileSync(join(ROOT, "package-lock.json")));
  for (const folder of SOURCES) {
    for (const file of filesBelow(folder)) {
      hash
        .update(`${file}\0`)
        .update(readFileSync(join(ROOT, file)))
        .update("\0");
    }
  }
  return hash.digest("hex");
}

function filesBelow(folder) {
  if (!existsSync(join(ROOT, folder))) return [];
  return readdirSync(join(ROOT, folder), { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) {
        return ["dist", "node_modules"].includes(entry.name) ? [] : filesBelow(path);
      }
      return /\.test\.tsx?$/.test(entry.name) ? [] : [path];
    });
}
