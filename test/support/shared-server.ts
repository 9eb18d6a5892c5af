/**
 * The PostgreSQL that tests share, as its own process. It ends when nobody was connected for two
 * minutes, or on SIGTERM. Everything in it may be lost at any time: that is what it is for.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type EmbeddedServer, startServer } from "../../src/postgres/server.ts";
import { StartRefusal } from "../../src/start-refusal.ts";
import { otherClients, sharedServerDir } from "./database.ts";

const IDLE_MS = 120_000;

async function main(): Promise<void> {
  const dataDir = sharedServerDir();
  let server: EmbeddedServer;
  try {
    server = await startServer({ dataDir, durable: false, lockWaitMs: 0 });
  } catch (error) {
    if (error instanceof StartRefusal) return; // another one serves already
    throw error;
  }
  const pidFile = join(dataDir, "shared-server.pid");
  writeFileSync(pidFile, String(process.pid));
  let asked = false;
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      asked = true;
      stop.abort();
    });
  }
  for (let idleSinceMs = performance.now(); !asked; ) {
    await sleep(2_000, undefined, { signal: stop.signal }).catch(() => undefined); // asked to stop
    if ((await otherClients()) > 0) idleSinceMs = performance.now();
    if (performance.now() - idleSinceMs > IDLE_MS) break;
  }
  rmSync(pidFile, { force: true });
  await server.stop();
  rmSync(join(dataDir, "postgres"), { recursive: true, force: true });
}

await main();
