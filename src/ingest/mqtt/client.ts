/**
 * One MQTT connection from CONNECT to its end. What is kept and for whom is the role's; what outlives the
 * connection is the session's; messages from the client are `receiving.ts`, towards it `outbox.ts`.
 */
import type { Socket } from "node:net";
import type { Clock } from "../../clock.ts";
import { diagnostics } from "../../diagnostics.ts";
import { limits } from "../../limits.ts";
import type { ProblemCode } from "../../problems.ts";
import { Channel, type Flusher, problemOf } from "./channel.ts";
import { announcements, encodeRefusal, parseGreeting, refuseConnect } from "./connecting.ts";
import { parsePacket } from "./decode.ts";
import { encodeConnack, encodeDisconnect, pingResponse } from "./encode.ts";
import type { Frame } from "./framing.ts";
import {
  type Connect,
  type Disconnect,
  type Incoming,
  TYPE,
  type Version,
  type WillMessage,
} from "./packets.ts";
import { protocolError } from "./reader.ts";
import { disconnectReasonOf } from "./reasons.ts";
import { Receiving } from "./receiving.ts";
import type { Identity, Role } from "./role.ts";
import type { Session } from "./session.ts";
import type { Sessions } from "./sessions.ts";
import { subscribe, unsubscribe } from "./subscribing.ts";

type Phase = "stranger" | "identifying" | "open" | "closed";

export interface ClientParts {
  readonly role: Role;
  readonly sessions: Sessions;
  readonly clock: Clock;
  readonly flusher: Flusher;
  /** The socket is gone. */
  onClosed(client: Client): void;
}

export class Client {
  readonly channel: Channel;
  readonly #parts: ClientParts;
  readonly #receiving: Receiving;
  #phase: Phase = "stranger";
  #will: WillMessage | undefined;
  #keepAliveMs = 0;
  /** The Session Expiry Interval of the CONNECT was 0, so no DISCONNECT may raise it. */
  #expiryFixed = false;
  version: Version = 5;
  identity: Identity | undefined;
  session: Session | undefined;
  readonly bornMs: number;

  constructor(socket: Socket, parts: ClientParts) {
    this.#parts = parts;
    const nowMs = () => parts.clock.monotonicMs();
    this.bornMs = nowMs();
    const { connectBytesMax } = parts.role.settings;
    this.channel = new Channel(socket, connectBytesMax, parts.flusher, nowMs, {
      frame: (frame) => this.#frame(frame),
      fault: (error) => this.fail(error),
      closed: () => this.#closed(),
    });
    this.#receiving = new Receiving(this, parts.role);
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Ends the connection and says why where the protocol can (MQTT 5 §3.14; 3.1.1 closes in silence). */
  end(problem: ProblemCode): void {
    if (this.#phase === "closed") return;
    if (problem !== "door-closing") this.#parts.role.refused(problem, this.identity?.deviceId);
    const speaks = this.#phase === "open" && this.version === 5;
    const words = speaks ? encodeDisconnect(disconnectReasonOf(problem)) : undefined;
    this.channel.end(words);
    const fellSilent = problem === "mqtt-keep-alive-ended" || problem === "mqtt-packet-overdue";
    this.#left(fellSilent ? this.#parts.clock.monotonicMs() - this.channel.heardMs : 0);
  }

  /** Ends what is overdue; called a few times a second. */
  sweep(nowMs: number): void {
    const { settings } = this.#parts.role;
    const { channel } = this;
    if (this.#phase === "stranger") {
      if (nowMs - this.bornMs > settings.connectTimeoutMs) this.end("mqtt-connect-overdue");
      return;
    }
    if (channel.stuckMs !== undefined && nowMs - channel.stuckMs > settings.packetTimeoutMs) {
      this.end("mqtt-client-slow");
    } else if (
      channel.begunMs !== undefined &&
      nowMs - channel.begunMs > settings.packetTimeoutMs
    ) {
      this.end("mqtt-packet-overdue");
    } else if (
      this.#keepAliveMs > 0 &&
      channel.listening &&
      nowMs - channel.heardMs > this.#keepAliveMs * 1.5
    ) {
      this.end("mqtt-keep-alive-ended"); // [MQTT-3.1.2-22]
    }
  }

  #frame(frame: Frame): void {
    if (this.#phase === "stranger") {
      const greeting = parseGreeting(frame);
      if ("refusal" in greeting) this.#refuse(greeting.refusal, greeting.version);
      else void this.#connect(greeting.connect);
      return;
    }
    if (this.#phase !== "open") return;
    const waitMs = this.#parts.role.pace(this, frame.size);
    if (waitMs > 0) this.#holdFor(waitMs);
    this.#packet(parsePacket(frame, this.version));
  }

  #holdFor(waitMs: number): void {
    this.channel.pause("rate");
    setTimeout(() => this.channel.resume("rate"), waitMs).unref();
  }

  #packet(packet: Incoming): void {
    switch (packet.type) {
      case TYPE.publish:
        this.#receiving.publish(packet);
        break;
      case TYPE.pubrel:
        this.#receiving.release(packet);
        break;
      case TYPE.puback:
      case TYPE.pubrec:
      case TYPE.pubcomp:
        this.session?.outbox.acknowledged(packet);
        break;
      case TYPE.subscribe:
        subscribe(this, this.#parts.role, packet);
        break;
      case TYPE.unsubscribe:
        unsubscribe(this, packet);
        break;
      case TYPE.pingreq:
        this.channel.write(pingResponse); // [MQTT-3.12.4-1]
        break;
      case TYPE.disconnect:
        this.#disconnect(packet);
        break;
      default:
        throw protocolError("an exchange that was not agreed"); // AUTH without a method [MQTT-4.12.0-6]
    }
  }

  async #connect(connect: Connect): Promise<void> {
    this.#phase = "identifying";
    this.version = connect.version;
    this.channel.pause("deciding");
    try {
      const refusal = refuseConnect(connect, this.#parts.role.settings);
      if (refusal) return this.#refuse(refusal, connect.version);
      const identity = await this.#parts.role.identify(this.channel.socket, connect);
      if (this.channel.ended) return;
      if (typeof identity === "string") return this.#refuse(identity, connect.version);
      this.#open(connect, identity);
      this.channel.resume("deciding");
    } catch (error) {
      this.fail(error);
    }
  }

  #open(connect: Connect, identity: Identity): void {
    const { role, sessions } = this.#parts;
    const { settings } = role;
    this.identity = identity;
    const { session, present } = sessions.open(identity.key, connect.cleanStart, this);
    this.session = session;
    this.#phase = "open";
    role.opened?.(this);
    this.channel.packetBytesMax = settings.packetBytesMax;
    const asked = connect.properties.sessionExpiryInterval ?? 0;
    const wanted = connect.version === 5 ? asked : connect.cleanStart ? 0 : 0xffff_ffff;
    session.expiryS = Math.min(wanted, settings.sessionExpiryMaxS);
    this.#expiryFixed = connect.version === 5 && asked === 0;
    this.#will = connect.will;
    const said = announcements(connect, identity, settings, session.expiryS);
    this.#keepAliveMs = said.keepAliveS * 1000;
    this.channel.write(encodeConnack(connect.version, 0, present, said.properties));
    session.outbox.attach({
      version: connect.version,
      receiveMaximum: connect.properties.receiveMaximum ?? 65_535,
      packetBytesMax: connect.properties.maximumPacketSize ?? 0x1000_0000,
      topicAliasMaximum: connect.properties.topicAliasMaximum ?? 0,
      write: (packet) => this.#send(packet),
    });
  }

