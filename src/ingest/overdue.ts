/**
 * What is past its time, told twice. The wall clock may jump by weeks and come back; keys that it has
 * destroyed do not. So what depends on it is done only for what was past its time at every look over
 * `limits.overdueConfirmMs` of time that only grows, while this program ran. A start begins anew.
 */
import { limits } from "../limits.ts";

export class Overdue<K> {
  /** Since when each is past its time without a break, monotonic ms. */
  #since = new Map<K, number>();

  /** @param past all that is past its time by the wall clock now. @returns those of them that stayed so. */
  look(past: Iterable<K>, monotonicMs: number): K[] {
    const since = new Map<K, number>();
    const confirmed: K[] = [];
    for (const one of past) {
      const fromMs = this.#since.get(one) ?? monotonicMs;
      since.set(one, fromMs);
      if (monotonicMs - fromMs >= limits.overdueConfirmMs) confirmed.push(one);
    }
    this.#since = since;
    return confirmed;
  }
}
