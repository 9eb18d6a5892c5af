/**
 * A real platform as its own process, on a temporary data folder and free ports, for tests that
 * act on it from outside: signals, doors, files.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Ports } from "../../src/data-folder.ts";
import type { AtEnd } from "./database.ts";

export const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const READY_WITHIN_MS = 90_000;
const OUTPUT_CHARACTERS_MAX = 1_000_000;

export interface PlatformOptions {
  /** Default: a temporary folder, removed at the end. A given one stays. */
  readonly dataDir?: string;
  /** Further arguments of `vitalward serve`, such as "--demo". */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface RunningPlatform {
  readonly dataDir: string;
  readonly ports: Ports;
  /** http://127.0.0.1:… */
  readonly url: string;
  /** The platform's process id. */
  readonly pid: number;
  /** The embedded postmaster's process id, now; undefined while none runs. */
  databasePid(): number | undefined;
  /** Everything it wrote so far, standard output and error together. */
  output(): string;
  /** Orderly, by SIGTERM. @returns its exit code. */
  stop(): Promise<number | null>;
  /** As a crash, by SIGKILL: its PostgreSQL lives on until the next start on the folder. */
  kill(): Promise<void>;
  /** After stop or kill: starts again on the same folder and the same ports. */
  restart(): Promise<RunningPlatform>;
}

/** Resolves when every door is open. @throws Error with its output when it ends instead. */
export async function startTestPlatform(
  t: AtEnd,
  o: PlatformOptions = {},
): Promise<RunningPlatform> {
  const dataDir = o.dataDir ?? mkdtempSync(join(tmpdir(), "vitalward-platform-"));
  let current: Launched | undefined;
  const secrets = mkdtempSync(join(tmpdir(), "vitalward-secrets-"));
  const passphraseFile = join(secrets, "passphrase");
  writeFileSync(passphraseFile, "a passphrase for tests only\n", { mode: 0o600 });
  const isDemo = o.args?.includes("--demo") ?? false;
  const env = { ...(isDemo ? {} : { VITALWARD_PASSPHRASE_FILE: passphraseFile }), ...o.env };
  t.after(async () => {
    await current?.stop();
    reapDatabase(dataDir);
    rmSync(secrets, { recursive: true, force: true });
    if (o.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
  });
  const start = async (ports?: Ports): Promise<RunningPlatform> => {
    const launched = launch(dataDir, { ...o, env }, ports);
    current = launched;
    const opened = await ready(launched, dataDir);
    return {
      dataDir,
      ports: opened,
      url: `http://127.0.0.1:${opened.http}`,
      pid: launched.child.pid as number,
      databasePid: () => databasePid(dataDir),
      output: launched.output,
      stop: launched.stop,
      kill: launched.kill,
      restart: () => start(opened),
    };
  };
  return start();
}

interface Launched {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly stop: () => Promise<number | null>;
  readonly kill: () => Promise<void>;
  readonly ended: Promise<number | null>;
}

function launch(dataDir: string, o: PlatformOptions, ports?: Ports): Launched {
  const wanted = ports ?? somePorts();
  rmSync(join(dataDir, "ports.json"), { force: true });
  const child = spawn(process.execPath, [MAIN, "serve", ...(o.args ?? [])], {
    env: {
      ...cleanEnvironment(),
      VITALWARD_DATA: dataDir,
      VITALWARD_HTTP_PORT: String(wanted.http),
      VITALWARD_MQTT_PORT: String(wanted.mqtt),
      VITALWARD_DEVICE_PORT: String(wanted.device),
      ...o.env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-OUTPUT_CHARACTERS_MAX);
  };
  child.stdout?.on("data", keep);
  child.stderr?.on("data", keep);
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  return {
    child,
    output: () => output,
    ended,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
      return ended;
    },
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

async function ready(launched: Launched, dataDir: string): Promise<Ports> {
  const file = join(dataDir, "ports.json");
  const endMs = performance.now() + READY_WITHIN_MS;
  while (launched.child.exitCode === null && launched.child.signalCode === null) {
    if (existsSync(file)) return JSON.parse(readFileSync(file, "utf8")) as Ports;
    if (performance.now() > endMs) break;
    await sleep(30);
  }
  await launched.stop();
  throw new Error(`the platform did not open its doors:\n${launched.output()}`);
}

/** Our environment without settings: what the test gives is all there is. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) =>
        !name.startsWith("VITALWARD_") &&
        !name.startsWith("npm_") &&
        !["DATABASE_URL", "NODE_TEST_CONTEXT", "NODE_CHANNEL_FD", "NODE_OPTIONS"].includes(name),
    ),
  );
}

/** The number in postmaster.pid, if that process lives and is a PostgreSQL. */
export function databasePid(dataDir: string): number | undefined {
  const file = join(dataDir, "postgres", "postmaster.pid");
  if (!existsSync(file)) return undefined;
  const pid = Number.parseInt(readFileSync(file, "utf8"), 10);
  return Number.isInteger(pid) && isAlive(pid) ? pid : undefined;
}

/** Whether the process runs: one that ended but was not yet reaped does not. */
export function isAlive(pid: number): boolean {
  if (process.platform === "linux") {
    const stat = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, "utf8") : "";
    return stat !== "" && !/\) Z /.test(stat);
  }
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** A test that killed its platform and never started it again must not leave a PostgreSQL. */
function reapDatabase(dataDir: string): void {
  const pid = databasePid(dataDir);
  if (pid !== undefined) process.kill(pid, "SIGQUIT");
}

/**
 * Three ports below the range that outgoing connections take theirs from: a platform that was killed must
 * find its ports free when it comes back, however busy other tests are.
 */
function somePorts(): Ports {
  const http = 10_000 + 3 * Math.floor(Math.random() * 7_000);
  return { http, mqtt: http + 1, device: http + 2 };
}
