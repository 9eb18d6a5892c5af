/** Cuts a byte stream into MQTT control packets, and refuses a large one before it is taken in. */
import { Problem } from "../../problems.ts";
import { malformed } from "./reader.ts";

/** One whole control packet. */
export interface Frame {
  /** Type in the high nibble, flags in the low one (MQTT 5 §2.1.1). */
  readonly head: number;
  /** What follows the remaining length; a view that lives until the next chunk. */
  readonly body: Buffer;
  /** Bytes on the wire, fixed header included. */
  readonly size: number;
}

const empty = Buffer.alloc(0);

/** Keeps at most one unfinished packet, so at most `packetBytesMax` bytes plus one chunk. */
export class Framer {
  /** Bytes of the largest packet taken, fixed header included. */
  packetBytesMax: number;
  #chunk: Buffer = empty;
  #at = 0;
  #parts: Buffer[] = [];
  #partsBytes = 0;
  #wanted = 0;

  constructor(packetBytesMax: number) {
    this.packetBytesMax = packetBytesMax;
  }

  /** True while a packet has begun and not ended. */
  get unfinished(): boolean {
    return this.#partsBytes > 0 || this.#at < this.#chunk.length;
  }

  /** Adds what the socket gave. Call `next` until it has no more. */
  push(chunk: Buffer): void {
    if (this.#partsBytes === 0) {
      this.#chunk = this.#at < this.#chunk.length ? this.#joined(chunk) : chunk;
      this.#at = 0;
      return;
    }
    this.#parts.push(chunk);
    this.#partsBytes += chunk.length;
    if (this.#partsBytes < this.#wanted) return;
    this.#chunk = Buffer.concat(this.#parts, this.#partsBytes);
    this.#at = 0;
    this.#parts = [];
    this.#partsBytes = 0;
  }

  #joined(chunk: Buffer): Buffer {
    return Buffer.concat([this.#chunk.subarray(this.#at), chunk]);
  }

  /** The next whole packet, or undefined until more bytes come.
   * @throws Problem "mqtt-packet-too-large" as soon as the length is read, before the packet is;
   *   "mqtt-packet-malformed" for a remaining length of more than four bytes or an overlong one. */
  next(): Frame | undefined {
    const chunk = this.#chunk;
    const left = chunk.length - this.#at;
    if (left < 2 || this.#partsBytes > 0) return undefined;
    let length = 0;
    let header = 1;
    for (let shift = 0; ; shift += 7) {
      if (header >= left) return undefined;
      const byte = chunk[this.#at + header] as number;
      header++;
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (byte === 0 && header > 2) throw malformed("the remaining length is overlong");
        break;
      }
      if (shift === 21) throw malformed("the remaining length has more than four bytes");
    }
    const size = header + length;
    if (size > this.packetBytesMax) throw new Problem("mqtt-packet-too-large");
    if (size > left) {
      this.#hold(size);
      return undefined;
    }
    const from = this.#at + header;
    const frame = {
      head: chunk[this.#at] as number,
      body: chunk.subarray(from, from + length),
      size,
    };
    this.#at += size;
    return frame;
  }

  /** Collects chunks until `size` bytes are there, so that each byte is copied once. */
  #hold(size: number): void {
    const rest = this.#chunk.subarray(this.#at);
    this.#parts = [rest];
    this.#partsBytes = rest.length;
    this.#wanted = size;
    this.#chunk = empty;
    this.#at = 0;
  }
}
