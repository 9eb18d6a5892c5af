/**
 * The MQTT door for devices: one topic up, one topic down, both named after the device of the certificate.
 * It keeps nothing: no retained messages, no wills, no session beyond the connection. A device's spool and
 * the platform's receipts carry what must survive; PUBACK and PUBREC only follow the durable commit.
 */
import type { Socket } from "node:net";
import type { TLSSocket, TlsOptions } from "node:tls";
import type { Clock } from "../../clock.ts";
import { diagnostics } from "../../diagnostics.ts";
import { limits } from "../../limits.ts";
import type { Presence } from "../../presence.ts";
import type { ProblemCode } from "../../problems.ts";
import { DevicePace } from "../pace.ts";
import { type Authenticate, authenticatePeer } from "../peer.ts";
import { type Admit, type AdmitThen, mayRetry, type Verdict } from "../verdict.ts";
import type { Client } from "./client.ts";
import { Listener } from "./listener.ts";
import type { Connect, Publish, QoS, SubscriptionRequest } from "./packets.ts";
import type { Decided, Identity, Role, Settings } from "./role.ts";
import type { Session } from "./session.ts";

export interface MqttEndpointOptions {
  /** Server certificate, key, and the authority of the device certificates. */
  readonly tls: TlsOptions;
  /** May the holder of this certificate speak now? */
  readonly authenticate: Authenticate;
  readonly admit: Admit;
  /** The same, answered by a call; used instead where it is given. */
  readonly admitThen?: AdmitThen;
  readonly clock: Clock;
  /** Is told who connects, leaves and is heard. */
  readonly presence?: Presence;
  /** Each refusal of the door's own, for counters and security events; admission records its own. */
  readonly onRefusal?: (problem: ProblemCode, deviceId: string | undefined) => void;
  /** Departures from the defaults, for tests and small machines. */
  readonly settings?: Partial<Settings>;
}

export interface MqttEndpoint {
  /** Opens the door. @returns the port in use. */
  listen(port: number, host: string): Promise<number>;
  close(): Promise<void>;
  readonly port: number;
  /** Publishes on `v1/<deviceId>/down`. @returns false if the device is not connected and subscribed. */
  send(deviceId: string, bytes: Uint8Array): boolean;
  /** Ends the device's connection at once, as after a revocation. */
  disconnect(deviceId: string, problem: ProblemCode): void;
  /** Devices connected now. */
  readonly connected: number;
}

export const deviceSettings: Settings = {
  receiveMaximum: limits.mqttReceiveMaximum,
  topicAliasMaximum: 1,
  packetBytesMax: limits.arrivalBytesMax + 1_024,
  connectBytesMax: limits.mqttConnectBytesMax,
  serverKeepAliveS: undefined,
  keepAliveMaxS: limits.mqttKeepAliveMaxS,
  sessionExpiryMaxS: 0,
  connectTimeoutMs: limits.doorConnectTimeoutMs,
  packetTimeoutMs: limits.doorPacketTimeoutMs,
  connectionsMax: limits.doorConnectionsMax,
  strangersMax: limits.doorStrangersMax,
  sessionsMax: limits.doorConnectionsMax,
  subscriptionsMax: 1,
  queueMax: limits.mqttQueueMax,
  retain: false,
  wildcards: false,
  sharedSubscriptions: false,
};

/** Where a device publishes its envelopes. */
export function upTopic(deviceId: string): string {
  return `v1/${deviceId}/up`;
}

/** Whether it is `upTopic(deviceId)`, without making one. */
function isUpTopic(topic: string, deviceId: string): boolean {
  return (
    topic.length === deviceId.length + 6 &&
    topic.startsWith("v1/") &&
    topic.startsWith(deviceId, 3) &&
    topic.endsWith("/up")
  );
}

/** Where a device hears receipts and the platform's half of a session opening. */
export function downTopic(deviceId: string): string {
  return `v1/${deviceId}/down`;
}

class DeviceRole implements Role {
  readonly settings: Settings;
  readonly #o: MqttEndpointOptions;
  readonly #pace: DevicePace;
  /** Set once the listener exists: the sessions by device id. */
  sessionOf: (deviceId: string) => Session | undefined = () => undefined;

  constructor(o: MqttEndpointOptions) {
    this.#o = o;
    this.settings = { ...deviceSettings, ...o.settings };
    this.#pace = new DevicePace(() => o.clock.monotonicMs());
  }

