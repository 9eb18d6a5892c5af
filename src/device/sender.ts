/**
 * Keeps a connection and empties the spool over it. Taking (PUBACK, 202) only paces it; what frees the
 * spool is the receipt. After silence it sends again, byte for byte, and at last opens a new session.
 */
import type { Clock } from "../clock.ts";
import { joinPayload } from "../envelope/payload.ts";
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import { BRIDGE_NUMBERS, type Held, type Spool } from "./spool.ts";
import type { Connection, Transport } from "./transport.ts";

const BACK_OFF_FIRST_MS = 500;
const BACK_OFF_MAX_MS = 60_000;
const REPLY_TIMEOUT_MS = 15_000;
/** Without a receipt for so long an envelope is sent again; doubled each time. */
const RESEND_FIRST_MS = 20_000;
const RESEND_MAX_MS = 600_000;
/** Sent for so long without any receipt: the platform may not know the session. Doubled each time. */
const SILENCE_FIRST_MS = 60_000;
const SILENCE_MAX_MS = 3_600_000;
const PAYLOAD_BYTES_MAX = 65_536;
const PAYLOAD_ITEMS_MAX = 128;
const PAYLOADS_IN_FLIGHT = 8;
const IDLE_MS = 1_000;
/** The door said "not now": nothing is sent for so long. Doubled each time, until it takes something. */
const NOT_NOW_FIRST_MS = 500;
const NOT_NOW_MAX_MS = 60_000;

export interface SenderOptions {
  transport: Transport;
  spool: Spool;
  clock: Clock;
  /** Makes an opening; `finish` is called with the platform's reply. */
  begin(): { opening: Uint8Array; finish(reply: Uint8Array): void };
  /** Is there no session to seal in? */
  needsSession(): boolean;
  downlink(bytes: Uint8Array): void;
  onOnline(online: boolean): void;
}

export class Sender {
  readonly #o: SenderOptions;
  #connection: Connection | undefined;
  #stopped = false;
  #wake: () => void = () => undefined;
  #reply: ((reply: Uint8Array) => void) | undefined;
  #running: Promise<void> = Promise.resolve();
  /** Openings sent over this connection. */
  #opened = new Set<string>();
  /** Of each session the highest number handed over on this connection, and the highest that was taken. */
  readonly #reached = new Map<string, { handed: number; taken: number }>();
  /** Since when we send without hearing a receipt; 0 when we heard, or sent nothing. */
  #silentSinceMs = 0;
  #silenceMs = SILENCE_FIRST_MS;
  #notNowUntilMs = 0;
  #notNowMs = NOT_NOW_FIRST_MS;

  constructor(o: SenderOptions) {
    this.#o = o;
  }

