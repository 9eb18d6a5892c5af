/** The database of one organisation: embedded or by `DATABASE_URL`, migrated, ready for work. */
import pg from "pg";
import type { Clock } from "../clock.ts";
import { tryLock } from "../file-lock.ts";
import { StartRefusal } from "../start-refusal.ts";
import { type Migration, migrate, readMigrations } from "./migrate.ts";
import { choosePlaces } from "./places.ts";
import { openPool, transaction } from "./pool.ts";
import { attachServer, type EmbeddedServer, startServer } from "./server.ts";

export interface Database {
  /** bigint columns arrive as numbers. Never hand a client to code that outlives its query. */
  readonly pool: pg.Pool;
  /** The organisation's id (UUID): in every primary key, key derivation and associated data. */
  readonly tenantId: string;
  /** @see transaction in pool.ts: commits, or throws with nothing done (or unknown, see there). */
  transaction<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T>;
  close(): Promise<void>;
  /** Connection string, also for other PostgreSQL clients. */
  readonly url: string;
  /** Process id of the embedded postmaster; undefined with `DATABASE_URL` or when attached. */
  readonly serverPid: number | undefined;
}

export interface DatabaseOptions {
  /** A PostgreSQL 16 or newer of the operator's; without it the embedded one is used. */
  readonly url?: string | undefined;
  readonly dataDir: string;
  readonly clock: Clock;
  /** Use the embedded server that a running platform holds; for short commands beside it. */
  readonly attach?: boolean;
  /** @see choosePlaces */
  readonly mayMove?: boolean;
  /** The organisation's name, for the first start. */
  readonly organisationName?: string;
}

const NAME = "vitalward";
const OLDEST_VERSION = 160_000;

/** @throws StartRefusal with the sentence for the operator. */
export async function openDatabase(o: DatabaseOptions): Promise<Database> {
  if (o.url !== undefined) return connect(o.url, o);
  const mayMove = o.mayMove ?? false;
  if (o.attach && isHeld(choosePlaces(o.dataDir, mayMove).lockFile)) {
    return connect(await attachServer(o.dataDir, NAME, mayMove), o);
  }
  const server = await startServer({ dataDir: o.dataDir, mayMove });
  try {
    await createDatabase(server.url("postgres"), NAME);
    return await connect(server.url(NAME), o, server);
  } catch (error) {
    await server.stop();
    throw error;
  }
}

function isHeld(lockFile: string): boolean {
  const lock = tryLock(lockFile);
  lock?.release();
  return lock === undefined;
}

async function createDatabase(url: string, name: string): Promise<void> {
  await withClient(url, async (client) => {
    const found = await client.query("SELECT 1 FROM pg_database WHERE datname = $1", [name]);
    if (found.rowCount === 0) await client.query(`CREATE DATABASE ${name}`);
  });
}

/** Connects, migrates and finds (or makes) the organisation. */
export async function connect(
  url: string,
  o: {
    readonly clock: Clock;
    readonly organisationName?: string;
    readonly migrations?: readonly Migration[];
  },
  server?: EmbeddedServer,
): Promise<Database> {
  const tenantId = await withClient(url, async (client) => {
    await refuseOldServer(client);
    await migrate(client, o.migrations ?? readMigrations());
    return organisation(client, o.clock, o.organisationName ?? "Demonstration organisation");
  });
  const pool = openPool(url);
  let closing: Promise<void> | undefined;
  return {
    pool,
    tenantId,
    url,
    get serverPid() {
      return server?.pid;
    },
    transaction: (work) => transaction(pool, work),
    close() {
      closing ??= pool.end().then(() => server?.stop());
      return closing;
    },
  };
}

async function refuseOldServer(client: pg.Client): Promise<void> {
  const found = await client.query<{ version: number; text: string }>(
    "SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS text",
  );
  const row = found.rows[0];
  if (!row || row.version < OLDEST_VERSION) {
    throw new StartRefusal(
      `DATABASE_URL leads to PostgreSQL ${row?.text}; Vitalward needs 16 or newer`,
    );
  }
}

async function organisation(client: pg.Client, clock: Clock, name: string): Promise<string> {
  await client.query("BEGIN");
  await client.query("LOCK TABLE organisation IN EXCLUSIVE MODE");
  const found = await client.query<{ tenant_id: string }>("SELECT tenant_id FROM organisation");
  let tenantId = found.rows[0]?.tenant_id;
  if (tenantId === undefined) {
    tenantId = clock.uuid();
    await client.query(
      "INSERT INTO organisation (tenant_id, name, created_ms) VALUES ($1, $2, $3)",
      [tenantId, name, Math.floor(clock.nowMs())],
    );
  }
  await client.query("COMMIT");
  return tenantId;
}

/** One connection for one piece of work. @throws StartRefusal when DATABASE_URL leads nowhere. */
export async function withClient<T>(
  url: string,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  client.on("error", () => undefined); // the query at work throws it too
  try {
    await client.connect();
  } catch (cause) {
    throw new StartRefusal(`the database does not answer: ${(cause as Error).message}`, { cause });
  }
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
