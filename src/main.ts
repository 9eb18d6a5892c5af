/** Wires the parts, opens the doors, and closes them in reverse order. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Access } from "./access/access.ts";
import { registerDeviceRoutes } from "./access/device-routes.ts";
import { openAccess } from "./access/open.ts";
import { openOperatorDoor } from "./access/operator.ts";
import { registerPeopleRoutes } from "./access/people-routes.ts";
import type { Permit } from "./access/permit.ts";
import { servicePrincipal } from "./access/principal.ts";
import { registerSessionRoutes } from "./access/session-routes.ts";
import type { Clock } from "./clock.ts";
import type { Config } from "./config.ts";
import { claimDataFolder, metricsToken, type Ports } from "./data-folder.ts";
import { hasDemonstration } from "./demonstration.ts";
import { httpsDoorUrl, openDeviceDoors } from "./doors.ts";
import { registerExportRoutes } from "./exchange/export.ts";
import { DeviceRecords } from "./fhir/device-records.ts";
import { openObservationIds } from "./fhir/observation-id.ts";
import { registerFhirRoutes } from "./fhir/routes.ts";
import { registerAbout } from "./http/about.ts";
import { createHttpServer } from "./http/server.ts";
import { type Admission, createAdmission } from "./ingest/admit.ts";
import { lastHeard } from "./ingest/last-heard.ts";
import { readPassphrase } from "./passphrase.ts";
import { orRefuse, refusePortsInUse } from "./ports.ts";
import { type Database, openDatabase } from "./postgres/database.ts";
import { Presence } from "./presence.ts";
import { openRegistry } from "./registry/open.ts";
import type { Registry } from "./registry/registry.ts";
import { StartRefusal } from "./start-refusal.ts";
import { createStore } from "./store/append.ts";
import { createResources } from "./store/resource-store.ts";
import type { Resources } from "./store/resources.ts";
import type { Store } from "./store/store.ts";
import { bindKeystore, boundKeystore } from "./store/tables.ts";
import { openAudit } from "./transparency/audit.ts";
import type { Vault } from "./vault/seal.ts";
import { openVault } from "./vault/vault.ts";
import { version } from "./version.ts";
import { registerWardRoutes } from "./ward/routes.ts";

export interface Platform {
  readonly ports: Ports;
  readonly database: Database;
  readonly access: Access;
  /** Where people reach the console. */
  readonly consoleUrl: string;
  /** Sentences for the person who started it. */
  readonly notices: readonly string[];
  /** Closes doors first, then parts, then the database. May be called twice. */
  close(): Promise<void>;
}

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** Everything behind the doors. */
interface Inside {
  readonly config: Config;
  readonly clock: Clock;
  readonly database: Database;
  readonly vault: Vault;
  readonly access: Access;
  readonly registry: Registry;
  readonly store: Store;
  readonly resources: Resources;
  readonly admission: Admission;
  readonly presence: Presence;
  /** Recorded people are among those shown. */
  readonly demonstration: boolean;
  /** Set once the device doors are open. */
  readonly opened: { devicePort: number };
  /** For the platform's own upkeep: merging, proofs after a crash, device records. */
  readonly maintenancePermit: (patientId: string) => Promise<Permit>;
}

/** @throws StartRefusal with one sentence when this configuration cannot run here. */
export async function startPlatform(
  config: Config,
  clock: Clock,
  o: { readonly demo?: boolean } = {},
): Promise<Platform> {
  await using parts = new AsyncDisposableStack();
  const folder = await claimDataFolder(config.dataDir);
  parts.defer(() => folder.release());
  await refusePortsInUse(config);
  const passphrase = await readPassphrase(config, { demo: o.demo ?? false, clock });
  const inside = {
    ...(await openInside(config, clock, passphrase.text, parts)),
    demonstration: o.demo === true || hasDemonstration(config.dataDir),
    opened: { devicePort: config.devicePort },
  };
  const http = await openHttpDoor(inside, parts);
  const deviceDoors = await openDeviceDoors(inside, parts);
  inside.opened.devicePort = deviceDoors.device;
  const ownUrl = `${isSecure(config) ? "https" : "http"}://${urlHost(config.bind)}:${http}`;
  const consoleUrl = config.publicUrl ?? ownUrl;
  const operator = await openOperatorDoor({
    ...inside,
    dataDir: config.dataDir,
    consoleUrl: () => consoleUrl,
  });
  parts.defer(() => operator.close());
  // Devices on this machine, and people who bring devices, need the authority to trust the doors.
  writeFileSync(join(config.dataDir, "ca.pem"), inside.registry.caPem, { mode: 0o644 });
  const ports = { http, ...deviceDoors };
  folder.announce(ports);
  const running = parts.move();
  return {
    ports,
    database: inside.database,
    access: inside.access,
    consoleUrl,
    notices: passphrase.warning === undefined ? [] : [passphrase.warning],
    close: () => running.disposeAsync(),
  };
}

