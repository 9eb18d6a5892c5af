/** MQTT by hand: packets built byte by byte, and a raw socket that reads what comes back. */
import assert from "node:assert/strict";
import { connect as connectTcp, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";

export function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

export function u32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
}

/** UTF-8 string or binary with its two-byte length. */
export function sized(value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value as string);
  return Buffer.concat([u16(bytes.length), bytes]);
}

export function varint(value: number): Buffer {
  const out: number[] = [];
  let left = value;
  do {
    out.push((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
    left >>>= 7;
  } while (left > 0);
  return Buffer.from(out);
}

/** A control packet: first byte, then the parts under their remaining length. */
export function packet(head: number, ...parts: Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([head]), varint(body.length), body]);
}

/** A property block of MQTT 5. */
export function properties(...parts: Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([varint(body.length), body]);
}

export interface ConnectFields {
  version?: number;
  clean?: boolean;
  keepAlive?: number;
  clientId?: string;
  will?: { topic: string; payload: string; qos?: number; retain?: boolean; properties?: Buffer };
  properties?: Buffer;
}

export function connectPacket(o: ConnectFields = {}): Buffer {
  const version = o.version ?? 5;
  const v5 = version === 5;
  const { will } = o;
  let flags = (o.clean ?? true) ? 2 : 0;
  if (will) flags |= 4 | ((will.qos ?? 0) << 3) | (will.retain ? 0x20 : 0);
  return packet(
    0x10,
    sized("MQTT"),
    Buffer.from([version, flags]),
    u16(o.keepAlive ?? 0),
    v5 ? (o.properties ?? properties()) : Buffer.alloc(0),
    sized(o.clientId ?? "raw"),
    ...(will
      ? [
          v5 ? (will.properties ?? properties()) : Buffer.alloc(0),
          sized(will.topic),
          sized(will.payload),
        ]
      : []),
  );
}

export interface PublishFields {
  version?: number;
  qos?: number;
  id?: number;
  retain?: boolean;
  duplicate?: boolean;
  properties?: Buffer;
}

export function publishPacket(topic: string, payload: string | Uint8Array, o: PublishFields = {}) {
  const qos = o.qos ?? 0;
  return packet(
    0x30 | (o.duplicate ? 8 : 0) | (qos << 1) | (o.retain ? 1 : 0),
    sized(topic),
    qos > 0 ? u16(o.id ?? 1) : Buffer.alloc(0),
    (o.version ?? 5) === 5 ? (o.properties ?? properties()) : Buffer.alloc(0),
    Buffer.from(payload as string),
  );
}

export function subscribePacket(
  filters: (string | [string, number])[],
  o: { id?: number; version?: number; properties?: Buffer } = {},
): Buffer {
  return packet(
    0x82,
    u16(o.id ?? 1),
    (o.version ?? 5) === 5 ? (o.properties ?? properties()) : Buffer.alloc(0),
    ...filters.flatMap((one) => {
      const [filter, options] = typeof one === "string" ? [one, 2] : one;
      return [sized(filter), Buffer.from([options])];
    }),
  );
}

export const disconnectPacket = Buffer.from([0xe0, 0]);
export const pingPacket = Buffer.from([0xc0, 0]);

export interface RawPacket {
  readonly type: number;
  readonly flags: number;
  readonly body: Buffer;
  readonly bytes: Buffer;
}

export interface RawPublish {
  readonly topic: string;
  readonly id: number;
  readonly qos: number;
  readonly retain: boolean;
  readonly duplicate: boolean;
  readonly payload: string;
  /** The property block, as it is. */
  readonly properties: Buffer;
}

