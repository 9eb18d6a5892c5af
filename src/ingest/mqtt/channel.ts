/**
 * One socket: whole packets in, small writes gathered into one, reading paused for as long as a reason holds.
 * A channel never keeps more than one unfinished packet, nor writes without a bound in sight.
 */
import type { Socket } from "node:net";
import { limits } from "../../limits.ts";
import { Problem } from "../../problems.ts";
import { type Frame, Framer } from "./framing.ts";

/** Why reading stops for a while. */
export type PauseReason = "deciding" | "window" | "rate" | "unsent";

/** Gathers the channels that have something to write and writes once for each turn of the event loop:
 * a group commit acknowledges hundreds of messages, and each TLS record costs. */
export class Flusher {
  #dirty: Channel[] = [];
  #scheduled = false;
  add(channel: Channel): void {
    this.#dirty.push(channel);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      const dirty = this.#dirty;
      this.#dirty = [];
      for (const one of dirty) one.flush();
    });
  }
}

export interface ChannelEvents {
  frame(frame: Frame): void;
  /** A broken packet, or a fault while handling one. */
  fault(error: unknown): void;
  closed(): void;
}

const nothing = Buffer.alloc(0);
/** Room that is made at once: some hundred acknowledgements. */
const roomBytes = 1_024;

/** How long a peer may take to accept our last words. */
const lingerMs = 1_000;

export class Channel {
  readonly socket: Socket;
  readonly #framer: Framer;
  readonly #flusher: Flusher;
  readonly #events: ChannelEvents;
  readonly #nowMs: () => number;
  readonly #paused = new Set<PauseReason>();
  /** What is written with the next flush, in its first `#outBytes` bytes. */
  #out = nothing;
  #outBytes = 0;
  #ended = false;
  #reading = false;
  /** Monotonic: when the last whole packet came, or when we stopped listening. */
  heardMs: number;
  /** Monotonic: when the unfinished packet began; undefined between packets. */
  begunMs: number | undefined;
  /** Monotonic: since when the peer does not take what we write. */
  stuckMs: number | undefined;

  constructor(
    socket: Socket,
    packetBytesMax: number,
    flusher: Flusher,
    nowMs: () => number,
    events: ChannelEvents,
  ) {
    this.socket = socket;
    this.#framer = new Framer(packetBytesMax);
    this.#flusher = flusher;
    this.#nowMs = nowMs;
    this.#events = events;
    this.heardMs = nowMs();
    socket.on("data", (chunk: Buffer) => this.#received(chunk));
    socket.on("drain", () => {
      this.stuckMs = undefined;
      this.resume("unsent");
    });
    // An error is always followed by "close"; what a peer's reset means is the same as its leaving.
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      this.#ended = true;
      events.closed();
    });
    socket.on("end", () => this.end());
  }

  set packetBytesMax(value: number) {
    this.#framer.packetBytesMax = value;
  }

  get unsentBytes(): number {
    return this.#outBytes + this.socket.writableLength;
  }

  get ended(): boolean {
    return this.#ended;
  }

  #received(chunk: Buffer): void {
    if (this.#ended) return;
    this.#framer.push(chunk);
    this.#read();
  }

  #read(): void {
    if (this.#reading) return;
    this.#reading = true;
    let hasFrame = false;
    try {
      while (this.#paused.size === 0 && !this.#ended) {
        const frame = this.#framer.next();
        if (frame === undefined) break;
        if (!hasFrame) this.heardMs = this.#nowMs();
        hasFrame = true;
        this.begunMs = undefined;
        this.#events.frame(frame);
      }
    } catch (error) {
      this.#events.fault(error);
    } finally {
      this.#reading = false;
    }
    if (this.#paused.size > 0) return;
    if (!this.#framer.unfinished) this.begunMs = undefined;
    else this.begunMs ??= this.#nowMs();
  }

  /** Stops reading: TCP tells the peer to wait, and nobody else is held. */
  pause(reason: PauseReason): void {
    if (this.#paused.size === 0) this.socket.pause();
    this.#paused.add(reason);
  }

  resume(reason: PauseReason): void {
    if (!this.#paused.delete(reason) || this.#paused.size > 0 || this.#ended) return;
    // The silence was ours, so the peer's clocks start anew.
    this.heardMs = this.#nowMs();
    this.begunMs = undefined;
    this.#read();
    if (this.#paused.size === 0 && !this.#ended) this.socket.resume();
  }

  /** Whether silence at the moment is the peer's own. */
  get listening(): boolean {
    return this.#paused.size === 0;
  }

  /** Writes with the next flush. */
  write(packet: Buffer): void {
    if (this.#ended) return;
    if (this.#outBytes === 0) this.#flusher.add(this);
    const length = this.#outBytes + packet.length;
    if (length > this.#out.length) {
      const grown = Buffer.allocUnsafe(Math.max(roomBytes, length, this.#out.length * 2));
      grown.set(this.#out.subarray(0, this.#outBytes));
      this.#out = grown;
    }
    this.#out.set(packet, this.#outBytes);
    this.#outBytes = length;
  }

  flush(): void {
    if (this.#outBytes === 0 || this.socket.destroyed) return;
    // The socket keeps these bytes until they are sent, so the next ones get room of their own.
    const bytes = this.#out.subarray(0, this.#outBytes);
    this.#out = nothing;
    this.#outBytes = 0;
    if (this.socket.write(bytes) || this.#ended) return;
    this.stuckMs ??= this.#nowMs();
    // One who does not take our answers gets no more questions in.
    if (this.socket.writableLength > limits.mqttUnsentBytesMax / 4) this.pause("unsent");
  }

  /** Says the last words, if any, and closes; destroys the socket if the peer does not take them. */
  end(lastWords?: Buffer): void {
    if (this.#ended) return;
    if (lastWords) this.write(lastWords);
    this.#ended = true;
    this.flush();
    this.socket.end();
    this.socket.resume();
    const timer = setTimeout(() => this.socket.destroy(), lingerMs);
    timer.unref();
    this.socket.once("close", () => clearTimeout(timer));
  }

  destroy(): void {
    this.#ended = true;
    this.socket.destroy();
  }
}

/** The refusal behind whatever was thrown while a packet was handled. */
export function problemOf(error: unknown): Problem {
  return error instanceof Problem ? error : new Problem("internal-fault", { cause: error });
}
