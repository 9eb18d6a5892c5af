/**
 * Ends the PostgreSQL that tests share, if it runs and nobody else is using it: the test runner does
 * this at its end. Left alone it ends by itself.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { otherClients, sharedServerDir } from "./database.ts";
import { isAlive } from "./platform.ts";

const file = join(sharedServerDir(), "shared-server.pid");
const pid = existsSync(file) ? Number(readFileSync(file, "utf8")) : 0;
if (pid > 1 && isAlive(pid) && (await otherClients()) === 0) {
  process.kill(pid, "SIGTERM");
  const endMs = performance.now() + 20_000;
  while (isAlive(pid) && performance.now() < endMs) await sleep(50);
}
