/**
 * What a device must remember besides its spool: the last number it used, unused prekeys, gaps still
 * to be stated. Numbers are reserved ahead on disk, so that none is used twice after a power cut.
 *
 * If lost or an older copy: numbers repeat in a new session; the platform sees a rollback and says so.
 */
import { existsSync, readFileSync } from "node:fs";
import type { Gap, PreviousSession } from "../envelope/content.ts";
import { fromHex, hex } from "../envelope/envelope.ts";
import type { DownlinkSecret } from "../envelope/session.ts";
import { writeDurably } from "./files.ts";

/** Numbers set aside with one write. */
const RESERVED = 256;
/** Sessions of one-shot programs whose answers can still be read. */
const DOWNLINKS_MAX = 16;
const PREKEYS_MAX = 64;

interface Stored {
  version: 1;
  lastSequence: number;
  reservedTo: number;
  /** Session and head (hex) of `lastSequence`. */
  sessionId: string;
  head: string;
  /** Which start of the machine wrote this: in the same one nothing written is lost. */
  bootId: string;
  clean: boolean;
  storeEpoch: number;
  prekeys: string[];
  gaps: Gap[];
  /** Gaps stated in envelopes that the platform has not acknowledged. */
  stated: { sequence: number; gap: Gap }[];
  downlinks: { sessionId: string; alg: number; downRoot: string }[];
}

const FRESH: Stored = {
  version: 1,
  lastSequence: 0,
  reservedTo: 0,
  sessionId: "",
  head: "",
  bootId: "",
  clean: true,
  storeEpoch: 0,
  prekeys: [],
  gaps: [],
  stated: [],
  downlinks: [],
};

export class Counter {
  readonly #path: string;
  #state: Stored;

  /** @param path the state file; made when missing. @throws Error for a file that is not ours. */
  constructor(path: string) {
    this.#path = path;
    this.#state = existsSync(path) ? parse(readFileSync(path, "utf8")) : structuredClone(FRESH);
  }

  /** Settles after a start which number comes next.
   * @param tail the last envelope in the spool, if there is one.
   * @param spool what of it did not read: those numbers may have been sent, and are never used again. */
  recover(
    tail: { sequence: number; sessionId: string; head: Uint8Array } | undefined,
    spool: { lost: readonly [number, number][]; isTorn: boolean } = { lost: [], isTorn: false },
  ): void {
    const s = this.#state;
    for (const [from, to] of spool.lost) this.#lostNumbers(from, to);
    if (spool.isTorn && s.clean && tail !== undefined && tail.sequence < s.lastSequence) {
      this.#lostNumbers(tail.sequence + 1, s.lastSequence);
    }
    if (tail !== undefined && tail.sequence > s.lastSequence) {
      s.lastSequence = tail.sequence;
      s.sessionId = tail.sessionId;
      s.head = hex(tail.head);
    }
    const isSameBoot = s.bootId !== "" && s.bootId === bootId() && !spool.isTorn;
    const isExact = s.clean || isSameBoot;
    if (!isExact && s.reservedTo > s.lastSequence) {
      // Power may have cut off the end of the spool: those numbers may have been used.
      this.addGap({ from: s.lastSequence + 1, to: s.reservedTo, reason: "damaged" });
      s.lastSequence = s.reservedTo;
    }
    this.#reserve();
  }

