/** Reads MQTT's primitive forms from one packet body and refuses every other form (MQTT 5 §1.5). */
import { Problem } from "../../problems.ts";

// fatal: ill-formed UTF-8 closes the connection [MQTT-1.5.4-1]; ignoreBOM: U+FEFF is kept [MQTT-1.5.4-3].
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const shortAscii = 64;

export function malformed(detail: string): Problem {
  return new Problem("mqtt-packet-malformed", { detail });
}

export function protocolError(detail: string): Problem {
  return new Problem("mqtt-protocol-error", { detail });
}

/** A cursor over one packet body; reading past its end is a malformed packet. */
export class ByteReader {
  readonly bytes: Buffer;
  at = 0;
  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }
  get left(): number {
    return this.bytes.length - this.at;
  }
  #take(count: number): number {
    const from = this.at;
    if (count > this.bytes.length - from) throw malformed("it ends too early");
    this.at = from + count;
    return from;
  }
  uint8(): number {
    return this.bytes[this.#take(1)] as number;
  }
  uint16(): number {
    return this.bytes.readUInt16BE(this.#take(2));
  }
  uint32(): number {
    return this.bytes.readUInt32BE(this.#take(4));
  }
  /** Variable byte integer, at most four bytes, shortest form only [MQTT-1.5.5-1]. */
  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.uint8();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (byte === 0 && shift > 0) throw malformed("a variable byte integer is overlong");
        return value;
      }
    }
    throw malformed("a variable byte integer has more than four bytes");
  }
  /** Two-byte length and that many bytes; a view, not a copy. */
  binary(): Buffer {
    const length = this.uint16();
    const from = this.#take(length);
    return this.bytes.subarray(from, from + length);
  }
  /** UTF-8 string without U+0000 [MQTT-1.5.4-2]. */
  utf8(): string {
    const length = this.uint16();
    const from = this.#take(length);
    const end = from + length;
    if (length <= shortAscii) {
      let ascii = true;
      for (let i = from; i < end; i++) {
        const byte = this.bytes[i] as number;
        if (byte === 0 || byte > 0x7f) {
          ascii = false;
          break;
        }
      }
      if (ascii) return this.bytes.toString("latin1", from, end);
    }
    let text: string;
    try {
      text = strictUtf8.decode(this.bytes.subarray(from, end));
    } catch (cause) {
      throw new Problem("mqtt-packet-malformed", { detail: "a string is not UTF-8", cause });
    }
    if (text.includes("\0")) throw malformed("a string holds U+0000");
    return text;
  }
  rest(): Buffer {
    const from = this.#take(this.left);
    return this.bytes.subarray(from);
  }
  /** The next `length` bytes as a reader of their own. */
  part(length: number): ByteReader {
    const from = this.#take(length);
    return new ByteReader(this.bytes.subarray(from, from + length));
  }
  end(): void {
    if (this.at !== this.bytes.length) throw malformed("it holds more than it should");
  }
}
