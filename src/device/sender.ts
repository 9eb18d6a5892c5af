/**
 * Keeps a connection and empties the spool over it. Taking (PUBACK, 202) only paces it; what frees the
 * spool is the receipt. After silence it sends again, byte for byte, and at last opens a new session.
 */
import type { Clock } from "../clock.ts";
import { joinPayload } from "../envelope/payload.ts";
import { Problem } from "../problems.ts";
import type { Held, Spool } from "./spool.ts";
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
  /** Since when we send without hearing a receipt; 0 when we heard, or sent nothing. */
  #silentSinceMs = 0;
  #silenceMs = SILENCE_FIRST_MS;

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
    this.#silentSinceMs = 0;
    for (const held of this.#o.spool.held()) held.sentMs = 0;
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
      const [reply] = await Promise.all([promise, connection.send(opening)]);
      finish(reply);
      this.#silentSinceMs = 0;
    } finally {
      clearTimeout(timer);
      this.#reply = undefined;
    }
  }

  #isSilent(): boolean {
    const since = this.#silentSinceMs;
    return since > 0 && this.#o.clock.monotonicMs() - since > this.#silenceMs;
  }

  #untilWoken(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, IDLE_MS);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Sends a round of payloads. @returns false when there was nothing to send. */
  async #sendSome(connection: Connection): Promise<boolean> {
    const nowMs = this.#o.clock.monotonicMs();
    const payloads: Promise<boolean>[] = [];
    let items: Uint8Array[] = [];
    let bytes = 0;
    let mayHoldOpening = false;
    const flush = async () => {
      if (items.length === 0) return;
      const sending = connection.send(joinPayload(items));
      // Awaited together below; until then a failure must not count as unnoticed.
      sending.catch(() => undefined);
      payloads.push(sending);
      items = [];
      bytes = 0;
      // An opening must have been taken before other payloads rely on it.
      if (mayHoldOpening) await sending;
      mayHoldOpening = false;
    };
    for (const held of this.#o.spool.held()) {
      if (!isDue(held, nowMs)) continue;
      const opening = this.#opened.has(held.sessionId)
        ? undefined
        : this.#o.spool.opening(held.sessionId);
      const size = held.length + (opening?.length ?? 0);
      if (bytes + size > PAYLOAD_BYTES_MAX || items.length >= PAYLOAD_ITEMS_MAX) await flush();
      if (payloads.length >= PAYLOADS_IN_FLIGHT) break;
      if (opening !== undefined) {
        items.push(opening);
        mayHoldOpening = true;
      }
      this.#opened.add(held.sessionId);
      items.push(this.#o.spool.read(held));
      bytes += size;
      held.sentMs = nowMs;
      held.attempts++;
      held.bytes = undefined;
    }
    await flush();
    if (payloads.length === 0) return false;
    if (this.#silentSinceMs === 0) this.#silentSinceMs = nowMs;
    await Promise.all(payloads);
    return true;
  }
}

function isDue(held: Held, nowMs: number): boolean {
  if (held.sentMs === 0) return true;
  const waitMs = Math.min(RESEND_FIRST_MS * 2 ** Math.min(held.attempts, 10), RESEND_MAX_MS);
  return nowMs - held.sentMs > waitMs;
}

/** Programming errors must not look like a bad network. */
function isBug(error: unknown): boolean {
  if (error instanceof Problem) return false;
  return (
    error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError
  );
}
