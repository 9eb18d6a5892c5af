/**
 * A program that lives as long as the platform does, as a process of its own: the demonstration
 * ward, which knows the platform by its public doors only. It is started again when it ends unasked,
 * and its IPC channel tells it when the platform is gone ("disconnect").
 */
import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { diagnostics } from "./diagnostics.ts";

export interface Companion {
  /** SIGTERM; after ten seconds SIGKILL. May be called twice. */
  stop(): Promise<void>;
  /** Process id now; undefined between an end and the next start. */
  readonly pid: number | undefined;
}

const STOP_WITHIN_MS = 10_000;
const PAUSE_FIRST_MS = 500;
const PAUSE_MAX_MS = 30_000;
/** Having run this long, it is given the short pause again. */
const STEADY_MS = 60_000;

/** @param o.env added to our environment without VITALWARD_* and DATABASE_URL: a companion gets no settings. */
export function startCompanion(o: {
  readonly name: string;
  /** A TypeScript file, run by this Node. */
  readonly file: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}): Companion {
  let child: ChildProcess | undefined;
  const stopping = new AbortController();
  const running = (async () => {
    for (let pauseMs = PAUSE_FIRST_MS; !stopping.signal.aborted; ) {
      const startedMs = performance.now();
      child = launch(o);
      const how = await endOf(child);
      child = undefined;
      if (stopping.signal.aborted) return;
      diagnostics.warn({ companion: o.name, how }, "a companion ended unasked; starting it again");
      if (performance.now() - startedMs > STEADY_MS) pauseMs = PAUSE_FIRST_MS;
      await sleep(pauseMs, undefined, { signal: stopping.signal }).catch(() => undefined); // asked to stop
      pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS);
    }
  })();
  return {
    get pid() {
      return child?.pid;
    },
    async stop() {
      stopping.abort();
      const last = child;
      last?.kill("SIGTERM");
      const force = setTimeout(() => last?.kill("SIGKILL"), STOP_WITHIN_MS);
      await running;
      clearTimeout(force);
    },
  };
}

function launch(o: Parameters<typeof startCompanion>[0]): ChildProcess {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !name.startsWith("VITALWARD_") && name !== "DATABASE_URL",
  );
  const child = spawn(process.execPath, [o.file, ...(o.args ?? [])], {
    env: { ...Object.fromEntries(inherited), ...o.env },
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    // Its own group: Ctrl-C is for us, who stop it in order.
    detached: true,
  });
  child.channel?.unref();
  return child;
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(String(signal ?? code)));
  });
}