async function openInside(
  config: Config,
  clock: Clock,
  passphrase: string,
  parts: AsyncDisposableStack,
): Promise<Omit<Inside, "demonstration" | "opened">> {
  const database = await openDatabase({
    url: config.databaseUrl,
    dataDir: config.dataDir,
    mayMove: config.dataDirIsDefault,
    clock,
  });
  parts.defer(() => database.close());
  const vault = await openVault({
    dir: join(config.dataDir, "keystore"),
    passphrase,
    tenantId: database.tenantId,
    clock,
    expectedKeystoreId: await boundKeystore(database.pool, database.tenantId),
  });
  parts.defer(() => vault.close());
  await bindKeystore(database.pool, database.tenantId, vault.keystoreId);
  const { secrets } = vault;
  const audit = await openAudit({ database, secrets, clock });
  parts.defer(() => audit.close());
  const secure = comesByTls(config);
  const access = await openAccess({ database, secrets, audit, clock, secure });
  parts.defer(() => access.close());
  const registry = await openRegistry({
    database,
    secrets,
    clock,
    organisation: "Vitalward",
    ...(config.tls === undefined ? {} : { serverTls: tlsOf(config) }),
  });
  const store = await createStore({ database, vault, clock });
  parts.defer(() => store.close());
  const resources = createResources({ database, vault, clock });
  const maintenancePermit = (patientId: string) =>
    access.permit({
      principal: servicePrincipal("maintenance"),
      patientId,
      purpose: "MAINT",
      categories: "all",
      action: "maintain",
    });
  const admission = await createAdmission({
    database,
    registry,
    vault,
    store,
    clock,
    maintenancePermit,
  });
  parts.defer(() => admission.close());
  store.startMerging(maintenancePermit);
  return {
    config,
    clock,
    database,
    vault,
    access,
    registry,
    store,
    resources,
    admission,
    presence: new Presence(await lastHeard(database)),
    maintenancePermit,
  };
}

async function openHttpDoor(inside: Inside, parts: AsyncDisposableStack): Promise<number> {
  const { config, clock, database, vault, access, registry, store } = inside;
  const consoleDir = join(ROOT, "console", "dist");
  const app = await createHttpServer({
    bind: config.bind,
    ...(isSecure(config) ? { tls: tlsOf(config) } : {}),
    ...(existsSync(join(consoleDir, "index.html")) ? { consoleDir } : {}),
    ...(config.publicUrl === undefined ? {} : { publicOrigins: [config.publicUrl] }),
    metricsToken: metricsToken(config.dataDir, clock),
    ready: {
      database: async () => {
        await database.pool.query("SELECT 1");
      },
      keystore: async () => {
        vault.secrets.ids("ca");
      },
    },
    version: version(),
    clock,
  });
  parts.defer(() => app.close());
  registerSessionRoutes(app, { access, clock, secure: comesByTls(config) });
  registerPeopleRoutes(app, { access });
  registerAbout(app, { demonstration: inside.demonstration });
  registerDeviceRoutes(app, {
    access,
    registry,
    presence: inside.presence,
    doorUrl: () => httpsDoorUrl(config.bind, inside.opened.devicePort),
  });
  registerExportRoutes(app, { access, store });
  const ids = await openObservationIds(vault.secrets, clock);
  const { tenantId } = database;
  const records = await DeviceRecords.open({
    ...inside,
    tenantId,
    permit: inside.maintenancePermit,
  });
  parts.defer(() => records.close());
  await registerFhirRoutes(app, { ...inside, ids, records, tenantId, version: version() });
  await registerWardRoutes(app, { ...inside, proofs: inside.admission });
  const listening = app.listen({ port: config.httpPort, host: config.bind });
  await orRefuse("VITALWARD_HTTP_PORT", config.httpPort, config.bind, listening);
  return (app.server.address() as AddressInfo).port;
}

/** Beyond loopback the console speaks TLS with the operator's own certificate; on loopback plain HTTP. */
function isSecure(config: Config): boolean {
  return config.tls !== undefined && !isLoopback(config.bind);
}

/** Browsers come by TLS: to us, or to the reverse proxy before us. */
function comesByTls(config: Config): boolean {
  return isSecure(config) || config.publicUrl !== undefined;
}

function tlsOf(config: Config): { cert: string; key: string } {
  const read = (file = "") => {
    try {
      return readFileSync(file, "utf8");
    } catch (cause) {
      throw new StartRefusal(`VITALWARD_TLS_CERT and VITALWARD_TLS_KEY: ${file} cannot be read`, {
        cause,
      });
    }
  };
  return { cert: read(config.tls?.certFile), key: read(config.tls?.keyFile) };
}

function isLoopback(bind: string): boolean {
  return bind === "::1" || bind === "localhost" || bind.startsWith("127.");
}

function urlHost(bind: string): string {
  if (bind === "0.0.0.0" || bind === "::") return "localhost";
  return bind.includes(":") ? `[${bind}]` : bind;
}
