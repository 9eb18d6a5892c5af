/** A platform as its own process for a bench: own data folder, free ports, diagnostics off. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { systemClock } from "../src/clock.ts";
import type { Ports } from "../src/data-folder.ts";
import { openDatabase } from "../src/postgres/database.ts";

const MAIN = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));
const READY_WITHIN_MS = 60_000;

export interface Served {
  readonly dataDir: string;
  readonly ports: Ports;
  readonly pid: number;
  /** Size of the whole database on disk, after a checkpoint; write-ahead log not counted. */
  databaseBytes(): Promise<number>;
  stop(): Promise<void>;
}

/** @param nodeOptions such as `--cpu-prof`. @throws Error when it does not come up. */
export async function serve(dataDir: string, nodeOptions: readonly string[] = []): Promise<Served> {
  chmodSync(dataDir, 0o711); // PostgreSQL may run as another user
  const secrets = mkdtempSync(join(tmpdir(), "vitalward-bench-secrets-"));
  const passphrase = join(secrets, "passphrase");
  writeFileSync(passphrase, "a passphrase for benches only\n", { mode: 0o600 });
  const child = spawn(process.execPath, [...nodeOptions, MAIN, "serve"], {
    stdio: ["ignore", "ignore", "inherit"],
    env: {
      ...process.env,
      VITALWARD_DATA: dataDir,
      VITALWARD_PASSPHRASE_FILE: passphrase,
      VITALWARD_HTTP_PORT: "0",
      VITALWARD_MQTT_PORT: "0",
      VITALWARD_DEVICE_PORT: "0",
      VITALWARD_LOG_LEVEL: "error",
    },
  });
  const ended = once(child, "exit");
  const portsFile = join(dataDir, "ports.json");
  for (let waited = 0; !existsSync(portsFile); waited += 50) {
    if (waited > READY_WITHIN_MS || child.exitCode !== null) throw new Error("no platform came up");
    await sleep(50);
  }
  return {
    dataDir,
    ports: JSON.parse(readFileSync(portsFile, "utf8")) as Ports,
    pid: child.pid ?? 0,
    async databaseBytes() {
      const database = await openDatabase({ dataDir, clock: systemClock, attach: true });
      try {
        await database.pool.query("CHECKPOINT");
        const { rows } = await database.pool.query<{ bytes: number }>(
          "SELECT pg_database_size(current_database()) AS bytes",
        );
        return rows[0]?.bytes ?? 0;
      } finally {
        await database.close();
      }
    },
    async stop() {
      child.kill("SIGTERM");
      await ended;
      rmSync(secrets, { recursive: true, force: true });
    },
  };
}
