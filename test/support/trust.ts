/** Vault, audit, access and registry over a real database, as `main.ts` wires them. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openAccess } from "../../src/access/open.ts";
import { type Clock, systemClock } from "../../src/clock.ts";
import type { Database } from "../../src/postgres/database.ts";
import { openRegistry } from "../../src/registry/open.ts";
import { openAudit } from "../../src/transparency/audit.ts";
import { openVault } from "../../src/vault/vault.ts";
import { type AtEnd, testDatabase } from "./database.ts";

/** A clock whose both times one can move forward. */
export function movableClock(): Clock & { advance(ms: number): void } {
  let aheadMs = 0;
  return {
    ...systemClock,
    nowMs: () => systemClock.nowMs() + aheadMs,
    monotonicMs: () => systemClock.monotonicMs() + aheadMs,
    advance(ms) {
      aheadMs += ms;
    },
  };
}

export type Trust = Awaited<ReturnType<typeof testTrust>>;

/** @param o.database one of an earlier call, to look at what a restart finds. */
export async function testTrust(
  t: AtEnd,
  o: { clock?: Clock; database?: Database; keystoreDir?: string; secure?: boolean } = {},
) {
  const clock = o.clock ?? systemClock;
  // Registered before the database's own: what uses it closes first.
  let close = async () => {};
  t.after(() => close());
  const database = o.database ?? (await testDatabase(t));
  const keystoreDir = o.keystoreDir ?? join(mkdtempSync(join(tmpdir(), "trust-")), "keystore");
  const vault = await openVault({
    dir: keystoreDir,
    passphrase: "a passphrase of a test",
    tenantId: database.tenantId,
    clock,
  });
  const { secrets } = vault;
  const audit = await openAudit({ database, secrets, clock });
  const access = await openAccess({ database, secrets, audit, clock, secure: o.secure ?? false });
  const registry = await openRegistry({ database, secrets, clock, organisation: "Test ward" });
  let closing: Promise<void> | undefined;
  close = () => {
    closing ??= (async () => {
      await access.close();
      await audit.close();
      vault.close();
    })();
    return closing;
  };
  // A restart within the test still needs the folder: it goes last.
  if (o.keystoreDir === undefined)
    t.after(() => rmSync(join(keystoreDir, ".."), { recursive: true }));
  return { clock, database, keystoreDir, vault, audit, access, registry, close };
}
