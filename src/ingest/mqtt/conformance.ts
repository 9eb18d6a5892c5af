/**
 * The conformance listener: the device door's own protocol code with everybody let in, so that public MQTT
 * suites can judge it. Loopback only, off unless asked for, and never beside patient data.
 */
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { TLSSocket, type TlsOptions } from "node:tls";
import type { Clock } from "../../clock.ts";
import { diagnostics } from "../../diagnostics.ts";
import { limits } from "../../limits.ts";
import { Problem, type ProblemCode } from "../../problems.ts";
import type { Client } from "./client.ts";
import { ConformanceTable, TABLE_FILE } from "./conformance-table.ts";
import { Listener } from "./listener.ts";
import type { OutgoingMessage } from "./outbox.ts";
import type {
  Connect,
  Properties,
  Publish,
  QoS,
  SubscriptionRequest,
  WillMessage,
} from "./packets.ts";
import { Retained } from "./retained.ts";
import type { Decided, Identity, Role, Settings } from "./role.ts";
import type { Session, Subscription } from "./session.ts";
import { levelsOf, matches } from "./topics.ts";

/** The one filter that public suites expect to be refused. */
export const REFUSED_FILTER = "test/nosubscribe";

export interface ConformanceOptions {
  readonly dataDir: string;
  readonly clock: Clock;
  readonly tls?: TlsOptions | undefined;
  readonly settings?: Partial<Settings>;
}

export const conformanceSettings: Settings = {
  receiveMaximum: 100,
  topicAliasMaximum: 10,
  packetBytesMax: limits.conformancePacketBytesMax,
  connectBytesMax: limits.conformancePacketBytesMax,
  serverKeepAliveS: undefined,
  keepAliveMaxS: 0,
  sessionExpiryMaxS: 0xffff_ffff,
  connectTimeoutMs: limits.doorConnectTimeoutMs,
  packetTimeoutMs: limits.doorPacketTimeoutMs,
  connectionsMax: limits.conformanceSessionsMax,
  strangersMax: limits.doorStrangersMax,
  sessionsMax: limits.conformanceSessionsMax,
  subscriptionsMax: limits.conformanceSubscriptionsMax,
  queueMax: limits.conformanceQueueMax,
  retain: true,
  wildcards: true,
  sharedSubscriptions: true,
};

class ConformanceRole implements Role {
  readonly settings: Settings;
  readonly #o: ConformanceOptions;
  readonly #table: ConformanceTable;
  readonly #retained: Retained;
  readonly #turns = new Map<string, number>();
  sessions: () => Iterable<Session> = () => [];

  constructor(o: ConformanceOptions, table: ConformanceTable) {
    this.#o = o;
    this.#table = table;
    this.settings = { ...conformanceSettings, ...o.settings };
    this.#retained = new Retained(() => o.clock.monotonicMs());
  }

  identify(socket: Socket, connect: Connect): Identity | ProblemCode {
    const asksCertificate = this.#o.tls?.ca !== undefined;
    if (asksCertificate && socket instanceof TLSSocket && !socket.authorized) {
      return socket.getPeerX509Certificate()
        ? "client-certificate-untrusted"
        : "client-certificate-required";
    }
    if (connect.clientId !== "") return { key: connect.clientId };
    const assignedClientId = `vitalward-${this.#o.clock.uuid()}`;
    return { key: assignedClientId, assignedClientId };
  }

  pace(): number {
    return 0;
  }

  mayPublish(): ProblemCode | undefined {
    return undefined;
  }

  maySubscribe(_client: Client, request: SubscriptionRequest): ProblemCode | undefined {
    return request.filter === REFUSED_FILTER ? "forbidden" : undefined;
  }

