/**
 * Was the database restored from a backup? The keystore remembers the newest journal entry that was
 * folded; a database that has not reached it is older than what we once acknowledged. Then a new store
 * epoch begins and receipts say so: devices send again what they still hold.
 *
 * What was admitted less than `limits.journalFoldMs` before the backup's loss may go unnoticed here;
 * the signed blocks and the devices' numbers show it as open gaps.
 */
import type { Clock } from "../clock.ts";
import { diagnostics } from "../diagnostics.ts";
import type { Vault } from "../vault/seal.ts";
import type { SecurityEvents } from "./events.ts";
import { beginStoreEpoch, storeEpoch } from "./evidence-tables.ts";
import { type IngestDatabase, readJournal } from "./tables.ts";

const ANCHOR = "admission-entry";
const EPOCH_ANCHOR = "store-epoch";

export async function currentEpoch(o: {
  database: IngestDatabase;
  vault: Pick<Vault, "anchor">;
  clock: Clock;
  events: SecurityEvents;
}): Promise<{ epoch: number; newestEntry: number }> {
  const nowMs = o.clock.nowMs();
  const stored = await storeEpoch(o.database, nowMs);
  const journal = await readJournal(o.database, 0);
  const reached = Math.max(stored.folded, ...journal.map((row) => row.entry));
  const remembered = Number(o.vault.anchor.get(ANCHOR) ?? 0);
  const knownEpoch = Number(o.vault.anchor.get(EPOCH_ANCHOR) ?? 0);
  const newestEntry = Math.max(reached, remembered);
  if (reached >= remembered && stored.epoch >= knownEpoch) {
    o.vault.anchor.set(new Map([[EPOCH_ANCHOR, String(stored.epoch)]]));
    return { epoch: stored.epoch, newestEntry };
  }
  const epoch = Math.max(stored.epoch, knownEpoch) + 1;
  await beginStoreEpoch(o.database, epoch, nowMs);
  o.vault.anchor.set(new Map([[EPOCH_ANCHOR, String(epoch)]]));
  o.events.note("store-restored", "", { epoch, reached, remembered });
  diagnostics.warn({ epoch }, "the database is older than the keystore: devices will send again");
  return { epoch, newestEntry };
}

/** After a folding. */
export function rememberEntry(vault: Pick<Vault, "anchor">, newestEntry: number): void {
  if (newestEntry > Number(vault.anchor.get(ANCHOR) ?? 0)) {
    vault.anchor.set(new Map([[ANCHOR, String(newestEntry)]]));
  }
}
