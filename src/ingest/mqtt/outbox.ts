/** Messages towards one client: packet ids, its receive maximum, what waits, what must be sent again. */
import { encodeAcknowledgement, encodePublish, type OutgoingPublish } from "./encode.ts";
import { type Acknowledgement, type Properties, type QoS, TYPE, type Version } from "./packets.ts";
import { protocolError } from "./reader.ts";

export interface OutgoingMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  /** The lesser of what was published and what was granted. */
  readonly qos: QoS;
  readonly retain: boolean;
  readonly properties: Properties;
  /** Monotonic milliseconds after which it is not to be sent [MQTT-3.3.2-5]. */
  readonly expiresAtMs: number | undefined;
}

/** The live connection as the outbox needs it. */
export interface Wire {
  readonly version: Version;
  /** The client's Receive Maximum and Maximum Packet Size. */
  readonly receiveMaximum: number;
  readonly packetBytesMax: number;
  /** Highest topic alias the client takes; 0: none. */
  readonly topicAliasMaximum: number;
  write(packet: Buffer): void;
}

interface Flight {
  readonly message: OutgoingMessage;
  /** QoS 2 after PUBREC: the message is delivered, only the PUBREL is still open. */
  released: boolean;
}

const packetIds = 65_535;

/** Survives the connection as part of the session; the wire comes and goes. */
export class Outbox {
  readonly #queueMax: number;
  readonly #nowMs: () => number;
  #flights = new Map<number, Flight>();
  #queue: OutgoingMessage[] = [];
  #lastId = 0;
  #wire: Wire | undefined;
  #aliases = new Map<string, number>();

  constructor(queueMax: number, nowMs: () => number) {
    this.#queueMax = queueMax;
    this.#nowMs = nowMs;
  }

  get waiting(): number {
    return this.#queue.length + this.#flights.size;
  }

  /** Sends now, or keeps for later if the QoS asks for it.
   * @returns false if the queue is full; the message is then dropped. */
  offer(message: OutgoingMessage): boolean {
    if (message.qos === 0) {
      // QoS 0 for an absent client is not kept (MQTT 5 §3.1.2.11.2 leaves that to the server).
      if (this.#wire) this.#transmit(this.#wire, message, 0, false);
      return true;
    }
    if (this.#queue.length >= this.#queueMax) return false;
    this.#queue.push(message);
    this.#pump();
    return true;
  }

  /** A connection begins: unfinished exchanges first, in their order [MQTT-4.4.0-1], then the queue. */
  attach(wire: Wire): void {
    this.#wire = wire;
    this.#aliases.clear();
    for (const [id, flight] of this.#flights) {
      if (flight.released) wire.write(encodeAcknowledgement(TYPE.pubrel, wire.version, id));
      else if (!this.#transmit(wire, flight.message, id, true)) this.#flights.delete(id);
    }
    this.#pump();
  }

  detach(): void {
    this.#wire = undefined;
  }

  /** PUBACK, PUBREC or PUBCOMP from the client. */
  acknowledged(acknowledgement: Acknowledgement): void {
    const wire = this.#wire;
    const { packetId, type, reason } = acknowledgement;
    const flight = this.#flights.get(packetId);
    if (type === TYPE.pubrec && reason < 0x80) {
      if (flight && flight.message.qos === 2) flight.released = true;
      const known = flight ? 0 : 0x92;
      wire?.write(encodeAcknowledgement(TYPE.pubrel, wire.version, packetId, known));
      return;
    }
    // An answer to nothing can follow a session that the client remembers and we do not.
    if (!flight) return;
    const expected = flight.message.qos === 1 ? TYPE.puback : TYPE.pubcomp;
    if (type !== expected && type !== TYPE.pubrec) {
      throw protocolError("an acknowledgement of another QoS");
    }
    this.#flights.delete(packetId);
    this.#pump();
  }

  #pump(): void {
    const wire = this.#wire;
    if (!wire) return;
    let sent = 0;
    while (sent < this.#queue.length && this.#flights.size < wire.receiveMaximum) {
      const message = this.#queue[sent++] as OutgoingMessage;
      const id = this.#freeId();
      this.#flights.set(id, { message, released: false });
      if (!this.#transmit(wire, message, id, false)) this.#flights.delete(id);
    }
    if (sent > 0) this.#queue.splice(0, sent);
  }

  #freeId(): number {
    for (let tries = 0; tries < packetIds; tries++) {
      this.#lastId = (this.#lastId % packetIds) + 1;
      if (!this.#flights.has(this.#lastId)) return this.#lastId;
    }
    throw new Error("outbox: every packet identifier is in use");
  }

  /** @returns false if the message is not to be sent at all: expired, or larger than the client takes. */
  #transmit(wire: Wire, message: OutgoingMessage, packetId: number, duplicate: boolean): boolean {
    let { properties } = message;
    if (message.expiresAtMs !== undefined) {
      const leftS = Math.ceil((message.expiresAtMs - this.#nowMs()) / 1000);
      // What was already sent once is finished whatever its age: the client may hold it.
      if (leftS <= 0 && !duplicate) return false;
      properties = { ...properties, messageExpiryInterval: Math.max(leftS, 0) }; // [MQTT-3.3.2-6]
    }
    const publish: OutgoingPublish = { ...message, properties, packetId, duplicate };
    const alias = wire.topicAliasMaximum > 0 ? this.#aliases.get(message.topic) : undefined;
    if (alias !== undefined) {
      const short = { ...publish, topic: "", properties: { ...properties, topicAlias: alias } };
      return this.#write(wire, encodePublish(wire.version, short));
    }
    if (this.#aliases.size >= wire.topicAliasMaximum) {
      return this.#write(wire, encodePublish(wire.version, publish));
    }
    const topicAlias = this.#aliases.size + 1;
    const named = { ...publish, properties: { ...properties, topicAlias } };
    const written = this.#write(wire, encodePublish(wire.version, named));
    if (written) this.#aliases.set(message.topic, topicAlias);
    return written;
  }

  /** [MQTT-3.1.2-24]: never more than the client takes; [MQTT-3.1.2-25]: as if it had been sent. */
  #write(wire: Wire, packet: Buffer): boolean {
    if (packet.length > wire.packetBytesMax) return false;
    wire.write(packet);
    return true;
  }
}