  accept(client: Client, publish: Publish, decided: Decided): void {
    // A copy: queued and retained messages must not pin the socket's read buffers.
    const payload = Buffer.from(publish.payload);
    const { topic, qos, retain, properties } = publish;
    const message = this.#outgoing({ topic, payload, qos, retain, properties });
    const publisher = client.identity?.key ?? "";
    this.#table
      .keep(message, () => this.#route(message, publisher))
      .then(decided, (fault) => decided(undefined, fault));
  }

  publishWill(session: Session, will: WillMessage): void {
    const message = this.#outgoing(will);
    this.#table
      .keep(message, () => this.#route(message, session.key))
      .then((problem) => {
        if (problem) this.refused(problem);
      });
  }

  #outgoing(o: WillMessage): OutgoingMessage {
    const { messageExpiryInterval: expiryS, topicAlias, willDelayInterval, ...rest } = o.properties;
    const properties: Properties = rest;
    const expiresAtMs =
      expiryS === undefined ? undefined : this.#o.clock.monotonicMs() + expiryS * 1000;
    const { topic, payload, qos, retain } = o;
    return { topic, payload, qos, retain, properties, expiresAtMs };
  }

  #route(message: OutgoingMessage, publisher: string): void {
    if (message.retain && !this.#retained.set(message)) this.refused("rate-limited");
    const topic = levelsOf(message.topic);
    const shares = new Map<string, { session: Session; subscription: Subscription }[]>();
    for (const session of this.sessions()) {
      const matching: Subscription[] = [];
      for (const subscription of session.subscriptions.values()) {
        if (subscription.noLocal && session.key === publisher) continue; // [MQTT-3.8.3-3]
        if (!matches(subscription.levels, topic)) continue;
        if (subscription.share === undefined) matching.push(subscription);
        else {
          const members = shares.get(subscription.filter) ?? [];
          members.push({ session, subscription });
          shares.set(subscription.filter, members);
        }
      }
      if (matching.length > 0) this.#deliver(session, message, matching);
    }
    for (const [filter, members] of shares) {
      const next = this.#nextOf(filter, members);
      if (next) this.#deliver(next.session, message, [next.subscription]);
    }
  }

  /** Members of a share take turns; those connected first (MQTT 5 §4.8.2). */
  #nextOf<T extends { session: Session }>(filter: string, members: readonly T[]): T | undefined {
    const live = members.filter((member) => member.session.live);
    const among = live.length > 0 ? live : members;
    const turn = this.#turns.get(filter) ?? 0;
    if (this.#turns.size > limits.conformanceSessionsMax) this.#turns.clear();
    this.#turns.set(filter, turn + 1);
    return among[turn % among.length];
  }

  /** One message for a client, however many of its filters match, at the highest QoS granted
   * [MQTT-3.3.4-2], with the identifiers of all of them [MQTT-3.3.4-3], [MQTT-3.3.4-4]. */
  #deliver(session: Session, message: OutgoingMessage, matching: readonly Subscription[]): void {
    const granted = Math.max(...matching.map((one) => one.qos));
    const qos = Math.min(message.qos, granted) as QoS;
    const retain = message.retain && matching.some((one) => one.retainAsPublished); // [MQTT-3.3.1-12]
    this.#offer(session, { ...message, qos, retain, properties: withIds(message, matching) });
  }

  subscribed(client: Client, subscription: Subscription, handling: number, isNew: boolean): void {
    // [MQTT-3.3.1-9] to [MQTT-3.3.1-11]; never for a shared subscription (§4.8.2).
    const wanted = handling === 0 || (handling === 1 && isNew);
    if (!wanted || subscription.share !== undefined || !client.session) return;
    for (const message of this.#retained.matching(subscription.levels)) {
      const qos = Math.min(message.qos, subscription.qos) as QoS;
      const properties = withIds(message, [subscription]);
      this.#offer(client.session, { ...message, qos, retain: true, properties }); // [MQTT-3.3.1-8]
    }
  }

  #offer(session: Session, message: OutgoingMessage): void {
    if (!session.outbox.offer(message)) this.refused("mqtt-client-slow");
  }

  refused(problem: ProblemCode): void {
    diagnostics.debug({ problem }, "conformance listener refused");
  }
}

function withIds(message: OutgoingMessage, matching: readonly Subscription[]): Properties {
  const ids = matching.flatMap((one) => (one.identifier === undefined ? [] : [one.identifier]));
  return ids.length === 0
    ? message.properties
    : { ...message.properties, subscriptionIdentifiers: ids };
}

export interface ConformanceListener {
  listen(port: number): Promise<number>;
  close(): Promise<void>;
}

/** Names in a data folder that belong to the platform; beside them there may be patient data. */
const platformNames = ["keystore", "keystore.sqlite", "postgres", "platform.lock", "ports.json"];

/** @throws Problem "conformance-beside-patients" if the folder holds anything of the platform's. */
export function createConformanceListener(o: ConformanceOptions): ConformanceListener {
  if (existsSync(o.dataDir)) {
    const names = readdirSync(o.dataDir);
    if (platformNames.some((name) => names.includes(name))) {
      throw new Problem("conformance-beside-patients");
    }
  }
  mkdirSync(o.dataDir, { recursive: true, mode: 0o700 });
  const table = new ConformanceTable(join(o.dataDir, TABLE_FILE));
  const role = new ConformanceRole(o, table);
  const listener = new Listener({ role, clock: o.clock, tls: o.tls });
  role.sessions = () => listener.sessions.all();
  return {
    listen: (port) => listener.listen(port, "127.0.0.1"),
    async close() {
      await listener.close();
      table.close();
    },
  };
}
