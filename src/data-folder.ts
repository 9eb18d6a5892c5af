/** The one folder with everything the platform keeps: claimed by one running platform at a time. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { Clock } from "./clock.ts";
import { type FileLock, lockWithin } from "./file-lock.ts";
import { StartRefusal } from "./start-refusal.ts";

export interface Ports {
  readonly http: number;
  readonly mqtt: number;
  readonly device: number;
}

export interface DataFolder {
  readonly path: string;
  /** Writes `ports.json` for programs beside the folder; call it when every door is open. */
  announce(ports: Ports): void;
  /** Takes the announcement back and lets the next platform in. */
  release(): void;
}

/** A platform that was killed frees its locks at once; one that is ending takes a few seconds. */
const WAIT_MS = 5_000;

/** @throws StartRefusal when another platform runs on it, or it cannot be written to. */
export async function claimDataFolder(path: string): Promise<DataFolder> {
  let lock: FileLock | undefined;
  try {
    // Root's PostgreSQL runs as nobody and passes through; so every file here has its own mode.
    mkdirSync(path, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 });
    if ((statSync(path).mode & 0o066) !== 0) chmodSync(path, statSync(path).mode & 0o711);
    lock = await lockWithin(join(path, "platform.lock"), WAIT_MS);
  } catch (cause) {
    throw new StartRefusal(
      `the data folder ${path} cannot be used (${(cause as Error).message}); set VITALWARD_DATA to a folder of yours`,
      { cause },
    );
  }
  if (!lock) {
    throw new StartRefusal(
      `a Vitalward is already running on the data folder ${path}; stop it first, or set VITALWARD_DATA to another folder`,
    );
  }
  const portsFile = join(path, "ports.json");
  rmSync(portsFile, { force: true });
  return {
    path,
    announce(ports) {
      writeFileSync(`${portsFile}.new`, `${JSON.stringify(ports)}\n`, { mode: 0o600 });
      renameSync(`${portsFile}.new`, portsFile);
    },
    release() {
      rmSync(portsFile, { force: true });
      lock.release();
    },
  };
}

/** The bearer token that opens /metrics to a collector elsewhere: made once, 256 bits, for the owner's eyes.
 * Whoever deletes the file gets another one at the next start. */
export function metricsToken(path: string, clock: Pick<Clock, "random">): string {
  const file = join(path, "metrics-token");
  const kept = existsSync(file) ? readFileSync(file, "utf8").trim() : "";
  if (kept !== "") return kept;
  const token = Buffer.from(clock.random(32)).toString("base64url");
  writeFileSync(`${file}.new`, `${token}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
  return token;
}
