/** The only door for time and chance: everything else receives a `Clock`, so that a test can own both. */
import { randomBytes, randomUUID } from "node:crypto";

export interface Clock {
  /** UTC, milliseconds since 1970. May jump: never used to order or to number anything. */
  nowMs(): number;
  /** Milliseconds that only ever grow, for waits and leases. */
  monotonicMs(): number;
  /** Random bytes from the operating system. */
  random(bytes: number): Uint8Array;
  /** A version 7 UUID (RFC 9562 §5.7): ids that sort by time of making. */
  uuid(): string;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  random: (bytes) => randomBytes(bytes),
  uuid: () => uuid7(Date.now()),
};

function uuid7(timeMs: number): string {
  const tail = randomUUID().slice(14);
  const time = Math.floor(timeMs).toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${tail.slice(1)}`;
}
