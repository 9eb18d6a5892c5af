/**
 * A device: measures, seals at once, keeps what it sealed until the platform's receipt, and finds its
 * way back after every loss of connection or power. Many can run in one program. Past 400 lines because
 * whatever changes the number, the spool and the session together is easier to check in one place.
 */
import { join } from "node:path";
import { type Clock, systemClock } from "../clock.ts";
import type { DeviceIdentity } from "../envelope/opening.ts";
import { splitPayload } from "../envelope/payload.ts";
import { type Receipt, receiptCovers } from "../envelope/receipt.ts";
import { DeviceSession, envelopeHash, openDownlinkWith } from "../envelope/session.ts";
import type { KemMode } from "../envelope/shares.ts";
import { AES_256_GCM, CHACHA20_POLY1305, type Suite } from "../envelope/suites.ts";
import { limits } from "../limits.ts";
import { Problem, type ProblemCode } from "../problems.ts";
import { Counter } from "./counter.ts";
import { type Enrolled, signingIdentity } from "./identity.ts";
import { type Measured, Sealing, type SealTimes } from "./sealing.ts";
import { Sender } from "./sender.ts";
import { BRIDGE_NUMBERS, Spool } from "./spool.ts";
import type { Transport } from "./transport.ts";

export type DeviceEvent =
  | { type: "online" | "offline" }
  | { type: "session"; sessionId: string; how: "connection" | "prekey" }
  | { type: "receipt"; contiguous: number; held: number }
  /** The platform will never take this number. */
  | { type: "refused"; sequence: number; problem: ProblemCode }
  /** No room, or the medium failed: these numbers went and will be stated as a gap. */
  | { type: "dropped"; from: number; to: number };

export interface DeviceOptions {
  identity: Enrolled;
  /** Folder for state and spool, this device's alone. */
  folder: string;
  transport: Transport;
  cipher?: "AES-256-GCM" | "ChaCha20-Poly1305";
  keyExchange?: KemMode;
  /** Most bytes of the spool on disk; default 64 MiB. */
  spoolBytesMax?: number;
  /** "each" (default): on the medium before measure() resolves; "interval": within a second, for
   * many devices in one program. Neither loses anything when only the program dies. */
  durability?: "each" | "interval";
  /** A block is signed at least this often while sealing; at most and by default 55 s. */
  blockEveryMs?: number;
  /** UTC = device clock + offset, milliseconds; default 0: the system's clock is UTC. */
  offsetMs?: () => number;
  /** How long a start waits for a connection before it begins on a prekey; default 5 s. */
  openWaitMs?: number;
  /** Prekeys from enrolment, a CBOR sequence; kept from then on. */
  prekeys?: Uint8Array;
  clock?: Clock;
  onEvent?: (event: DeviceEvent) => void;
}

export interface DeviceStatus {
  online: boolean;
  sessionId: string | undefined;
  /** Envelopes without a receipt, and the spool's bytes on disk. */
  held: number;
  spoolBytes: number;
  /** Since the start: sealed, receipted, refused for good, dropped for want of room. */
  sealed: number;
  received: number;
  refused: number;
  dropped: number;
}

const BLOCK_EVERY_MS = limits.blockIntervalMs - 5_000;
const SYNC_EVERY_MS = 1_000;
const GAP_STATED_AFTER_MS = 1_000;
/** So many numbers in a row may leave nothing in the spool; a wider hole the platform may not get over. */
const UNKEPT_MAX = 2 * BRIDGE_NUMBERS;
/** What a medium must have room for before it is trusted again after that. */
const PROBE_BYTES = 4_096;
/** Calls of measure() that may wait for the first session. */
const WAITING_MAX = 1_024;

export class Device {
  readonly #o: DeviceOptions;
  readonly #clock: Clock;
  readonly #suite: Suite;
  readonly #identity: DeviceIdentity;
  readonly #counter: Counter;
  readonly #spool: Spool;
  readonly #sender: Sender;
  #sealing: Sealing | undefined;
  #ready = Promise.withResolvers<void>();
  #waiting = 0;
  #isClosed = false;
  #blockTimer: NodeJS.Timeout | undefined;
  #syncTimer: NodeJS.Timeout | undefined;
  #openTimer: NodeJS.Timeout | undefined;
  #gapTimer: NodeJS.Timeout | undefined;
  /** Numbers of this session that the medium took in a row. */
  #unkept = 0;
  #counts = { sealed: 0, received: 0, refused: 0, dropped: 0 };

