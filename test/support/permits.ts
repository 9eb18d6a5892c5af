/**
 * Permits for tests of vault and store, minted without an audit entry. Works only in a process that
 * does not load `access/authorize.ts`: the right to mint is given once.
 */
import {
  type Action,
  type Compartment,
  type MintedPermit,
  type Permit,
  type Purpose,
  takeMint,
} from "../../src/access/permit.ts";
import type { Principal } from "../../src/access/principal.ts";

let mint: ReturnType<typeof takeMint> | undefined;
let count = 0;

export interface TestPermit {
  readonly tenantId: string;
  readonly patientId: string;
  readonly categories?: readonly Compartment[] | "all";
  readonly purpose?: Purpose;
  readonly action?: Action;
  readonly isExpired?: () => boolean;
}

export function mintTestPermit(o: TestPermit): MintedPermit {
  mint ??= takeMint();
  count += 1;
  const principal = { kind: "service", id: "test" } as unknown as Principal;
  return mint(
    {
      id: `permit-${count}`,
      tenantId: o.tenantId,
      patientId: o.patientId,
      principal,
      purpose: o.purpose ?? "TREAT",
      action: o.action ?? "read",
      categories: o.categories ?? "all",
      expiresMs: Date.now() + 60_000,
    },
    o.isExpired ?? (() => false),
  );
}

export function testPermit(o: TestPermit): Permit {
  return mintTestPermit(o).permit;
}
