/** The one question every device door asks, and its answer. */
import type { ProblemCode } from "../problems.ts";

/** What a door took from an authenticated device, before anything of it was opened. */
export interface Arrival {
  readonly door: "mqtt" | "https";
  /** From the verified client certificate, never from the payload or the topic. */
  readonly deviceId: string;
  /** SHA-256 of the client certificate's DER, lower-case hex. */
  readonly certificateHash: string;
  /** A CBOR sequence (RFC 8742) of sealed items: openings (tag 18) and envelopes (tag 16). */
  readonly bytes: Uint8Array;
  /** UTC, milliseconds; when the last byte was read. */
  readonly receivedMs: number;
}

/** The answer to an arrival. It exists only after the durable commit of what it admits. */
export interface Verdict {
  readonly outcome: "admitted" | "duplicate" | "refused";
  /** Why not. "storage-unavailable" and "rate-limited" mean: send it again; any other is final. */
  readonly problem?: ProblemCode;
  /** Sealed CBOR sequences for the device: receipts, an opening's reply, prekeys. May be empty. */
  readonly downlink: Uint8Array[];
}

/** Judges an arrival and keeps it. Resolves after the durable commit; never throws a refusal. */
export type Admit = (arrival: Arrival) => Promise<Verdict>;

/** As `Admit`, answered once by a call: a door of many small messages saves what promises cost.
 * `answer` must not throw. */
export type AdmitThen = (arrival: Arrival, answer: (verdict: Verdict) => void) => void;

/** Refusals after which the same bytes may be admitted later, so the door must not acknowledge. */
const passing: ReadonlySet<ProblemCode | undefined> = new Set<ProblemCode>([
  "storage-unavailable",
  "rate-limited",
  "device-unassigned",
  "internal-fault",
]);

export function mayRetry(problem: ProblemCode | undefined): boolean {
  return passing.has(problem);
}
