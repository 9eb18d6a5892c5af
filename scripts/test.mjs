// npm test [-- FILE…]: installs what tests need, checks types and lint, builds the console, then runs
// every test under Node 26. With CI=true a skipped test is a failed one.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bootstrap } from "./bootstrap.mjs";
import { check } from "./check.mjs";
import { buildConsole } from "./console-build.mjs";
import { runUnderNode26 } from "./node26.mjs";
import { ROOT } from "./platform.mjs";

const FILES = ["src", "test", "demo", "console", "bench", "lab"].flatMap((folder) =>
  existsSync(join(ROOT, folder)) ? [`${folder}/**/*.test.ts`] : [],
);
/** Program to look for → Debian package. Without them the tests that need them skip by name. */
const TOOLS = {
  mosquitto: "mosquitto",
  mosquitto_pub: "mosquitto-clients",
  curl: "curl",
  openssl: "openssl",
  setpriv: "util-linux",
  faketime: "faketime",
};
/** Libraries that the browser of the npm package wants where Debian's own Chromium is not installed. */
const BROWSER_LIBRARIES = { "libnss3.so": "libnss3", "libexpat.so.1": "libexpat1" };
/** A single test that takes longer hangs. */
const TEST_TIMEOUT_MS = 15 * 60_000;

const node = await bootstrap();
installTools();
const wanted = process.argv.slice(2);
const failedChecks = wanted.length === 0 ? check(node) : [];
if (!(await buildConsole(node))) failedChecks.push("build of the console");
const { status, skipped } = await runTests(wanted.length === 0 ? FILES : wanted);
if (failedChecks.length > 0) console.error(`Failed checks: ${failedChecks.join(", ")}`);
if (skipped.length > 0) {
  console.error(`Skipped ${skipped.length}:`);
  for (const line of skipped) console.error(`  ${line}`);
}
const isStrict = process.env.CI === "true";
process.exitCode =
  status !== 0 || failedChecks.length > 0 || (isStrict && skipped.length > 0) ? 1 : 0;

async function runTests(files) {
  const folder = mkdtempSync(join(tmpdir(), "vitalward-run-"));
  const skips = join(folder, "skipped.txt");
  try {
    const status = await runUnderNode26(
      node,
      [
        "--test",
        "--test-concurrency=2",
        `--test-timeout=${TEST_TIMEOUT_MS}`,
        "--test-reporter=spec",
        "--test-reporter-destination=stdout",
        `--test-reporter=${join(ROOT, "scripts", "skip-reporter.mjs")}`,
        `--test-reporter-destination=${skips}`,
        ...files,
      ],
      { cwd: ROOT, env: environment() },
    );
    const text = existsSync(skips) ? readFileSync(skips, "utf8") : "";
    return { status, skipped: text.split("\n").filter(Boolean) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
    stopSharedServer();
  }
}

/** Tests start from the defaults, whatever the developer's own platform is set to. */
function environment() {
  const entries = Object.entries(process.env).filter(
    ([name]) =>
      !name.startsWith("VITALWARD_") && name !== "DATABASE_URL" && !name.startsWith("npm_"),
  );
  return { ...Object.fromEntries(entries), VITALWARD_LOG_LEVEL: "warn" };
}

function stopSharedServer() {
  spawnSync(node, [join(ROOT, "test", "support", "stop-shared-server.ts")], {
    stdio: "inherit",
    env: environment(),
  });
}

function installTools() {
  const has = (program) =>
    spawnSync("sh", ["-c", `PATH="$PATH:/usr/sbin" command -v ${program}`]).status === 0;
  const missing = Object.entries(TOOLS).filter(([program]) => !has(program));
  if (process.platform === "linux" && !existsSync("/usr/bin/chromium")) {
    const known = spawnSync("sh", ["-c", 'PATH="$PATH:/sbin:/usr/sbin" ldconfig -p']).stdout;
    missing.push(
      ...Object.entries(BROWSER_LIBRARIES).filter(([name]) => !`${known}`.includes(name)),
    );
  }
  if (missing.length === 0 || process.getuid() !== 0 || !has("apt-get")) return;
  const packages = [...new Set(missing.map(([, name]) => name))];
  console.error(`Installing ${packages.join(", ")} …`);
  mkdirSync(join(ROOT, ".cache"), { recursive: true });
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = (...args) => spawnSync("apt-get", args, { env, encoding: "utf8" });
  apt("update", "-qq");
  const done = apt("install", "-y", "-qq", "--no-install-recommends", ...packages);
  if (done.status !== 0) console.error(done.stderr.trim().split("\n").slice(-3).join("\n"));
}