  /** A refusal before the session exists: CONNACK, then the end [MQTT-3.1.4-2]. */
  #refuse(problem: ProblemCode, version: Version | undefined): void {
    this.#parts.role.refused(problem, this.identity?.deviceId);
    this.#phase = "closed";
    this.channel.end(version === undefined ? undefined : encodeRefusal(problem, version));
  }

  #send(packet: Buffer): void {
    this.channel.write(packet);
    // The acknowledging side of the protocol is bounded by windows; QoS 0 only by this.
    if (this.channel.unsentBytes > limits.mqttUnsentBytesMax) {
      queueMicrotask(() => this.end("mqtt-client-slow"));
    }
  }

  #disconnect(packet: Disconnect): void {
    const session = this.session as Session;
    const expiryS = packet.properties.sessionExpiryInterval;
    if (expiryS !== undefined) {
      if (this.#expiryFixed && expiryS !== 0) {
        throw protocolError("a session expiry that was 0 is raised"); // [MQTT-3.14.2-2]
      }
      session.expiryS = Math.min(expiryS, this.#parts.role.settings.sessionExpiryMaxS);
    }
    if (packet.reason !== 0x04) this.#will = undefined; // [MQTT-3.14.4-3]
    this.channel.end();
    this.#left();
  }

  /** Ends the connection for whatever was thrown while a packet of it was looked at. */
  fail(error: unknown): void {
    const problem = problemOf(error);
    if (problem.code === "internal-fault")
      diagnostics.error({ fault: faultOf(error) }, "MQTT door");
    if (this.#phase === "stranger" || this.#phase === "identifying") {
      this.#refuse(problem.code, this.#phase === "identifying" ? this.version : undefined);
    } else {
      this.end(problem.code);
    }
  }

  #closed(): void {
    this.#left();
    this.#parts.onClosed(this);
  }

  /** The connection is over; the will is due unless it was taken back. */
  #left(silentMs = 0): void {
    if (this.#phase === "closed") return;
    const session = this.session;
    this.#phase = "closed";
    if (!session || session.live !== this) return;
    this.#parts.role.left?.(this, silentMs);
    const will = this.#will;
    this.#will = undefined;
    if (will) {
      const delayMs = (will.properties.willDelayInterval ?? 0) * 1000;
      session.will = { message: will, atMs: this.#parts.clock.monotonicMs() + delayMs };
    }
    this.#parts.sessions.leave(session);
  }
}

/** Where an unknown error arose, without its message, which may hold a value. */
function faultOf(error: unknown): string[] {
  if (!(error instanceof Error)) return [typeof error];
  const places = (error.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
  return [error.name, ...places.slice(0, 6)];
}
