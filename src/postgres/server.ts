/**
 * The embedded PostgreSQL: made at first start, run as a child over a Unix socket only, started
 * again when it dies unasked, and never left behind: the next start finds and stops an orphan.
 *
 * If this process dies, PostgreSQL keeps what it had committed; nothing here buffers.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { diagnostics } from "../diagnostics.ts";
import { lockWithin } from "../file-lock.ts";
import { StartRefusal } from "../start-refusal.ts";
import { type Binaries, findBinaries } from "./binaries.ts";
import { choosePlaces, makeSocketDir, type Places } from "./places.ts";

export const SUPERUSER = "vitalward";
const START_WITHIN_MS = 60_000;
const STOP_WITHIN_MS = 20_000;
const LOG_BYTES_MAX = 16 * 1024 * 1024;

export interface EmbeddedServer {
  /** Connection string (libpq form) of one database of this server. */
  url(database: string): string;
  /** The postmaster's process id now; undefined between a death and the restart. */
  readonly pid: number | undefined;
  /** Fast shutdown: sessions are cut, what was committed is kept. */
  stop(): Promise<void>;
}

export interface ServerOptions {
  readonly dataDir: string;
  /** @see choosePlaces */
  readonly mayMove?: boolean;
  /** False only for throw-away databases of tests: no fsync. */
  readonly durable?: boolean;
  /** How long to wait for another process to let go of the folder. */
  readonly lockWaitMs?: number;
}

