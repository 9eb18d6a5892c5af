/** A stranger's clone of this repository, and the commands they type in it. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Ports } from "../../src/data-folder.ts";
import { choosePlaces } from "../../src/postgres/places.ts";
import { isAlive } from "../support/platform.ts";
import { files, ROOT } from "../tidy/sources.ts";

export const asRoot = process.getuid?.() === 0;
/** Some account of this machine that is neither root nor nobody; PostgreSQL wants it to have a name. */
export const ORDINARY_UID = Number(
  readFileSync("/etc/passwd", "utf8").match(/^(?!root|nobody)[\w-]+:[^:]*:([1-9]\d*):/m)?.[1],
);
const READY_WITHIN_MS = 120_000;

/** Copies the project's files, links the installed packages (one file system, no bytes copied). */
export function makeClone(dir: string, o: { modules?: boolean; uid?: number } = {}): void {
  for (const file of files()) {
    mkdirSync(dirname(join(dir, file)), { recursive: true });
    cpSync(join(ROOT, file), join(dir, file));
  }
  // What a start would build first, so that each test need not.
  for (const built of ["console/dist", ".cache/console.stamp"]) {
    if (existsSync(join(ROOT, built)))
      cpSync(join(ROOT, built), join(dir, built), { recursive: true });
  }
  if (o.uid !== undefined) run("chown", ["-R", `${o.uid}:${o.uid}`, dir]);
  if (o.modules ?? true) linkModules(dir);
}

export function linkModules(dir: string): void {
  const isLinked = spawnSync("cp", ["-al", join(ROOT, "node_modules"), `${dir}/`]).status === 0;
  if (isLinked) return;
  rmSync(join(dir, "node_modules"), { recursive: true, force: true });
  run("cp", ["-a", join(ROOT, "node_modules"), `${dir}/`]); // another file system
}

function run(command: string, args: string[]): void {
  const done = spawnSync(command, args, { encoding: "utf8" });
  if (done.status !== 0) throw new Error(`${command} ${args.join(" ")}: ${done.stderr}`);
}

/** The environment of somebody who just opened a shell: the system's Node, free ports. */
export function shell(home: string, settings: Readonly<Record<string, string>> = {}) {
  const path = (process.env.PATH ?? "").split(":").filter((part) => !part.includes("node_modules"));
  // How this machine reaches its package registry is the machine's affair.
  const machine = Object.entries(process.env).filter(([name]) =>
    /^(?:NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|(?:https?|no)_proxy|npm_config_(?:registry|cafile|cache|userconfig))$/i.test(
      name,
    ),
  );
  return {
    ...Object.fromEntries(machine),
    PATH: path.join(":"),
    HOME: home,
    LANG: "C.UTF-8",
    VITALWARD_HTTP_PORT: "0",
    VITALWARD_MQTT_PORT: "0",
    VITALWARD_DEVICE_PORT: "0",
    ...settings,
  };
}

export interface Typed {
  readonly child: ChildProcess;
  output(): string;
  /** Exit code, or the signal's name. */
  readonly ended: Promise<number | string>;
}

/** Types a command in the clone. The caller stops it. */
export function type(
  dir: string,
  command: readonly [string, ...string[]],
  o: { env: NodeJS.ProcessEnv; uid?: number },
): Typed {
  const [program, ...args] = command;
  const child = spawn(program, args, {
    cwd: dir,
    env: o.env,
    stdio: ["ignore", "pipe", "pipe"],
    ...(o.uid === undefined ? {} : { uid: o.uid, gid: o.uid }),
  });
  let output = "";
  const keep = (chunk: Buffer) => {
    output += chunk.toString();
  };
  child.stdout?.on("data", keep);
  child.stderr?.on("data", keep);
  const ended = new Promise<number | string>((resolve) => {
    child.once("close", (code, signal) => resolve(code ?? signal ?? "unknown"));
  });
  return { child, output: () => output, ended };
}

/** Waits until the platform on the data folder has opened its doors. */
export async function opened(typed: Typed, dataDir: string): Promise<Ports> {
  const file = join(dataDir, "ports.json");
  const endMs = performance.now() + READY_WITHIN_MS;
  while (typed.child.exitCode === null && typed.child.signalCode === null) {
    if (existsSync(file)) return JSON.parse(readFileSync(file, "utf8")) as Ports;
    if (performance.now() > endMs) break;
    await sleep(50);
  }
  throw new Error(`the doors did not open:\n${typed.output()}`);
}

/** Processes whose command line names the folder (or PostgreSQL's folder for it). */
export function processesOf(folder: string): number[] {
  const found = spawnSync("ps", ["-eo", "pid=,args=", "-ww"], { encoding: "utf8" });
  return found.stdout
    .split("\n")
    .filter((line) => line.includes(folder) && !line.includes("ps -eo"))
    .map((line) => Number.parseInt(line, 10))
    .filter((pid) => pid !== process.pid && isAlive(pid));
}

export async function gone(folders: readonly string[], withinMs = 20_000): Promise<number[]> {
  const endMs = performance.now() + withinMs;
  for (;;) {
    const left = folders.flatMap(processesOf);
    if (left.length === 0 || performance.now() > endMs) return left;
    await sleep(100);
  }
}

/** Where the embedded PostgreSQL of a default data folder lives. */
export function clusterOf(dataDir: string): string {
  return choosePlaces(dataDir, true).clusterDir;
}

/** Stops what is left of a failed test, and removes the clone. */
export async function removeClone(dir: string, typed: readonly Typed[]): Promise<void> {
  for (const one of typed) one.child.kill("SIGTERM");
  await Promise.all(typed.map((one) => one.ended));
  for (const pid of processesOf(dir)) process.kill(pid, "SIGKILL");
  const dataDir = join(dir, "data");
  if (existsSync(dataDir)) {
    const cluster = clusterOf(dataDir);
    if (!cluster.startsWith(dir)) rmSync(dirname(cluster), { recursive: true, force: true });
  }
  chmodSync(dir, 0o755);
  rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
}
