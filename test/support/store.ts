/** A store with its own database and keystore for a test, and permits for its patients. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Permit } from "../../src/access/permit.ts";
import { type Clock, systemClock } from "../../src/clock.ts";
import type { Database } from "../../src/postgres/database.ts";
import { createStore } from "../../src/store/append.ts";
import type { Store } from "../../src/store/store.ts";
import type { Vault } from "../../src/vault/seal.ts";
import { openVault } from "../../src/vault/vault.ts";
import { type AtEnd, testDatabase } from "./database.ts";
import { type TestPermit, testPermit } from "./permits.ts";

export interface TestStore {
  readonly database: Database;
  readonly vault: Vault;
  store: Store;
  permit(patientId: string, o?: Partial<TestPermit>): Permit;
  /** Closes the store and opens another on the same database and keystore. */
  restart(): Promise<Store>;
}

export async function openTestStore(t: AtEnd, clock: Clock = systemClock): Promise<TestStore> {
  const database = await testDatabase(t);
  const dir = mkdtempSync(join(tmpdir(), "store-"));
  const vault = await openVault({
    dir: join(dir, "keystore"),
    passphrase: "test",
    tenantId: database.tenantId,
    clock,
  });
  const opened: TestStore = {
    database,
    vault,
    store: createStore({ database, vault, clock }),
    permit: (patientId, o = {}) => testPermit({ tenantId: database.tenantId, patientId, ...o }),
    async restart() {
      await opened.store.close();
      opened.store = createStore({ database, vault, clock });
      return opened.store;
    },
  };
  t.after(async () => {
    await opened.store.close();
    vault.close();
    rmSync(dir, { recursive: true, force: true });
  });
  return opened;
}