/** @throws StartRefusal when the folder is in use, out of reach, or of another PostgreSQL version. */
export async function startServer(o: ServerOptions): Promise<EmbeddedServer> {
  const places = choosePlaces(o.dataDir, o.mayMove ?? false);
  const lock = await lockWithin(places.lockFile, o.lockWaitMs ?? 10_000);
  if (!lock) {
    throw new StartRefusal(
      `the data folder ${o.dataDir} is in use by another Vitalward; stop that one, or set VITALWARD_DATA to another folder`,
    );
  }
  try {
    const binaries = findBinaries({ asRoot: places.owner !== undefined, spareDir: o.dataDir });
    makeSocketDir(places);
    await stopOrphan(places);
    createCluster(places, binaries);
    const postmaster = new Postmaster(places, binaries, o.durable ?? true);
    await postmaster.start();
    return {
      url: (database) => socketUrl(places, database),
      get pid() {
        return postmaster.pid;
      },
      async stop() {
        await postmaster.stop();
        rmSync(places.socketDir, { recursive: true, force: true });
        lock.release();
      },
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/**
 * The address of a server that another process of ours runs on this folder.
 * @throws StartRefusal when none answers in time.
 */
export async function attachServer(dataDir: string, database: string, mayMove = false) {
  const url = socketUrl(choosePlaces(dataDir, mayMove), database);
  if (await answers(url, START_WITHIN_MS)) return url;
  throw new StartRefusal(`the database in ${dataDir} is in use but does not answer`);
}

function socketUrl(places: Places, database: string): string {
  return `postgresql://${SUPERUSER}@/${database}?host=${encodeURIComponent(places.socketDir)}`;
}

/** Makes the cluster whole or not at all: an interrupted initdb leaves only a folder to remove. */
function createCluster(places: Places, binaries: Binaries): void {
  const versionFile = join(places.clusterDir, "PG_VERSION");
  if (existsSync(versionFile)) {
    const found = readFileSync(versionFile, "utf8").trim();
    const ours = binaries.version.split(".")[0];
    if (found === ours) return;
    throw new StartRefusal(
      `${places.clusterDir} was made by PostgreSQL ${found} and this release brings ${ours}; see "Upgrade" in docs/administrator.md`,
    );
  }
  const unfinished = `${places.clusterDir}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { mode: 0o700 });
  if (places.owner) chownSync(unfinished, places.owner.uid, places.owner.gid);
  const made = spawnSync(
    binaries.initdb,
    [
      ...["-D", unfinished, "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--locale=C"],
      ...["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--data-checksums"],
      "--no-instructions",
    ],
    { ...places.owner, cwd: dirname(binaries.initdb), env: programEnv(), encoding: "utf8" },
  );
  if (/could not look up effective user ID/.test(made.stderr ?? "")) {
    throw new StartRefusal(
      `PostgreSQL needs the user who starts it to have a name, and user id ${process.getuid?.()} has none: add it to /etc/passwd, or set DATABASE_URL to a PostgreSQL server of your own`,
    );
  }
  if (made.status !== 0) {
    throw new Error(`initdb failed: ${made.error?.message ?? made.stderr.trim().slice(-2_000)}`);
  }
  renameSync(unfinished, places.clusterDir);
}

/** Nothing of our environment (DATABASE_URL, PG…) reaches PostgreSQL. */
function programEnv(): NodeJS.ProcessEnv {
  return { LC_ALL: "C", TZ: "UTC", PATH: "/usr/bin:/bin" };
}

class Postmaster {
  readonly #places: Places;
  readonly #binaries: Binaries;
  readonly #durable: boolean;
  #child: ChildProcess | undefined;
  #stopping = false;
  #restart: Promise<void> | undefined;
  readonly #onExit = () => this.#child?.kill("SIGINT");

  constructor(places: Places, binaries: Binaries, durable: boolean) {
    this.#places = places;
    this.#binaries = binaries;
    this.#durable = durable;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async start(): Promise<void> {
    process.on("exit", this.#onExit);
    const endMs = performance.now() + START_WITHIN_MS;
    // Children of a postmaster that was killed hold its shared memory for a moment.
    while (!(await this.#launch())) {
      if (performance.now() > endMs) {
        throw new Error(`PostgreSQL did not start; see ${this.#places.logFile}`);
      }
      await sleep(200);
    }
  }

  /** @returns false when PostgreSQL ended instead of answering. */
  async #launch(): Promise<boolean> {
    const log = openLog(this.#places.logFile);
    const child = spawn(this.#binaries.postgres, this.#arguments(), {
      ...this.#places.owner,
      cwd: dirname(this.#binaries.postgres),
      env: programEnv(),
      stdio: ["ignore", log, log],
      // Its own group: Ctrl-C is for us, who close the doors before the database.
      detached: true,
    });
    closeSync(log);
    this.#child = child;
    let ended = false;
    let isUp = false;
    child.once("error", (error) => {
      ended = true;
      diagnostics.error({ err: error }, "PostgreSQL could not be run");
    });
    child.once("exit", (code, signal) => {
      ended = true;
      if (this.#child !== child) return;
      this.#child = undefined;
      if (isUp && !this.#stopping) this.#recover(code, signal);
    });
    const url = socketUrl(this.#places, "postgres");
    await answers(url, START_WITHIN_MS, () => ended || this.#stopping);
    isUp = !ended;
    if (isUp) child.unref();
    return isUp;
  }

  #recover(code: number | null, signal: string | null): void {
    diagnostics.warn({ code, signal }, "PostgreSQL ended unasked; starting it again");
    this.#restart = (async () => {
      for (let waitMs = 100; !this.#stopping; waitMs = Math.min(waitMs * 2, 5_000)) {
        await stopOrphan(this.#places);
        if (this.#stopping) return;
        if (await this.#launch()) {
          diagnostics.info("PostgreSQL runs again");
          return;
        }
        await sleep(waitMs);
      }
    })().catch((error: unknown) => {
      diagnostics.error({ err: error }, "PostgreSQL could not be started again");
    });
  }

  #arguments(): string[] {
    const settings: Record<string, string> = {
      listen_addresses: "",
      unix_socket_directories: this.#places.socketDir,
      unix_socket_permissions: "0700",
      max_connections: "120",
      fsync: this.#durable ? "on" : "off",
      synchronous_commit: this.#durable ? "on" : "off",
      full_page_writes: this.#durable ? "on" : "off",
      shared_buffers: "128MB",
      max_wal_size: "1GB",
      // Neither statements nor the values in error details belong into a log file.
      log_min_error_statement: "panic",
      log_error_verbosity: "terse",
      log_parameter_max_length_on_error: "0",
      log_timezone: "UTC",
      timezone: "UTC",
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    return ["-D", this.#places.clusterDir, ...flags];
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#restart;
    process.off("exit", this.#onExit);
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.ref();
    for (const signal of ["SIGINT", "SIGQUIT", "SIGKILL"] as const) {
      child.kill(signal);
      const late = Symbol();
      const timer = new AbortController();
      const wait = sleep(STOP_WITHIN_MS, late, { signal: timer.signal }).catch(() => late);
      const first = await Promise.race([ended, wait]);
      timer.abort();
      if (first !== late) return;
    }
  }
}

function openLog(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found && found.size > LOG_BYTES_MAX) renameSync(path, `${path}.1`);
  return openSync(path, "a", 0o600);
}

/**
 * Stops a postmaster that a killed process of ours left on this folder. Safe because the caller
 * holds the folder's lock; a process that merely has the recorded number is left alone.
 */
async function stopOrphan(places: Places): Promise<void> {
  const pidFile = join(places.clusterDir, "postmaster.pid");
  if (!existsSync(pidFile)) return;
  const pid = Number.parseInt(readFileSync(pidFile, "utf8"), 10);
  if (Number.isInteger(pid) && pid > 1 && runsCluster(pid, places.clusterDir)) {
    diagnostics.warn({ pid }, "stopping a PostgreSQL that an earlier run left behind");
    for (const signal of ["SIGINT", "SIGQUIT", "SIGKILL"] as const) {
      signalTo(pid, signal);
      const endMs = performance.now() + STOP_WITHIN_MS;
      while (runsCluster(pid, places.clusterDir) && performance.now() < endMs) await sleep(50);
      if (!runsCluster(pid, places.clusterDir)) break;
    }
  }
  rmSync(pidFile, { force: true });
  rmSync(join(places.socketDir, ".s.PGSQL.5432.lock"), { force: true });
}

function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // ESRCH: it ended meanwhile
  }
}

function runsCluster(pid: number, clusterDir: string): boolean {
  let command: string;
  if (process.platform === "linux") {
    try {
      command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
    } catch {
      return false; // no such process
    }
  } else {
    command = spawnSync("ps", ["-o", "command=", "-p", String(pid)], { encoding: "utf8" }).stdout;
  }
  return command.includes("postgres") && command.includes(`-D ${clusterDir} `);
}

async function answers(url: string, waitMs: number, gaveUp = () => false): Promise<boolean> {
  const endMs = performance.now() + waitMs;
  while (!gaveUp() && performance.now() < endMs) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
    client.on("error", () => undefined); // the failed query or connect below reports it
    try {
      await client.connect();
      await client.query("SELECT 1");
      return true;
    } catch {
      await sleep(25);
    } finally {
      await client.end().catch(() => undefined); // it may never have connected
    }
  }
  return false;
}
