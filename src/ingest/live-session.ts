/**
 * A session in memory: its keys, the numbers that came, and what is under way. All hot-path questions
 * are answered here; the database is asked only for a page of hashes that was put away.
 */
import { leafSalter } from "../envelope/block.ts";
import type { PlatformSession } from "../envelope/session.ts";
import { limits } from "../limits.ts";
import type { ProblemCode } from "../problems.ts";
import type { StoredBlock } from "./block-tables.ts";
import { NumberPages, PAGE_NUMBERS, pageOf } from "./pages.ts";
import type { Pending } from "./pending.ts";
import { NumberRanges } from "./ranges.ts";
import type { Previous, SessionRow, Standing } from "./tables.ts";

export interface Refused {
  readonly sequence: number;
  readonly problem: ProblemCode;
}

/** Numbers that a branch which this session forgot has used: here they are forks. */
export interface UsedElsewhere {
  readonly after: number;
  readonly upTo: number;
}

export class LiveSession {
  readonly deviceId: string;
  readonly sessionId: string;
  readonly certificateHash: string;
  readonly openedMs: number;
  readonly keys: PlatformSession;
  readonly ranges: NumberRanges;
  readonly pages = new NumberPages();
  /** Numbers the device stated as gone; kept apart, since one may still turn up. A statement past the bound
   * is on record but closes no hole: receipts stop before it, as before any number that is missing. */
  readonly gaps = new NumberRanges([], limits.sessionGapRangesMax);
  /** Between decryption and the known end of their commit, by number. */
  readonly inFlight = new Map<number, Pending>();
  /** Oldest first, at most `limits.receiptRefusedMax`. */
  readonly refused: Refused[] = [];
  /** Signed blocks whose envelopes are not all here. */
  readonly blocks: StoredBlock[] = [];
  /** Canonical batches that came before the salt key, by number. */
  readonly unsalted = new Map<number, Uint8Array>();
  /** Salt of each number, once the salt key is known. */
  saltOf: ((sequence: number) => Uint8Array) | undefined;
  #saltKey: Uint8Array | undefined;
  firstNumber: number | undefined;
  lastMs: number;
  closedAt: number | undefined;
  previous: Previous | undefined;
  standing: Standing;
  /** Whom its newest batch measured: the owner of the next signed block. */
  patientId: string | undefined;
  usedElsewhere: UsedElsewhere | undefined;
  /** A number above `after` here contradicts the session that took over from it there. */
  succeeded: { readonly after: number; readonly by: string } | undefined;
  readonly openingHash: string;
  /** Our answer to the opening, kept until the first envelope shows that it arrived. */
  reply: Uint8Array | undefined;
  /** It began on a prekey, without a reply of ours. */
  openedOnPrekey = false;
  /** Differs from its row. */
  dirty = false;
  /** The keys are destroyed in the keystore; memory only answers repetitions for a while. */
  ended = false;

  constructor(row: SessionRow, keys: PlatformSession, saltKey: Uint8Array | undefined) {
    this.deviceId = row.deviceId;
    this.sessionId = row.sessionId;
    this.certificateHash = row.certificateHash;
    this.openingHash = row.openingHash;
    this.openedMs = row.openedMs;
    this.keys = keys;
    this.saltKey = saltKey;
    this.ranges = NumberRanges.decode(row.ranges);
    this.firstNumber = row.firstNumber;
    this.lastMs = row.lastMs;
    this.closedAt = row.closedAt;
    this.previous = row.previous;
    this.standing = row.standing;
  }

  get saltKey(): Uint8Array | undefined {
    return this.#saltKey;
  }

  set saltKey(saltKey: Uint8Array | undefined) {
    this.#saltKey = saltKey;
    this.saltOf = saltKey && leafSalter(saltKey);
  }

  /** Every number up to this one is admitted, refused for good, or stated as gone. */
  get contiguous(): number {
    if (this.firstNumber === undefined) return 0;
    let reached = this.ranges.contiguousFrom(this.firstNumber);
    for (;;) {
      const past = this.gaps.contiguousFrom(reached + 1);
      if (past <= reached) return reached;
      reached = this.ranges.contiguousFrom(past + 1);
    }
  }

  /** The device closed it and nothing of it is missing. */
  get complete(): boolean {
    return this.closedAt !== undefined && this.contiguous >= this.closedAt;
  }

  /** Whether this number may be admitted now. Each hole among the numbers parts two ranges, and each stated
   * gap excuses one. Past `limits.sessionRangesMax` holes without excuse only such numbers may that make no
   * further one: they close the others, or go on at the end. */
  hasRoomFor(number: number): boolean {
    const most = limits.sessionRangesMax + this.gaps.rangeCount;
    return this.ranges.rangeCount < most || this.ranges.adjoins(number);
  }

  /** The device's next session named its last number, and nothing is missing that we know of. */
  get isExhausted(): boolean {
    if (this.succeeded === undefined || this.blocks.length > 0) return false;
    return this.contiguous >= Math.max(this.succeeded.after, this.ranges.last ?? 0);
  }

  /** Whether the page of that number has a row that must be read before it is written. */
  needsPage(number: number): boolean {
    const page = pageOf(number);
    return (
      this.pages.get(page) === undefined &&
      this.ranges.touches(page * PAGE_NUMBERS, page * PAGE_NUMBERS + PAGE_NUMBERS - 1)
    );
  }

  remember(refused: Refused, max: number): void {
    this.refused.push(refused);
    if (this.refused.length > max) this.refused.shift();
  }
}