  /** @throws Error for an identity or state that cannot be read. */
  constructor(o: DeviceOptions) {
    this.#o = o;
    this.#clock = o.clock ?? systemClock;
    this.#suite = o.cipher === "ChaCha20-Poly1305" ? CHACHA20_POLY1305 : AES_256_GCM;
    this.#identity = signingIdentity(o.identity);
    this.#spool = new Spool({
      folder: join(o.folder, "spool"),
      bytesMax: o.spoolBytesMax ?? 64 * 1_048_576,
      durability: o.durability ?? "each",
    });
    this.#counter = new Counter(join(o.folder, "state.json"));
    const { tail } = this.#spool;
    this.#counter.recover(tail && { ...tail, head: envelopeHash(tail.bytes) }, this.#spool);
    if (o.prekeys !== undefined && this.#counter.prekeys === 0) {
      this.#counter.addPrekeys(splitPayload(o.prekeys).map(({ bytes }) => bytes));
    }
    this.#sender = new Sender({
      transport: o.transport,
      spool: this.#spool,
      clock: this.#clock,
      begin: () => this.#begin(),
      needsSession: () => this.#sealing === undefined,
      downlink: (bytes) => this.#downlink(bytes),
      onOnline: (online) => this.#tell({ type: online ? "online" : "offline" }),
    });
  }

  /** Begins to connect, and to send what an earlier run left. Returns at once. */
  start(): void {
    this.#sender.start();
    const waitMs = this.#o.openWaitMs ?? 5_000;
    this.#openTimer = setTimeout(() => this.#beginOffline(), waitMs);
    this.#openTimer.unref();
  }

  get status(): DeviceStatus {
    return {
      online: this.#sender.online,
      sessionId: this.#sealing?.session.sessionId,
      held: this.#spool.count,
      spoolBytes: this.#spool.bytes,
      ...this.#counts,
    };
  }

  /** Seals what was measured into one envelope.
   * Resolves when it is in the spool; before the first session it waits for that.
   * @throws Problem "batch-refused" for samples out of bounds or too many for one envelope (no number is
   * used); Error when closed, or when too many calls already wait for a session; the file system's
   * Error when the spool cannot be written: this reading is then lost, and stated as a gap (while very many
   * in a row cannot be written, no number is used). */
  async measure(measured: Measured): Promise<void> {
    if (this.#isClosed) throw new Error("the device is closed");
    if (this.#sealing === undefined) {
      if (this.#waiting >= WAITING_MAX)
        throw new Error("no session yet, and too much waits for it");
      this.#waiting++;
      try {
        await this.#ready.promise;
      } finally {
        this.#waiting--;
      }
    }
    this.#seal(measured);
  }

  /** Resolves when every envelope has its receipt; false when that took longer. */
  async drained(timeoutMs: number): Promise<boolean> {
    const endMs = this.#clock.monotonicMs() + timeoutMs;
    while (this.#spool.count > 0) {
      if (this.#clock.monotonicMs() >= endMs) return false;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return true;
  }

  /** Signs the last block, closes the session, waits a little for receipts, and stops.
   * What is not received stays in the spool for the next start. */
  async close(waitMs = 5_000): Promise<void> {
    if (this.#isClosed) return;
    if (this.#sealing !== undefined) this.#seal(undefined, { close: true });
    this.#isClosed = true;
    clearTimeout(this.#openTimer);
    clearTimeout(this.#blockTimer);
    clearTimeout(this.#gapTimer);
    this.#ready.promise.catch(() => undefined);
    this.#ready.reject(new Error("the device is closed"));
    if (this.#sender.online) await this.drained(waitMs);
    clearTimeout(this.#syncTimer);
    await this.#sender.stop();
    this.#spool.sync();
    this.#counter.saveClean();
    this.#spool.close();
  }

  #times(): SealTimes {
    return {
      clockMs: Math.floor(this.#clock.nowMs()),
      offsetMs: Math.round(this.#o.offsetMs?.() ?? 0),
      monotonicMs: this.#clock.monotonicMs(),
    };
  }

  #seal(measured: Measured | undefined, o: { block?: boolean; close?: boolean } = {}): void {
    const sealing = this.#sealing!;
    const { sessionId } = sealing.session;
    if (this.#unkept >= UNKEPT_MAX) this.#spool.probe(PROBE_BYTES);
    const { sequence, envelope, endsBlock } = sealing.seal(measured, this.#times(), o);
    this.#counts.sealed++;
    let kept = false;
    try {
      const dropped = this.#spool.append(sessionId, sequence, envelope, endsBlock);
      kept = true;
      // Not even this one had room: then nothing in the spool tells a next start that its number was used.
      if (!this.#spool.holds(sessionId, sequence)) this.#counter.save();
      for (const [from, to] of dropped) {
        this.#counter.unstated(from, to);
        this.#counter.addGap({ from, to, reason: "spool-full" });
        sealing.oweSaltKey();
        this.#dropped(from, to);
      }
    } finally {
      // What failed after the record was whole, as a roll to the next file, loses nothing.
      if (!kept && !this.#spool.holds(sessionId, sequence)) {
        this.#unkept++;
        sealing.takeBack(sequence);
        this.#dropped(sequence, sequence);
      } else this.#unkept = 0;
      this.#planBlock(endsBlock);
    }
    this.#syncSoon();
    this.#sender.wake();
  }

  #dropped(from: number, to: number): void {
    this.#counts.dropped += to - from + 1;
    this.#stateGapsSoon();
    this.#tell({ type: "dropped", from, to });
  }

  /** For envelopes that nobody asked for: a medium that fails has been told as "dropped". */
  #sealUnasked(o: { block?: boolean; close?: boolean }): void {
    try {
      this.#seal(undefined, o);
    } catch (error) {
      if (!isFailedMedium(error)) throw error;
      this.#stateGapsSoon();
    }
  }

  #syncSoon(): void {
    if (this.#o.durability !== "interval") return;
    this.#syncTimer ??= setTimeout(() => {
      this.#syncTimer = undefined;
      this.#spool.sync();
    }, SYNC_EVERY_MS);
  }

  /** The platform's receipts stop at a gap that it was not told: tell it also when nothing is measured. */
  #stateGapsSoon(): void {
    this.#gapTimer ??= setTimeout(() => {
      this.#gapTimer = undefined;
      if (this.#isClosed || !this.#counter.hasGaps) return;
      if (this.#sender.online) this.#sealUnasked({ block: true });
      else this.#stateGapsSoon();
    }, GAP_STATED_AFTER_MS);
  }

  /** A block is due also when nothing more is measured. */
  #planBlock(signed: boolean): void {
    if (signed) {
      clearTimeout(this.#blockTimer);
      this.#blockTimer = undefined;
    }
    if (this.#isClosed || this.#sealing?.unsigned === 0) return;
    this.#blockTimer ??= setTimeout(() => {
      this.#blockTimer = undefined;
      if (!this.#isClosed && this.#sealing !== undefined && this.#sealing.unsigned > 0) {
        this.#sealUnasked({ block: true });
      }
    }, this.#blockEveryMs);
  }

  get #blockEveryMs(): number {
    return Math.min(this.#o.blockEveryMs ?? BLOCK_EVERY_MS, BLOCK_EVERY_MS);
  }

  /** For the sender: a new two-message session over the connection it has. */
  #begin() {
    const begun = DeviceSession.begin(this.#identity, {
      suite: this.#suite,
      kem: this.#o.keyExchange ?? "hybrid",
      firstSequence: this.#counter.nextSequence,
      nowMs: Math.floor(this.#clock.nowMs()),
      chance: this.#clock,
    });
    const finish = (reply: Uint8Array) => {
      // Until here the old session, if there is one, took what was measured; now its last envelope.
      const closing = this.#sealing === undefined ? 0 : 1;
      const session = begun.finish(reply, this.#counter.nextSequence + closing);
      if (closing === 1) this.#sealUnasked({ close: true });
      this.#sawStoreEpoch(session.reply?.storeEpoch ?? 0);
      this.#use(session, "connection");
    };
    return { opening: begun.opening, finish };
  }

  #beginOffline(): void {
    if (this.#sealing !== undefined || this.#isClosed) return;
    const prekey = this.#counter.takePrekey(() => true);
    if (prekey === undefined) return; // measure() waits for a connection
    try {
      const begun = DeviceSession.fromPrekey(this.#identity, prekey, {
        suite: this.#suite,
        firstSequence: this.#counter.nextSequence,
        nowMs: Math.floor(this.#clock.nowMs()),
        chance: this.#clock,
      });
      this.#spool.keepOpening(begun.session.sessionId, begun.opening);
      this.#use(begun.session, "prekey");
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.#beginOffline(); // an expired prekey: the next one
    }
  }

  #use(session: DeviceSession, how: "connection" | "prekey"): void {
    this.#sealing = new Sealing({
      session,
      identity: this.#identity,
      counter: this.#counter,
      saltKey: this.#clock.random(32),
      blockEveryMs: this.#blockEveryMs,
    });
    this.#unkept = 0;
    this.#tell({ type: "session", sessionId: session.sessionId, how });
    this.#ready.resolve();
  }

  /** Takes what the platform sent. Whatever does not verify is left: it frees nothing. */
  #downlink(bytes: Uint8Array): void {
    const prekeys: Uint8Array[] = [];
    for (const item of refusable(() => splitPayload(bytes)) ?? []) {
      if (item.kind === "reply") this.#sender.replied(item.bytes);
      else if (item.kind === "prekey") prekeys.push(item.bytes);
      else if (item.kind === "envelope") {
        const receipt = refusable(() => this.#open(item.bytes))?.receipt;
        if (receipt !== undefined) this.#receipt(receipt);
      }
    }
    if (prekeys.length > 0) this.#counter.addPrekeys(prekeys);
  }

  #open(bytes: Uint8Array) {
    const current = this.#sealing?.session;
    if (current !== undefined) {
      const opened = refusable(() => current.openDownlink(bytes));
      if (opened !== undefined) return opened;
    }
    for (const secret of this.#counter.downlinks) {
      const opened = refusable(() => openDownlinkWith(secret, bytes));
      if (opened !== undefined) return opened;
    }
    return undefined;
  }

  #receipt(receipt: Receipt): void {
    // An older epoch's receipt may promise what a restore has lost since: it frees nothing.
    if (receipt.storeEpoch < this.#counter.storeEpoch) return;
    this.#sawStoreEpoch(receipt.storeEpoch);
    const last = receipt.contiguous + receipt.bitmap.length * 8;
    const refused = new Map(receipt.refused.map((r) => [r.sequence, r.problem]));
    let settled = 0;
    for (const held of this.#spool.heldOf(receipt.sessionId)) {
      const problem = refused.get(held.sequence);
      if (problem === undefined && held.sequence > last) continue;
      if (problem !== undefined) {
        this.#counts.refused++;
        this.#tell({ type: "refused", sequence: held.sequence, problem });
      } else if (receiptCovers(receipt, held.sequence)) this.#counts.received++;
      else continue;
      settled++;
      this.#counter.heard(held.sequence);
      this.#spool.settle(held);
    }
    if (settled > 0) this.#spool.forgetOpening(receipt.sessionId);
    this.#sender.heard();
    const { contiguous } = receipt;
    this.#tell({ type: "receipt", contiguous, held: this.#spool.count });
  }

  /** The platform was restored from a backup: everything still held goes again. */
  #sawStoreEpoch(storeEpoch: number): void {
    if (storeEpoch <= this.#counter.storeEpoch) return;
    this.#counter.sawStoreEpoch(storeEpoch);
    for (const held of this.#spool.held()) held.dueMs = 0;
    this.#sender.wake();
  }

  #tell(event: DeviceEvent): void {
    this.#o.onEvent?.(event);
  }
}

/** The file system's own word (ENOSPC, EIO …), not a bug. */
function isFailedMedium(error: unknown): boolean {
  return error instanceof Error && "syscall" in error;
}

/** What the platform's bytes give, or undefined if they are refused: they come from outside. */
function refusable<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof Problem) return undefined;
    throw error;
  }
}
