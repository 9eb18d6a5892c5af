/** A store on its own data folder, durable (fsync on), and the plain table it is compared with. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { from as copyFrom } from "pg-copy-streams";
import { systemClock } from "../src/clock.ts";
import { type Database, openDatabase } from "../src/postgres/database.ts";
import { createStore } from "../src/store/append.ts";
import type { AdmittedEnvelope, Store } from "../src/store/store.ts";
import type { Vault } from "../src/vault/seal.ts";
import { openVault } from "../src/vault/vault.ts";

export interface OwnStore {
  readonly database: Database;
  readonly vault: Vault;
  readonly store: Store;
  close(): Promise<void>;
}

export async function openOwnStore(): Promise<OwnStore> {
  const dataDir = mkdtempSync(join(tmpdir(), "vitalward-bench-"));
  chmodSync(dataDir, 0o711); // PostgreSQL may run as another user
  const database = await openDatabase({ dataDir, clock: systemClock, mayMove: true });
  const vault = await openVault({
    dir: join(dataDir, "keystore"),
    passphrase: "bench",
    tenantId: database.tenantId,
    clock: systemClock,
  });
  const store = createStore({ database, vault, clock: systemClock });
  await database.pool.query(
    "CREATE TABLE plain (patient uuid, code int4, time timestamptz, value float8, PRIMARY KEY (patient, code, time))",
  );
  return {
    database,
    vault,
    store,
    async close() {
      await store.close();
      vault.close();
      await database.close();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

export interface Sample {
  readonly patientId: string;
  readonly mdc: number;
  readonly timeMs: number;
  readonly value: number;
}

export interface Shape {
  readonly patientIds: readonly string[];
  readonly mdcs: readonly number[];
  readonly fromMs: number;
  readonly envelopes: number;
  /** Samples of each metric in one envelope, and their distance. */
  readonly samplesEach: number;
  readonly intervalMs: number;
}

/** A device per patient that measures a slow random walk, seals with jitter, and is received a few
 * milliseconds later: envelopes in the order of sending. */
export function* envelopesOf(shape: Shape): Generator<AdmittedEnvelope> {
  const { patientIds, mdcs, samplesEach, intervalMs } = shape;
  const values = patientIds.map(() => mdcs.map(() => 700));
  const ids = patientIds.map((id) => ({ device: id, session: id.replaceAll("-", "") }));
  for (let n = 0; n < shape.envelopes; n++) {
    const p = n % patientIds.length;
    const round = Math.floor(n / patientIds.length);
    const startMs = shape.fromMs + round * samplesEach * intervalMs;
    const points = mdcs.map((mdc, m) => {
      const timesMs: number[] = [];
      const mantissas: number[] = [];
      for (let i = 0; i < samplesEach; i++) {
        const walked = values[p]![m]! + Math.floor(Math.random() * 9) - 4;
        values[p]![m] = Math.min(1_400, Math.max(400, walked));
        timesMs.push(startMs + i * intervalMs + Math.floor(Math.random() * 5));
        mantissas.push(values[p]![m]!);
      }
      return { mdc, exponent: -1, timesMs, mantissas, quality: new Array(samplesEach).fill(0) };
    });
    const clockMs = startMs + (samplesEach - 1) * intervalMs + 5 + Math.floor(Math.random() * 20);
    yield {
      patientId: patientIds[p]!,
      deviceId: ids[p]!.device,
      sessionId: ids[p]!.session,
      batch: { sequence: round + 1, clockMs, offsetMs: 0, points, waveforms: [] },
      marks: 0,
      receivedMs: clockMs + 10 + Math.floor(Math.random() * 30),
      envelopeHash: new Uint8Array(32),
    };
  }
}

/** Appends with that many in flight, as connections with a receive window do.
 * @returns milliseconds until the last was durable. */
export async function appendAll(
  store: Store,
  envelopes: readonly AdmittedEnvelope[],
  inFlight: number,
): Promise<number> {
  const startMs = performance.now();
  let next = 0;
  const lane = async () => {
    while (next < envelopes.length) await store.append(envelopes[next++]!);
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return performance.now() - startMs;
}

/** The same samples by COPY text, one connection, one row a sample. @returns milliseconds. */
export async function copyAll(
  database: Database,
  envelopes: readonly AdmittedEnvelope[],
): Promise<number> {
  const lines: string[] = [];
  for (const { patientId, batch } of envelopes) {
    let text = "";
    for (const { mdc, exponent, timesMs, mantissas } of batch.points) {
      for (let i = 0; i < timesMs.length; i++) {
        const time = new Date(timesMs[i]!).toISOString();
        text += `${patientId}\t${mdc}\t${time}\t${mantissas[i]! * 10 ** exponent}\n`;
      }
    }
    lines.push(text);
  }
  const client = await database.pool.connect();
  try {
    const startMs = performance.now();
    const copy = client.query(copyFrom("COPY plain FROM STDIN"));
    await pipeline(Readable.from(chunked(lines)), copy);
    return performance.now() - startMs;
  } finally {
    client.release();
  }
}

function* chunked(lines: readonly string[]): Generator<Buffer> {
  for (let i = 0; i < lines.length; i += 500) yield Buffer.from(lines.slice(i, i + 500).join(""));
}

/** Bytes of tables with their indexes and out-of-line parts, after removing what is dead. */
export async function bytesOf(database: Database, tables: readonly string[]): Promise<number> {
  let bytes = 0;
  for (const table of tables) {
    await database.pool.query(`VACUUM FULL ${table}`);
    const found = await database.pool.query<{ bytes: number }>(
      "SELECT pg_total_relation_size($1::regclass) AS bytes",
      [table],
    );
    bytes += found.rows[0]!.bytes;
  }
  return bytes;
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
