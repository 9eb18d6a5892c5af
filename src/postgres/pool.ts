/** Connections to PostgreSQL and transactions on them. They outlive a database that goes away. */
import pg from "pg";
import { diagnostics } from "../diagnostics.ts";
import { Problem } from "../problems.ts";

const INT8 = 20;
const CONNECTIONS_MAX = 16;
const CONNECT_WITHIN_MS = 5_000;
const STATEMENT_WITHIN_MS = 120_000;

export function openPool(url: string): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: CONNECTIONS_MAX,
    connectionTimeoutMillis: CONNECT_WITHIN_MS,
    statement_timeout: STATEMENT_WITHIN_MS,
    application_name: "vitalward",
    types: { getTypeParser },
  });
  // A connection that dies reports itself here, idle or at work; whoever uses it learns it from
  // the failed query. Without a listener Node would end the whole program.
  pool.on("connect", (client) => client.on("error", noteLoss));
  pool.on("error", noteLoss);
  return pool;
}

function noteLoss(error: Error): void {
  diagnostics.debug({ code: (error as { code?: string }).code }, "a database connection was lost");
}

const getTypeParser: typeof pg.types.getTypeParser = (oid: number, format?: "text" | "binary") => {
  if (oid === INT8 && format !== "binary") return parseInt8;
  return pg.types.getTypeParser(oid, format as "text");
};

/** bigint columns hold milliseconds and counters: numbers, exact to 2^53, or a bug. */
function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError("a bigint column is past 2^53");
  return value;
}

/**
 * Runs `work` in one transaction (READ COMMITTED) and commits it.
 * When the connection is lost during COMMIT the outcome is unknown: the caller must be able to do
 * the same work again (sequence numbers, ON CONFLICT).
 * @throws Problem "storage-unavailable" when the database is away; else what `work` throws.
 */
export async function transaction<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect().catch((cause: unknown) => {
    throw unavailable(cause) ?? cause;
  });
  let broken = true;
  try {
    await client.query("BEGIN");
    const result = await work(client);
    await client.query("COMMIT");
    broken = false;
    return result;
  } catch (error) {
    const away = unavailable(error);
    if (away) throw away;
    broken = await client.query("ROLLBACK").then(
      () => false,
      () => true, // the connection is thrown away below, and the first error tells the story
    );
    throw error;
  } finally {
    client.release(broken);
  }
}

/** @returns the Problem for an error that means "the database is away", else undefined. */
export function unavailable(error: unknown): Problem | undefined {
  return isConnectionLoss(error) ? new Problem("storage-unavailable", { cause: error }) : undefined;
}

const LOST = new Set(["ECONNREFUSED", "ECONNRESET", "ENOENT", "EPIPE", "ETIMEDOUT", "ENOTFOUND"]);
const LOST_MESSAGE =
  /Connection terminated|timeout exceeded when trying to connect|Client (has encountered a connection error|was closed)|not queryable|Cannot use a pool after/;

/** SQLSTATE classes: 08 connection exceptions, 53 full disk or memory, 58 the system's own errors,
 * and 57P0x shutdown and start-up. */
export function isConnectionLoss(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = (error as { code?: unknown }).code;
  if (typeof code === "string") {
    return LOST.has(code) || /^(?:08|53|58|57P0)/.test(code);
  }
  return LOST_MESSAGE.test(error.message);
}