  #lostNumbers(from: number, to: number): void {
    this.unstated(from, to);
    this.addGap({ from, to, reason: "damaged" });
  }

  /** The previous session, as its successor must state it. */
  get previous(): PreviousSession | undefined {
    const { sessionId, head, lastSequence } = this.#state;
    return sessionId === "" ? undefined : { sessionId, lastSequence, head: fromHex(head) };
  }

  get nextSequence(): number {
    return this.#state.lastSequence + 1;
  }

  get storeEpoch(): number {
    return this.#state.storeEpoch;
  }

  get prekeys(): number {
    return this.#state.prekeys.length;
  }

  /** Before a number is sealed: makes sure that it is reserved on disk. */
  claim(sequence: number): void {
    if (sequence > this.#state.reservedTo) this.#reserve();
  }

  /** After an envelope was sealed. */
  used(sequence: number, sessionId: string, head: Uint8Array): void {
    this.#state.lastSequence = sequence;
    this.#state.sessionId = sessionId;
    this.#state.head = hex(head);
  }

  /** What names the newest envelope: for `lost`. */
  get head(): { sessionId: string; head: string } {
    const { sessionId, head } = this.#state;
    return { sessionId, head };
  }

  /** That number was used for an envelope that could not be kept.
   * @param before the newest envelope there was before it, whose session goes on. */
  lost(sequence: number, before: { sessionId: string; head: string }): void {
    this.#state.lastSequence = sequence;
    Object.assign(this.#state, before);
    this.unstated(sequence, sequence);
    this.addGap({ from: sequence, to: sequence, reason: "damaged" });
  }

  addGap(gap: Gap): void {
    const sorted = [...this.#state.gaps, { ...gap }].sort((a, b) => a.from - b.from);
    const merged: Gap[] = [];
    for (const next of sorted) {
      const before = merged.at(-1);
      if (before?.reason === next.reason && before.to + 1 >= next.from) {
        before.to = Math.max(before.to, next.to);
      } else merged.push(next);
    }
    this.#state.gaps = merged;
  }

  /** Envelopes from..to went unsent: what they stated must be stated again. */
  unstated(from: number, to: number): void {
    const lost = this.#state.stated.filter((s) => s.sequence >= from && s.sequence <= to);
    this.#state.stated = this.#state.stated.filter((s) => s.sequence < from || s.sequence > to);
    for (const { gap } of lost) this.addGap(gap);
  }

  /** The platform keeps this envelope, and so what it stated. */
  heard(sequence: number): void {
    if (this.#state.stated.length === 0) return;
    this.#state.stated = this.#state.stated.filter((s) => s.sequence !== sequence);
  }

  get hasGaps(): boolean {
    return this.#state.gaps.length > 0;
  }

  /** Takes gaps to state in envelope `sequence`, lowest first. */
  takeGaps(most: number, sequence: number): Gap[] {
    const gaps = this.#state.gaps.splice(0, most);
    for (const gap of gaps) this.#state.stated.push({ sequence, gap });
    return gaps;
  }

  /** Takes a prekey for good: it is gone from disk before anyone can use it twice. */
  takePrekey(accepts: (prekey: Uint8Array) => boolean): Uint8Array | undefined {
    const prekeys = this.#state.prekeys.map((text) => Buffer.from(text, "base64url"));
    const index = prekeys.findIndex(accepts);
    if (index < 0) return undefined;
    this.#state.prekeys.splice(index, 1);
    this.save();
    return new Uint8Array(prekeys[index]!);
  }

  addPrekeys(prekeys: readonly Uint8Array[]): void {
    const known = new Set(this.#state.prekeys);
    for (const prekey of prekeys) known.add(Buffer.from(prekey).toString("base64url"));
    this.#state.prekeys = [...known].slice(-PREKEYS_MAX);
    this.save();
  }

  sawStoreEpoch(storeEpoch: number): void {
    this.#state.storeEpoch = storeEpoch;
    this.save();
  }

  /** Keeps what reads a session's answers, for programs that end before the answer comes. */
  keepDownlink(secret: DownlinkSecret): void {
    const { sessionId, alg } = secret;
    const kept = { sessionId, alg, downRoot: hex(secret.downRoot) };
    this.#state.downlinks = [...this.#state.downlinks, kept].slice(-DOWNLINKS_MAX);
  }

  get downlinks(): DownlinkSecret[] {
    return this.#state.downlinks.map((d) => ({ ...d, downRoot: fromHex(d.downRoot) }));
  }

  #reserve(): void {
    const before = this.#state.reservedTo;
    this.#state.reservedTo = this.#state.lastSequence + RESERVED;
    this.#state.clean = false;
    try {
      this.save();
    } catch (error) {
      this.#state.reservedTo = before;
      throw error;
    }
  }

  save(): void {
    this.#state.bootId = bootId();
    writeDurably(this.#path, `${JSON.stringify(this.#state)}\n`);
  }

  /** At an orderly end, after the last envelope is in the spool for good. */
  saveClean(): void {
    this.#state.clean = true;
    this.save();
  }
}

function parse(text: string): Stored {
  const state = JSON.parse(text) as Partial<Stored>;
  if (state.version !== 1 || !Number.isSafeInteger(state.lastSequence)) {
    throw new Error("the device's state file is not readable; it must not be made anew silently");
  }
  return { ...structuredClone(FRESH), ...state };
}

let thisBoot: string | undefined;

/** Linux names each start of the machine; elsewhere every unclean end counts as a power cut. */
function bootId(): string {
  const path = "/proc/sys/kernel/random/boot_id";
  thisBoot ??= existsSync(path) ? readFileSync(path, "utf8").trim() : "";
  return thisBoot;
}
