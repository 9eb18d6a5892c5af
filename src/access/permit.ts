/**
 * A permit is a lease: a logged decision, as a value. The store and the vault yield nothing without one.
 * Only `authorize.ts` mints, after the durable audit entry; a look-alike object fails `Permit.is`.
 */
import { Problem } from "../problems.ts";
import type { Principal } from "./principal.ts";

export type Purpose = "TREAT" | "ALERT" | "MAINT" | "PATRQT" | "HOPERAT";

/** What a permit is cut into (design §4): the vault derives keys per patient × compartment × month. */
export const COMPARTMENTS = [
  "vital-signs",
  "waveform",
  "laboratory",
  "activity",
  "medication",
  "environment",
  "demographics",
] as const;
export type Compartment = (typeof COMPARTMENTS)[number];

export interface Grant {
  /** Id of the audit entry that came first. */
  readonly id: string;
  readonly tenantId: string;
  readonly patientId: string;
  readonly principal: Principal;
  readonly purpose: Purpose;
  readonly action: Action;
  readonly categories: readonly Compartment[] | "all";
  /** UTC, for showing; whether it lives is measured on the monotonic clock. */
  readonly expiresMs: number;
}

export type Action = "read" | "search" | "subscribe" | "export" | "create" | "maintain";

/** Why a lease ended. */
export type Ending = "expired" | "session" | "role" | "care-team" | "released" | "closed";

const mintKey = Symbol("mint");
/** Set in the static block of `Permit`, taken once by `takeMint`. */
let mint: Mint | undefined;

export class Permit implements Grant {
  readonly #minted = true;
  readonly id: string;
  readonly tenantId: string;
  readonly patientId: string;
  readonly principal: Principal;
  readonly purpose: Purpose;
  readonly action: Action;
  readonly categories: readonly Compartment[] | "all";
  readonly expiresMs: number;
  readonly #isExpired: () => boolean;
  readonly #abort = new AbortController();
  readonly #opened = new Map<Compartment, { firstMonth: number; lastMonth: number }>();

  private constructor(key: symbol, grant: Grant, isExpired: () => boolean) {
    if (key !== mintKey) throw new Error("a permit is minted by access/authorize.ts only");
    this.id = grant.id;
    this.tenantId = grant.tenantId;
    this.patientId = grant.patientId;
    this.principal = grant.principal;
    this.purpose = grant.purpose;
    this.action = grant.action;
    this.categories = grant.categories;
    this.expiresMs = grant.expiresMs;
    this.#isExpired = isExpired;
    Object.freeze(this);
  }

  /** True for a minted permit, alive or not. Tells permits from look-alikes. */
  static is(value: unknown): value is Permit {
    return typeof value === "object" && value !== null && #minted in value && value.#minted;
  }

  /** True until it expires or is ended. Check before each chunk that leaves. */
  get live(): boolean {
    return !this.#abort.signal.aborted && !this.#isExpired();
  }

  /** Aborts when the lease ends: streams and exports listen to it. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** True when this permit is live and lets one open that compartment of that patient. */
  covers(patientId: string, compartment: Compartment): boolean {
    return (
      this.live &&
      this.patientId === patientId &&
      (this.categories === "all" || this.categories.includes(compartment))
    );
  }

  /** Records what was opened; the vault calls it for each key it derives, so the closing entry is true.
   * @param monthIndex months since January 1970, UTC. */
  noteOpened(compartment: Compartment, monthIndex: number): void {
    const seen = this.#opened.get(compartment);
    if (seen === undefined) {
      this.#opened.set(compartment, { firstMonth: monthIndex, lastMonth: monthIndex });
      return;
    }
    if (monthIndex < seen.firstMonth) seen.firstMonth = monthIndex;
    if (monthIndex > seen.lastMonth) seen.lastMonth = monthIndex;
  }

  /** What was opened so far: compartment → first and last month. */
  get extent(): ReadonlyMap<
    Compartment,
    { readonly firstMonth: number; readonly lastMonth: number }
  > {
    return this.#opened;
  }

  /** @throws Problem "not-found" (the answer for everything that is not ours to see) unless live. */
  static check(value: unknown): asserts value is Permit {
    if (!Permit.is(value) || !value.live) throw new Problem("permit-ended");
  }

  static #mintWith(grant: Grant, isExpired: () => boolean): MintedPermit {
    const permit = new Permit(mintKey, grant, isExpired);
    return {
      permit,
      end: (why) => permit.#abort.abort(new Problem("permit-ended", { cause: why })),
    };
  }
  static {
    mint = Permit.#mintWith;
  }
}

export interface MintedPermit {
  readonly permit: Permit;
  /** Ends the lease at once. */
  end(why: Ending): void;
}

type Mint = (grant: Grant, isExpired: () => boolean) => MintedPermit;
/** Gives the right to mint to the first module that asks, which is `authorize.ts`; nobody gets it twice. */
export function takeMint(): Mint {
  if (mint === undefined) throw new Error("the right to mint permits is taken");
  const taken = mint;
  mint = undefined;
  return taken;
}
