/**
 * A database of its own for each test: cloned from a migrated template on one shared, embedded
 * PostgreSQL, dropped when the test ends. The shared server starts on demand (its own process,
 * without fsync, on a throw-away folder) and ends by itself when nobody has used it for a while.
 */
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { systemClock } from "../../src/clock.ts";
import { connect, type Database, withClient } from "../../src/postgres/database.ts";
import { readMigrations } from "../../src/postgres/migrate.ts";
import { choosePlaces } from "../../src/postgres/places.ts";

const SERVER = fileURLToPath(new URL("./shared-server.ts", import.meta.url));
const START_WITHIN_MS = 60_000;

/** What a test context offers: `t` of node:test. */
export interface AtEnd {
  after(work: () => Promise<void> | void): void;
}

/** The folder of this clone's shared test server. */
export function sharedServerDir(): string {
  const clone = createHash("sha256").update(SERVER).digest("hex").slice(0, 12);
  const dir = join(tmpdir(), `vitalward-test-${process.getuid?.() ?? 0}-${clone}`);
  mkdirSync(dir, { recursive: true, mode: 0o711 });
  return dir;
}

/** @returns a database that no other test sees, with every migration applied and one organisation. */
export async function testDatabase(t: AtEnd): Promise<Database> {
  const name = `test_${randomBytes(8).toString("hex")}`;
  const admin = await adminClient();
  try {
    const template = await ensureTemplate(admin);
    await admin.query(`CREATE DATABASE ${name} TEMPLATE ${template}`);
  } finally {
    await admin.end();
  }
  const database = await connect(urlOf(name), { clock: systemClock });
  t.after(async () => {
    await database.close();
    await dropDatabase(name);
  });
  return database;
}

/** @returns the URL of an empty database (no migrations), for tests of the migrator itself. */
export async function emptyDatabase(t: AtEnd): Promise<string> {
  const name = `empty_${randomBytes(8).toString("hex")}`;
  const admin = await adminClient();
  await admin.query(`CREATE DATABASE ${name}`);
  await admin.end();
  t.after(() => dropDatabase(name));
  return urlOf(name);
}

async function dropDatabase(name: string): Promise<void> {
  const admin = await adminClient();
  await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  await admin.end();
}

/** One template per content of the migration files, so that an edited file makes a new one. */
async function ensureTemplate(admin: pg.Client): Promise<string> {
  const migrations = readMigrations();
  const hash = createHash("sha256")
    .update(migrations.map((m) => m.checksum).join())
    .digest("hex");
  const template = `template_${hash.slice(0, 16)}`;
  await admin.query("SELECT pg_advisory_lock(1)");
  try {
    const found = await admin.query("SELECT 1 FROM pg_database WHERE datname = $1", [template]);
    if (found.rowCount === 0) {
      await admin.query(`DROP DATABASE IF EXISTS ${template}_new WITH (FORCE)`);
      await admin.query(`CREATE DATABASE ${template}_new`);
      const made = await connect(urlOf(`${template}_new`), { clock: systemClock, migrations });
      await made.close();
      await admin.query(`ALTER DATABASE ${template}_new RENAME TO ${template}`);
    }
  } finally {
    await admin.query("SELECT pg_advisory_unlock(1)");
  }
  return template;
}

/** `TEST_DATABASE_URL` (of the database "postgres", as a superuser) runs the tests on another server. */
function urlOf(name: string): string {
  const other = process.env.TEST_DATABASE_URL;
  if (other !== undefined) return other.replace(/\/postgres(?=\?|$)/, `/${name}`);
  const { socketDir } = choosePlaces(sharedServerDir(), false);
  return `postgresql://vitalward@/${name}?host=${encodeURIComponent(socketDir)}`;
}

async function adminClient(): Promise<pg.Client> {
  const endMs = performance.now() + START_WITHIN_MS;
  for (let attempt = 0; ; attempt++) {
    const client = new pg.Client({ connectionString: urlOf("postgres") });
    client.on("error", () => undefined); // the query at work throws it too
    try {
      await client.connect();
      return client;
    } catch (error) {
      await client.end().catch(() => undefined); // it never connected
      if (performance.now() > endMs) throw error;
      if (process.env.TEST_DATABASE_URL !== undefined) throw error;
      // Of several that start at once, one gets the folder's lock and the others end.
      if (attempt % 40 === 0) startSharedServer();
      await sleep(100);
    }
  }
}

/** @returns how many connections others hold to the shared server. */
export async function otherClients(): Promise<number> {
  return withClient(urlOf("postgres"), async (client) => {
    const found = await client.query<{ count: number }>(
      "SELECT count(*)::int AS count FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
    );
    return found.rows[0]?.count ?? 0;
  });
}

function startSharedServer(): void {
  spawn(process.execPath, [SERVER], { detached: true, stdio: "ignore" }).unref();
}
