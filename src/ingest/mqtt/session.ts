/** What the endpoint remembers of a client beyond one connection (MQTT 5 §4.1). */
import type { ProblemCode } from "../../problems.ts";
import type { Outbox } from "./outbox.ts";
import type { QoS, WillMessage } from "./packets.ts";

export interface Subscription {
  readonly filter: string;
  readonly levels: readonly string[];
  /** Name of the share, for a shared subscription. */
  readonly share: string | undefined;
  readonly qos: QoS;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  /** Subscription Identifier, if one was given. */
  readonly identifier: number | undefined;
}

/** The connection that a session has at the moment. */
export interface LiveConnection {
  end(problem: ProblemCode): void;
}

export interface Session {
  /** Device id at the device door; client id in the conformance listener. */
  readonly key: string;
  readonly outbox: Outbox;
  /** By the filter as it was asked for. */
  readonly subscriptions: Map<string, Subscription>;
  /** QoS 2 packet ids between PUBLISH and PUBREL, each with its verdict: exactly once across reconnects. */
  readonly received: Map<number, Promise<ProblemCode | undefined>>;
  live: LiveConnection | undefined;
  /** Seconds that it outlives its connection; 0xFFFFFFFF: for ever (bounded by sessionsMax). */
  expiryS: number;
  /** Monotonic; set while there is no connection. */
  endsAtMs: number | undefined;
  will: { readonly message: WillMessage; readonly atMs: number } | undefined;
}

export const neverExpires = 0xffff_ffff;