/** Takes a PUBLISH apart, as far as tests look at it. */
export function readPublish(raw: RawPacket, version = 5): RawPublish {
  assert.equal(raw.type, 3, "expected a PUBLISH");
  const { body, flags } = raw;
  const topicLength = body.readUInt16BE(0);
  let at = 2 + topicLength;
  const qos = (flags >> 1) & 3;
  const id = qos > 0 ? body.readUInt16BE(at) : 0;
  if (qos > 0) at += 2;
  let block: Buffer = Buffer.alloc(0);
  if (version === 5) {
    const length = body[at] as number;
    assert.ok(length < 0x80, "test properties are short");
    block = body.subarray(at + 1, at + 1 + length);
    at += 1 + length;
  }
  return {
    topic: body.toString("utf8", 2, 2 + topicLength),
    id,
    qos,
    retain: (flags & 1) !== 0,
    duplicate: (flags & 8) !== 0,
    payload: body.toString("utf8", at),
    properties: block,
  };
}

export class RawClient {
  readonly socket: Socket;
  #bytes = Buffer.alloc(0);
  #packets: RawPacket[] = [];
  #waiting: (() => void)[] = [];
  closed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    socket.on("error", () => this.#end());
    socket.on("close", () => this.#end());
    socket.on("end", () => this.#end());
  }

  static async open(port: number, tls?: ConnectionOptions): Promise<RawClient> {
    const socket = tls
      ? connectTls({ port, host: "127.0.0.1", servername: "localhost", ...tls })
      : connectTcp({ port, host: "127.0.0.1", noDelay: true });
    const client = new RawClient(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once(tls ? "secureConnect" : "connect", () => resolve());
      socket.once("error", reject);
    });
    return client;
  }

  #end(): void {
    this.closed = true;
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #take(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    while (this.#takePacket());
    this.#wake();
  }

  #takePacket(): boolean {
    let length = 0;
    let at = 1;
    for (let shift = 0; ; shift += 7) {
      const byte = this.#bytes[at++];
      if (byte === undefined) return false;
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    if (this.#bytes.length < at + length) return false;
    const head = this.#bytes[0] as number;
    const bytes = this.#bytes.subarray(0, at + length);
    this.#packets.push({ type: head >> 4, flags: head & 15, body: bytes.subarray(at), bytes });
    this.#bytes = this.#bytes.subarray(at + length);
    return true;
  }

  send(...bytes: Uint8Array[]): this {
    this.socket.write(Buffer.concat(bytes));
    return this;
  }

  /** The next packet; fails the test when none comes. */
  async next(withinMs = 5_000): Promise<RawPacket> {
    const found = await this.#until(() => this.#packets.length > 0, withinMs);
    assert.ok(found, this.closed ? "closed instead of a packet" : "no packet came");
    return this.#packets.shift() as RawPacket;
  }

  async nextOf(type: number, withinMs = 5_000): Promise<RawPacket> {
    const raw = await this.next(withinMs);
    assert.equal(raw.type, type, `packet type; body ${raw.body.toString("hex")}`);
    return raw;
  }

  async nextPublish(version = 5): Promise<RawPublish> {
    return readPublish(await this.next(), version);
  }

  /** Resolves once the server has closed; fails the test when it does not. */
  async untilClosed(withinMs = 5_000): Promise<void> {
    assert.ok(await this.#until(() => this.closed, withinMs), "the server did not close");
  }

  /** Fails the test if a packet comes within that time. */
  async silence(forMs = 150): Promise<void> {
    await this.#until(() => this.#packets.length > 0, forMs);
    assert.deepEqual(
      this.#packets.map((one) => one.bytes.toString("hex")),
      [],
      "expected silence",
    );
  }

  async #until(done: () => boolean, withinMs: number): Promise<boolean> {
    const endsMs = performance.now() + withinMs;
    while (!done()) {
      const leftMs = endsMs - performance.now();
      if (leftMs <= 0 || (this.closed && !done())) return done();
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
    return true;
  }

  /** CONNECT and its CONNACK, which must be a success. */
  async greet(o: ConnectFields = {}): Promise<RawPacket> {
    this.send(connectPacket(o));
    const connack = await this.nextOf(2);
    assert.equal(connack.body[1], 0, "CONNACK code");
    return connack;
  }

  async leave(): Promise<void> {
    this.send(disconnectPacket);
    await this.untilClosed();
  }
}
