/** Runs the demonstration ward as a process of its own: it knows the platform by its public doors only. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { diagnostics } from "./diagnostics.ts";

export interface Demonstration {
  /** Resolves when people and devices are there, so that sign-in links can be made. */
  readonly provisioned: Promise<void>;
  stop(): Promise<void>;
}

const MAIN = join(dirname(dirname(fileURLToPath(import.meta.url))), "demo", "main.ts");
const STOP_WITHIN_MS = 5_000;
const RESTART_AFTER_MS = 2_000;

/** Whether recorded people are among those shown: also when a folder they were put into runs without them. */
export function hasDemonstration(dataDir: string): boolean {
  return existsSync(join(dataDir, "demo"));
}

/** Starts it, and again when it ends unasked: the ward is a display, and displays must not freeze. */
export function startDemonstration(dataDir: string): Demonstration {
  let child: ChildProcess | undefined;
  let isStopping = false;
  let timer: NodeJS.Timeout | undefined;
  const provisioned = Promise.withResolvers<void>();

  const start = () => {
    const own = spawn(process.execPath, [MAIN, dataDir], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      // A terminal's Ctrl-C goes to the platform, which ends this in order; and settings and
      // secrets of the platform are none of its business.
      detached: true,
      env: withoutSettings(process.env),
    });
    child = own;
    own.on("message", (message) => {
      if (message === "provisioned") provisioned.resolve();
    });
    own.on("error", (error) => diagnostics.error({ code: error.name }, "no demonstration"));
    own.on("exit", (code, signal) => {
      if (isStopping) return;
      diagnostics.warn({ code, signal }, "the demonstration ended and starts again");
      timer = setTimeout(start, RESTART_AFTER_MS);
    });
  };
  start();
  return {
    provisioned: provisioned.promise,
    stop: async () => {
      isStopping = true;
      clearTimeout(timer);
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      const kill = setTimeout(() => child?.kill("SIGKILL"), STOP_WITHIN_MS);
      await ended;
      clearTimeout(kill);
    },
  };
}

function withoutSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^VITALWARD_|^DATABASE_URL$/.test(name)),
  );
}