  get online(): boolean {
    return this.#connection !== undefined;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** There is something new to send. */
  wake(): void {
    this.#wake();
  }

  /** A reply to an opening came. */
  replied(reply: Uint8Array): void {
    this.#reply?.(reply);
  }

  /** A receipt came: the platform knows us. */
  heard(): void {
    this.#silentSinceMs = 0;
    this.#silenceMs = SILENCE_FIRST_MS;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake();
    await this.#connection?.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#stopped) {
      try {
        await this.#connected(() => {
          failures = 0;
        });
      } catch (error) {
        if (isBug(error)) throw error;
        failures++;
      }
      if (this.#stopped) return;
      const steps = Math.min(failures, 16);
      const waitMs = Math.min(BACK_OFF_FIRST_MS * 2 ** steps, BACK_OFF_MAX_MS);
      // Spread out: after an outage not all devices come at once.
      await this.#pause(waitMs * (0.5 + this.#chance()));
    }
  }

  #chance(): number {
    return (this.#o.clock.random(1)[0] ?? 0) / 256;
  }

  /** Sleeps, but wakes when stopped. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        if (!this.#stopped) return;
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** One connection, from its making to its end. */
  async #connected(onUsed: () => void): Promise<void> {
    let isClosed = false;
    const connection = await this.#o.transport.connect({
      downlink: (bytes) => {
        onUsed();
        this.#o.downlink(bytes);
      },
      closed: () => {
        isClosed = true;
        this.#wake();
      },
    });
    this.#connection = connection;
    this.#opened.clear();
    this.#reached.clear();
    this.#silentSinceMs = 0;
    this.#notNowUntilMs = 0;
    for (const held of this.#o.spool.held()) {
      held.dueMs = 0;
      held.attempts = 0;
    }
    this.#o.onOnline(true);
    try {
      if (this.#o.needsSession()) await this.#open(connection);
      while (!this.#stopped && !isClosed) {
        if (this.#isSilent()) {
          this.#silenceMs = Math.min(this.#silenceMs * 2, SILENCE_MAX_MS);
          await this.#open(connection);
        }
        const sent = await this.#sendSome(connection);
        if (!sent && !isClosed && !this.#stopped) await this.#untilWoken();
      }
    } finally {
      this.#connection = undefined;
      this.#o.onOnline(false);
      if (!isClosed) await connection.close();
    }
  }

  /** Two messages: our opening, the platform's reply. @throws Error when none comes. */
  async #open(connection: Connection): Promise<void> {
    const { opening, finish } = this.#o.begin();
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    const timer = setTimeout(() => reject(new Error("no reply to the opening")), REPLY_TIMEOUT_MS);
    this.#reply = resolve;
    try {
      const [reply] = await Promise.all([promise, this.#sendOpening(connection, opening)]);
      finish(reply);
      this.#silentSinceMs = 0;
    } finally {
      clearTimeout(timer);
      this.#reply = undefined;
    }
  }

  async #sendOpening(connection: Connection, opening: Uint8Array): Promise<void> {
    if (!(await connection.send(opening))) throw new Error("the platform takes no opening now");
  }

  #isSilent(): boolean {
    const since = this.#silentSinceMs;
    return since > 0 && this.#o.clock.monotonicMs() - since > this.#silenceMs;
  }

  #untilWoken(): Promise<void> {
    return new Promise((resolve) => {
      const notNowMs = this.#notNowUntilMs - this.#o.clock.monotonicMs();
      const timer = setTimeout(resolve, notNowMs > 0 ? Math.min(notNowMs, IDLE_MS) : IDLE_MS);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Sends a round of payloads. @returns false when there was nothing to send. */
  async #sendSome(connection: Connection): Promise<boolean> {
    const nowMs = this.#o.clock.monotonicMs();
    if (nowMs < this.#notNowUntilMs) return false;
    const sendings: Promise<void>[] = [];
    let round: Round = { items: [], held: [], bytes: 0, mayHoldOpening: false };
    const flush = async () => {
      if (round.items.length === 0) return;
      const sending = this.#sendPayload(connection, round);
      // Awaited together below; until then a failure must not count as unnoticed.
      sending.catch(() => undefined);
      sendings.push(sending);
      // An opening must have been taken before other payloads rely on it.
      if (round.mayHoldOpening) await sending;
      round = { items: [], held: [], bytes: 0, mayHoldOpening: false };
    };
    for (const held of this.#o.spool.held()) {
      if (held.dueMs > nowMs) continue;
      const opening = this.#opened.has(held.sessionId)
        ? undefined
        : this.#o.spool.opening(held.sessionId);
      const size = held.length + (opening?.length ?? 0);
      const isFull =
        round.bytes + size > PAYLOAD_BYTES_MAX || round.items.length >= PAYLOAD_ITEMS_MAX;
      if (isFull) await flush();
      if (this.#isPastHole(held)) {
        await flush();
        await Promise.all(sendings);
      }
      if (sendings.length >= PAYLOADS_IN_FLIGHT || this.#notNowUntilMs > nowMs) break;
      if (opening !== undefined) {
        round.items.push(opening);
        round.mayHoldOpening = true;
      }
      this.#opened.add(held.sessionId);
      round.items.push(this.#o.spool.read(held));
      round.held.push(held);
      round.bytes += size;
      this.#handed(held);
      held.dueMs = nowMs + resendAfterMs(held.attempts++);
      held.bytes = undefined;
    }
    await flush();
    if (sendings.length === 0) return false;
    if (this.#silentSinceMs === 0) this.#silentSinceMs = nowMs;
    await Promise.all(sendings);
    return true;
  }

  #handed({ sessionId, sequence }: Held): void {
    const reached = this.#reached.get(sessionId);
    if (reached === undefined) this.#reached.set(sessionId, { handed: sequence, taken: 0 });
    else reached.handed = Math.max(reached.handed, sequence);
  }

  /** Payloads may overtake each other. The platform knows what lies far behind a hole in the numbers only
   * once it has what lies before the hole: that must be taken first. */
  #isPastHole({ sessionId, sequence }: Held): boolean {
    const reached = this.#reached.get(sessionId);
    if (reached === undefined || sequence <= reached.handed + limits.epochEnvelopesMax)
      return false;
    return sequence > reached.taken + BRIDGE_NUMBERS;
  }

  async #sendPayload(connection: Connection, round: Round): Promise<void> {
    if (await connection.send(joinPayload(round.items))) {
      this.#notNowMs = NOT_NOW_FIRST_MS;
      for (const { sessionId, sequence } of round.held) {
        const reached = this.#reached.get(sessionId);
        if (reached !== undefined) reached.taken = Math.max(reached.taken, sequence);
      }
      return;
    }
    // The platform is there and said so at once: these are due when it may take them, not after silence.
    for (const held of round.held) {
      held.dueMs = 0;
      held.attempts = 0;
      if (round.mayHoldOpening) this.#opened.delete(held.sessionId);
    }
    const nowMs = this.#o.clock.monotonicMs();
    if (nowMs < this.#notNowUntilMs) return; // said of several payloads at the same time
    this.#notNowUntilMs = nowMs + this.#notNowMs * (0.5 + this.#chance());
    this.#notNowMs = Math.min(this.#notNowMs * 2, NOT_NOW_MAX_MS);
  }
}

/** What goes into one payload. */
interface Round {
  readonly items: Uint8Array[];
  readonly held: Held[];
  bytes: number;
  mayHoldOpening: boolean;
}

function resendAfterMs(attempts: number): number {
  return Math.min(RESEND_FIRST_MS * 2 ** Math.min(attempts, 10), RESEND_MAX_MS);
}

/** Programming errors must not look like a bad network. */
function isBug(error: unknown): boolean {
  if (error instanceof Problem) return false;
  return (
    error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError
  );
}