  async identify(socket: Socket, connect: Connect): Promise<Identity | ProblemCode> {
    // Silence is watched by the platform itself; a will could only be an unsealed reading.
    if (connect.will) return "mqtt-will-refused";
    const peer = await authenticatePeer(socket as TLSSocket, this.#o.authenticate);
    if (typeof peer === "string") return peer;
    const assigned = connect.clientId === "" ? { assignedClientId: peer.deviceId } : {};
    return { key: peer.deviceId, ...peer, ...assigned };
  }

  pace(client: Client, bytes: number): number {
    const deviceId = client.identity?.deviceId;
    return deviceId === undefined ? 0 : this.#pace.waitMs(deviceId, bytes);
  }

  mayPublish(client: Client, publish: Publish): ProblemCode | undefined {
    return isUpTopic(publish.topic, client.identity?.deviceId ?? "")
      ? undefined
      : "mqtt-topic-refused";
  }

  maySubscribe(client: Client, request: SubscriptionRequest): ProblemCode | undefined {
    return request.filter === downTopic(client.identity?.deviceId ?? "")
      ? undefined
      : "mqtt-topic-refused";
  }

  /** A permanent refusal is acknowledged: the receipt names it, and it must not block the spool. */
  accept(client: Client, publish: Publish, decided: Decided): void {
    const { deviceId, certificateHash } = client.identity as Required<Identity>;
    const arrival = {
      door: "mqtt",
      deviceId,
      certificateHash,
      bytes: publish.payload,
      receivedMs: this.#o.clock.nowMs(),
    } as const;
    const answered = (verdict: Verdict) => {
      if (verdict.outcome !== "refused") {
        this.#o.presence?.heard(deviceId, arrival.receivedMs);
      }
      for (const bytes of verdict.downlink) this.send(deviceId, bytes);
      const isFinal = verdict.outcome !== "refused" || !mayRetry(verdict.problem);
      decided(isFinal ? undefined : verdict.problem);
    };
    if (this.#o.admitThen) this.#o.admitThen(arrival, answered);
    else this.#o.admit(arrival).then(answered, (fault) => decided(undefined, fault));
  }

  send(deviceId: string, bytes: Uint8Array): boolean {
    const session = this.sessionOf(deviceId);
    const subscription = session?.subscriptions.get(downTopic(deviceId));
    if (!session?.live || !subscription) return false;
    const qos: QoS = subscription.qos === 0 ? 0 : 1;
    const topic = downTopic(deviceId);
    const properties =
      subscription.identifier === undefined
        ? {}
        : { subscriptionIdentifiers: [subscription.identifier] };
    const message = {
      topic,
      payload: bytes,
      qos,
      retain: false,
      properties,
      expiresAtMs: undefined,
    };
    if (session.outbox.offer(message)) return true;
    session.live.end("mqtt-client-slow");
    return false;
  }

  opened(client: Client): void {
    const deviceId = client.identity?.deviceId;
    if (deviceId !== undefined) this.#o.presence?.connected(deviceId, this.#o.clock.nowMs());
  }

  left(client: Client, silentMs: number): void {
    const deviceId = client.identity?.deviceId;
    if (deviceId === undefined) return;
    this.#o.presence?.disconnected(deviceId, Math.round(this.#o.clock.nowMs() - silentMs));
  }

  subscribed(): void {
    // Nothing was kept for it: a device asks for what it misses by sending again.
  }

  publishWill(): void {
    throw new Error("the device door takes no wills");
  }

  refused(problem: ProblemCode, deviceId: string | undefined): void {
    diagnostics.debug({ problem, deviceId }, "MQTT door refused");
    this.#o.onRefusal?.(problem, deviceId);
  }
}

/** Makes the MQTT device door; it takes nobody until `listen`. */
export function createMqttEndpoint(o: MqttEndpointOptions): MqttEndpoint {
  const role = new DeviceRole(o);
  const listener = new Listener({ role, clock: o.clock, tls: o.tls });
  role.sessionOf = (deviceId) => listener.sessions.get(deviceId);
  return {
    listen: (port, host) => listener.listen(port, host),
    close: () => listener.close(),
    get port() {
      return listener.port;
    },
    send: (deviceId, bytes) => role.send(deviceId, bytes),
    disconnect: (deviceId, problem) => listener.sessions.get(deviceId)?.live?.end(problem),
    get connected() {
      return listener.sessions.count;
    },
  };
}
