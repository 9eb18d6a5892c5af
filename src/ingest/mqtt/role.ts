/** What an endpoint does for its clients: the device door and the conformance listener differ only here. */
import type { Socket } from "node:net";
import type { ProblemCode } from "../../problems.ts";
import type { Client } from "./client.ts";
import type { Connect, Publish, SubscriptionRequest, WillMessage } from "./packets.ts";
import type { Session, Subscription } from "./session.ts";

export interface Identity {
  /** One live connection and one session for each key. */
  readonly key: string;
  /** Set when the client sent none and the server chose one [MQTT-3.1.3-6]. */
  readonly assignedClientId?: string;
  /** From the client certificate; at the device door only. */
  readonly deviceId?: string;
  readonly certificateHash?: string;
}

/** What CONNACK announces, and what is held to. */
export interface Settings {
  readonly receiveMaximum: number;
  readonly topicAliasMaximum: number;
  readonly packetBytesMax: number;
  readonly connectBytesMax: number;
  /** Seconds; the client is told to use it [MQTT-3.1.2-21]. undefined: whatever the client asks. */
  readonly serverKeepAliveS: number | undefined;
  /** Seconds; a client that asks for more, or for none, is told this. */
  readonly keepAliveMaxS: number;
  readonly sessionExpiryMaxS: number;
  readonly connectTimeoutMs: number;
  readonly packetTimeoutMs: number;
  readonly connectionsMax: number;
  readonly strangersMax: number;
  readonly sessionsMax: number;
  readonly subscriptionsMax: number;
  readonly queueMax: number;
  readonly retain: boolean;
  readonly wildcards: boolean;
  readonly sharedSubscriptions: boolean;
}

/** Told once what became of a message: kept, not kept (send it again), or a fault. */
export type Decided = (problem: ProblemCode | undefined, fault?: unknown) => void;

export interface Role {
  readonly settings: Settings;
  /** Who is this? A refusal ends the connection in CONNACK. */
  identify(
    socket: Socket,
    connect: Connect,
  ): Promise<Identity | ProblemCode> | Identity | ProblemCode;
  /** Milliseconds to stop reading from this client after so many bytes; 0: go on. */
  pace(client: Client, bytes: number): number;
  mayPublish(client: Client, publish: Publish): ProblemCode | undefined;
  maySubscribe(client: Client, request: SubscriptionRequest): ProblemCode | undefined;
  /** Keeps the message; `decided` is told once it is durable. By a call, not by a promise: there are
   * tens of thousands a second. */
  accept(client: Client, publish: Publish, decided: Decided): void;
  subscribed(
    client: Client,
    subscription: Subscription,
    retainHandling: number,
    isNew: boolean,
  ): void;
  /** The client has its session: it is connected. */
  opened?(client: Client): void;
  /** Its connection is over. @param silentMs for how long nothing had come of one that fell silent; else 0. */
  left?(client: Client, silentMs: number): void;
  /** A will is due. */
  publishWill(session: Session, will: WillMessage): void;
  /** For counters and security events. */
  refused(problem: ProblemCode, deviceId: string | undefined): void;
}
