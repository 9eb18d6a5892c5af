/** Where the embedded PostgreSQL lives: as whom it runs, its data folder, its socket. */
import { createHash } from "node:crypto";
import { chmodSync, chownSync, lstatSync, mkdirSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { StartRefusal } from "../start-refusal.ts";
import { ROOT_STATE_DIR } from "./binaries.ts";

export interface Places {
  /** Set when we are root: PostgreSQL refuses to run as root, so it runs as `nobody`. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  readonly clusterDir: string;
  /** A path short enough for a socket address (107 bytes), however long the data path is. */
  readonly socketDir: string;
  readonly logFile: string;
  readonly lockFile: string;
}

const NOBODY = process.platform === "darwin" ? 4_294_967_294 : 65_534;

/**
 * @param o.mayMove whether a data folder that `nobody` cannot reach may be answered by keeping the
 * cluster in /var/lib/vitalward (true for the default folder; an explicit one is refused instead).
 * @throws StartRefusal when root's data folder is out of `nobody`'s reach and must stay there.
 */
export function choosePlaces(dataDir: string, mayMove: boolean): Places {
  const data = resolve(dataDir);
  const asRoot = process.getuid?.() === 0;
  mkdirSync(data, { recursive: true, mode: asRoot ? 0o711 : 0o700 });
  const key = createHash("sha256").update(data).digest("hex").slice(0, 16);
  const owner = asRoot ? { uid: NOBODY, gid: NOBODY } : undefined;
  let clusterDir = join(data, "postgres");
  if (asRoot) {
    // Passing through is all that is granted: what lies beside the cluster has modes of its own.
    chmodSync(data, statSync(data).mode | 0o011);
    const barrier = barrierFor(data);
    if (barrier !== undefined) {
      if (!mayMove) throw new StartRefusal(outOfReach(data, barrier));
      clusterDir = join(ROOT_STATE_DIR, key, "postgres");
      mkdirSync(dirname(clusterDir), { recursive: true, mode: 0o711 });
    }
  }
  return {
    owner,
    clusterDir,
    socketDir: join(socketParent(asRoot), `vitalward-${key}`),
    logFile: join(data, "postgres.log"),
    lockFile: join(data, "postgres.lock"),
  };
}

function outOfReach(data: string, barrier: string): string {
  return `running as root, PostgreSQL runs as the user nobody, who cannot pass through ${barrier}: set VITALWARD_DATA to a folder that nobody can reach instead of ${data}, or start as an ordinary user`;
}

/** @returns the first folder on the way to `path` that others may not pass through. */
export function barrierFor(path: string): string | undefined {
  const parts: string[] = [];
  for (let at = path; ; at = dirname(at)) {
    parts.unshift(at);
    if (at === dirname(at)) break;
  }
  return parts.find((folder) => (statSync(folder).mode & 0o001) === 0);
}

function socketParent(asRoot: boolean): string {
  if (asRoot && process.platform === "linux") {
    const run = statSync("/run", { throwIfNoEntry: false });
    if (run?.isDirectory()) return "/run";
  }
  return Buffer.byteLength(tmpdir()) <= 50 ? tmpdir() : "/tmp";
}

/** Makes the 0700 folder of the socket, or accepts one only if it is ours: /tmp is open to everybody.
 * @throws StartRefusal when somebody else was there first. */
export function makeSocketDir(places: Places): void {
  const path = places.socketDir;
  const uid = places.owner?.uid ?? process.getuid?.();
  try {
    mkdirSync(path, { mode: 0o700 });
    if (places.owner) chownSync(path, places.owner.uid, places.owner.gid);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const found = lstatSync(path);
  if (!found.isDirectory() || found.uid !== uid || (found.mode & 0o077) !== 0) {
    throw new StartRefusal(
      `the folder ${path} for PostgreSQL's socket belongs to somebody else or is open to others; remove it and start again`,
    );
  }
}
