/**
 * Admission over real parts (database, keystore, registry, store) without doors. `restart()` ends one
 * life of the platform, orderly or not, and begins another on the same database and keystore.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "../../src/clock.ts";
import { joinPayload } from "../../src/envelope/payload.ts";
import type { KemMode } from "../../src/envelope/shares.ts";
import type { Suite } from "../../src/envelope/suites.ts";
import { type Admission, createAdmission } from "../../src/ingest/admit.ts";
import type { Database } from "../../src/postgres/database.ts";
import { Problem } from "../../src/problems.ts";
import { openRegistry } from "../../src/registry/open.ts";
import { createStore } from "../../src/store/append.ts";
import type { Vault } from "../../src/vault/seal.ts";
import { openVault } from "../../src/vault/vault.ts";
import { type AtEnd, testDatabase } from "./database.ts";
import { testPermit } from "./permits.ts";
import { TestDevice } from "./sealing-device.ts";

type Registry = Awaited<ReturnType<typeof openRegistry>>;

export interface World {
  readonly database: Database;
  readonly clock: Clock;
  readonly registry: Registry;
  readonly vault: Vault;
  readonly admission: Admission;
  readonly store: ReturnType<typeof createStore>;
  /** Enrols a device and, unless told otherwise, assigns it to a new patient for all time. */
  device(o?: { assigned?: boolean; suite?: Suite; kem?: KemMode }): Promise<TestDevice>;
  /** Everything stored of a patient, as (sequence, time, mantissa, marks). */
  stored(patientId: string): Promise<StoredSample[]>;
  /** Kinds of security events so far. */
  events(): Promise<string[]>;
  /** Ends admission, store, registry and keystore and opens them on the same database.
   * @param o.kill without a farewell: what was not committed then never will be. */
  restart(o?: { kill?: boolean; database?: Database }): Promise<void>;
}

export interface StoredSample {
  readonly sessionId: string;
  readonly sequence: number;
  readonly timeMs: number;
  readonly mantissa: number;
  readonly marks: number;
}

export async function admissionWorld(
  t: AtEnd,
  o: { clock?: Clock; database?: Database } = {},
): Promise<World> {
  const clock = o.clock ?? systemClock;
  let close = async () => {};
  t.after(() => close());
  let database = o.database ?? (await testDatabase(t));
  const folder = mkdtempSync(join(tmpdir(), "admission-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const start = async () => {
    const life = mortal(database);
    const vault = await openVault({
      dir: join(folder, "keystore"),
      passphrase: "a passphrase of a test",
      tenantId: database.tenantId,
      clock,
    });
    const { secrets } = vault;
    const registry = await openRegistry({ database, secrets, clock, organisation: "Test ward" });
    const store = createStore({ database: life.database, vault, clock });
    const admission = await createAdmission({
      database: life.database,
      registry,
      vault,
      store,
      clock,
    });
    return { vault, registry, store, admission, life };
  };
  let parts = await start();
  const stop = async () => {
    await parts.admission.close();
    await parts.store.close();
    parts.vault.close();
  };
  close = stop;
  const world: World = {
    clock,
    get database() {
      return database;
    },
    get registry() {
      return parts.registry;
    },
    get vault() {
      return parts.vault;
    },
    get admission() {
      return parts.admission;
    },
    get store() {
      return parts.store;
    },
    device: (options) => TestDevice.enrol(world, options ?? {}),
    async stored(patientId) {
      const permit = testPermit({ tenantId: database.tenantId, patientId });
      const found: StoredSample[] = [];
      const everything = { fromMs: 0, toMs: 8_000_000_000_000 };
      for await (const chunk of parts.store.read(permit, everything)) {
        for (let i = 0; i < chunk.mantissas.length; i++) {
          found.push({
            sessionId: chunk.sessions[chunk.sessionOf[i] as number] as string,
            sequence: chunk.sequences[i] as number,
            timeMs: chunk.timesMs[i] as number,
            mantissa: chunk.mantissas[i] as number,
            marks: chunk.marks[i] as number,
          });
        }
      }
      return found.sort((a, b) => a.sequence - b.sequence);
    },
    async events() {
      await parts.admission.idle();
      await parts.admission.events.flush();
      const found = await database.pool.query<{ kind: string }>(
        "SELECT DISTINCT kind FROM security_event ORDER BY kind",
      );
      return found.rows.map((row) => row.kind);
    },
    async restart(again = {}) {
      if (again.kill) parts.life.kill();
      await stop();
      if (again.database) database = again.database;
      parts = await start();
    },
  };
  return world;
}

/** A database that one life of the platform uses: once killed, that life writes nothing more. */
function mortal(database: Database): { database: Database; kill(): void } {
  let isDead = false;
  const check = () => {
    if (isDead) throw new Problem("storage-unavailable", { detail: "this life is over" });
  };
  const pool = new Proxy(database.pool, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return async (...args: unknown[]) => {
        check();
        return (value as (...a: unknown[]) => unknown).apply(target, args);
      };
    },
  });
  return {
    kill() {
      isDead = true;
    },
    database: {
      ...database,
      pool,
      async transaction(work) {
        check();
        return database.transaction(async (client) => {
          const result = await work(client);
          check(); // killed before COMMIT: the server rolls back
          return result;
        });
      },
    },
  };
}

export { joinPayload, type TestDevice };

/** A clock that one can move: `advance` is a jump of the wall clock alone, with `pass` time goes by. */
export function movedClock(): Clock & { advance(ms: number): void; pass(ms: number): void } {
  let aheadMs = 0;
  let passedMs = 0;
  return {
    ...systemClock,
    nowMs: () => systemClock.nowMs() + aheadMs,
    monotonicMs: () => systemClock.monotonicMs() + passedMs,
    advance(ms) {
      aheadMs += ms;
    },
    pass(ms) {
      aheadMs += ms;
      passedMs += ms;
    },
  };
}
