/** The permits held now: found again while they live, ended at once when what they rest on ends. */
import type { Clock } from "../clock.ts";
import { gauge } from "../diagnostics.ts";
import { limits } from "../limits.ts";
import type { Ending, MintedPermit, Permit } from "./permit.ts";

interface Lease extends MintedPermit {
  readonly key: string;
  readonly endsAtMonotonicMs: number;
}

const held = gauge("vitalward_permits_held", "permits alive now");

export class Leases {
  readonly #clock: Clock;
  readonly #byPermit = new Map<Permit, Lease>();
  readonly #byKey = new Map<string, Lease>();
  readonly #onEnded: (permit: Permit, why: Ending) => void;

  constructor(clock: Clock, onEnded: (permit: Permit, why: Ending) => void) {
    this.#clock = clock;
    this.#onEnded = onEnded;
  }

  get isFull(): boolean {
    return this.#byPermit.size >= limits.permitsMax;
  }

  /** A live lease for the same question, with some life left. */
  find(key: string): Permit | undefined {
    const lease = this.#byKey.get(key);
    if (lease === undefined || !lease.permit.live) return undefined;
    const leftMs = lease.endsAtMonotonicMs - this.#clock.monotonicMs();
    return leftMs > limits.leaseReuseBeforeEndMs ? lease.permit : undefined;
  }

  add(key: string, minted: MintedPermit, endsAtMonotonicMs: number): void {
    const lease = { ...minted, key, endsAtMonotonicMs };
    this.#byPermit.set(minted.permit, lease);
    this.#byKey.set(key, lease);
    held.set(this.#byPermit.size);
  }

  end(permit: Permit, why: Ending): void {
    const lease = this.#byPermit.get(permit);
    if (lease !== undefined) this.#end(lease, why);
  }

  endWhere(isMeant: (permit: Permit) => boolean, why: Ending): void {
    for (const lease of [...this.#byPermit.values()]) {
      if (isMeant(lease.permit)) this.#end(lease, why);
    }
  }

  /** Ends what has run out, so that listeners of its signal and the closing entry learn of it. */
  sweep(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const lease of [...this.#byPermit.values()]) {
      if (nowMs >= lease.endsAtMonotonicMs) this.#end(lease, "expired");
    }
  }

  #end(lease: Lease, why: Ending): void {
    this.#byPermit.delete(lease.permit);
    if (this.#byKey.get(lease.key) === lease) this.#byKey.delete(lease.key);
    held.set(this.#byPermit.size);
    lease.end(why);
    this.#onEnded(lease.permit, why);
  }
}
