/** Programs of the system that some tests need: such a test says `{ skip: without("curl") }`. */
import { spawnSync } from "node:child_process";

const PACKAGES = {
  mosquitto: "mosquitto",
  mosquitto_pub: "mosquitto-clients",
  mosquitto_sub: "mosquitto-clients",
  curl: "curl",
  openssl: "openssl",
  setpriv: "util-linux",
} as const;

/** @returns the reason to skip, with the line that installs what is missing; or false. */
export function without(...programs: (keyof typeof PACKAGES)[]): string | false {
  const missing = programs.filter((program) => !isInstalled(program));
  if (missing.length === 0) return false;
  const packages = [...new Set(missing.map((program) => PACKAGES[program]))];
  return `${missing.join(", ")} not found: apt-get install ${packages.join(" ")}`;
}

function isInstalled(program: string): boolean {
  const path = `${process.env.PATH}:/usr/sbin:/usr/local/sbin`;
  return spawnSync("sh", ["-c", `command -v ${program}`], { env: { PATH: path } }).status === 0;
}
