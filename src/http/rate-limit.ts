/** Token buckets by key (an address), for the doors that strangers may knock at. In memory, bounded. */
import type { Clock } from "../clock.ts";
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";

export class RateLimit {
  readonly #perMinute: number;
  readonly #clock: Clock;
  readonly #keysMax: number;
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>();

  constructor(o: { perMinute: number; clock: Clock; keysMax?: number }) {
    this.#perMinute = o.perMinute;
    this.#clock = o.clock;
    this.#keysMax = o.keysMax ?? limits.rateLimitKeysMax;
  }

  /** Takes one try. @throws Problem "rate-limited" when none is left. */
  take(key: string): void {
    const nowMs = this.#clock.monotonicMs();
    const bucket = this.#buckets.get(key) ?? { tokens: this.#perMinute, atMs: nowMs };
    // Re-inserted, so that the map's first key is the one longest unseen.
    this.#buckets.delete(key);
    const refilled = bucket.tokens + ((nowMs - bucket.atMs) * this.#perMinute) / 60_000;
    const tokens = Math.min(this.#perMinute, refilled);
    this.#buckets.set(key, { tokens: Math.max(0, tokens - 1), atMs: nowMs });
    if (this.#buckets.size > this.#keysMax) {
      const oldest = this.#buckets.keys().next();
      if (!oldest.done) this.#buckets.delete(oldest.value);
    }
    if (tokens < 1) throw new Problem("rate-limited");
  }
}

/** The key of a peer: its address; for IPv6 its /64, which one household owns whole. */
export function addressKey(ip: string): string {
  if (!ip.includes(":") || ip.startsWith("::ffff:")) return ip.replace("::ffff:", "");
  const [head = "", tail] = ip.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  return `${[...left, ...Array<string>(zeros).fill("0"), ...right].slice(0, 4).join(":")}::/64`;
}
