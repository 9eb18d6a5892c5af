/** The permits held now: found again while they live, ended at once when what they rest on ends. */
import type { Clock } from "../clock.ts";
import { gauge } from "../diagnostics.ts";
import { limits } from "../limits.ts";
import type { Ending, MintedPermit, Permit } from "./permit.ts";

interface Lease extends MintedPermit {
  readonly key: string;
  readonly endsAtMonotonicMs: number;
  /** Askers that were given it and have not given it back; one of them cannot end it for the others. */
  holders: number;
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

  /** A live lease for the same question with more than `leftMs` to live; the asker is a holder of it. */
  find(key: string, leftMs: number): Permit | undefined {
    const lease = this.#byKey.get(key);
    if (lease === undefined || !lease.permit.live) return undefined;
    if (lease.endsAtMonotonicMs - this.#clock.monotonicMs() <= leftMs) return undefined;
    lease.holders += 1;
    return lease.permit;
  }

  /** One more asker was given that permit. */
  hold(permit: Permit): void {
    const lease = this.#byPermit.get(permit);
    if (lease !== undefined) lease.holders += 1;
  }

  /** One holder gives it back; the last one ends it. */
  release(permit: Permit): void {
    const lease = this.#byPermit.get(permit);
    if (lease === undefined) return;
    lease.holders -= 1;
    if (lease.holders <= 0) this.#end(lease, "released");
  }

  add(key: string, minted: MintedPermit, endsAtMonotonicMs: number): void {
    const lease = { ...minted, key, endsAtMonotonicMs, holders: 1 };
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
