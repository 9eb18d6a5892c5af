/** Wires the parts, opens the doors, and closes them in reverse order. */
import { existsSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Clock } from "./clock.ts";
import type { Config } from "./config.ts";
import { claimDataFolder, type Ports } from "./data-folder.ts";
import { createHttpServer } from "./http/server.ts";
import { orRefuse, refusePortsInUse } from "./ports.ts";
import { type Database, openDatabase } from "./postgres/database.ts";
import { version } from "./version.ts";

export interface Platform {
  readonly ports: Ports;
  readonly database: Database;
  /** Sentences for the person who started it. */
  readonly notices: readonly string[];
  /** Closes doors first, then parts, then the database. May be called twice. */
  close(): Promise<void>;
}

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** @throws StartRefusal with one sentence when this configuration cannot run here. */
export async function startPlatform(
  config: Config,
  clock: Clock,
  _o: { readonly demo?: boolean } = {},
): Promise<Platform> {
  await using parts = new AsyncDisposableStack();
  const notices: string[] = [];
  const folder = await claimDataFolder(config.dataDir);
  parts.defer(() => folder.release());
  await refusePortsInUse(config);
  const database = await openDatabase({
    url: config.databaseUrl,
    dataDir: config.dataDir,
    mayMove: config.dataDirIsDefault,
    clock,
  });
  parts.defer(() => database.close());
  const httpPort = await openHttpDoor(config, clock, database, parts);
  const ports = { http: httpPort, mqtt: config.mqttPort, device: config.devicePort };
  folder.announce(ports);
  const running = parts.move();
  return { ports, database, notices, close: () => running.disposeAsync() };
}

async function openHttpDoor(
  config: Config,
  clock: Clock,
  database: Database,
  parts: AsyncDisposableStack,
): Promise<number> {
  const consoleDir = join(ROOT, "console", "dist");
  const app = await createHttpServer({
    bind: config.bind,
    ...(existsSync(join(consoleDir, "index.html")) ? { consoleDir } : {}),
    ready: {
      database: async () => {
        await database.pool.query("SELECT 1");
      },
    },
    version: version(),
    clock,
  });
  parts.defer(() => app.close());
  const listening = app.listen({ port: config.httpPort, host: config.bind });
  await orRefuse("VITALWARD_HTTP_PORT", config.httpPort, config.bind, listening);
  return (app.server.address() as AddressInfo).port;
}
