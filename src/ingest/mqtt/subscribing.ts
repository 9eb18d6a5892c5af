/** What a client asks to hear, and what it is granted. */
import type { ProblemCode } from "../../problems.ts";
import type { Client } from "./client.ts";
import { encodeGrants } from "./encode.ts";
import type { Subscribe, SubscriptionRequest, Unsubscribe } from "./packets.ts";
import { protocolError } from "./reader.ts";
import { REASON, subscribeReasonOf } from "./reasons.ts";
import type { Role } from "./role.ts";
import type { Session, Subscription } from "./session.ts";
import { isTopicFilter, levelsOf, parseShared, type SharedFilter } from "./topics.ts";

/** SUBSCRIBE: one answer for each filter, in order [MQTT-3.8.4-6]; retained messages follow the SUBACK. */
export function subscribe(client: Client, role: Role, packet: Subscribe): void {
  const session = client.session as Session;
  const identifier = packet.properties.subscriptionIdentifiers?.[0];
  const after: (() => void)[] = [];
  const granted = packet.requests.map((request) => {
    const shared = isTopicFilter(request.filter) ? parseShared(request.filter) : undefined;
    const isNew = !session.subscriptions.has(request.filter);
    const refusal = refusalOf(client, role, request, shared, session, isNew);
    if (refusal || !shared) {
      const problem = refusal ?? "mqtt-topic-invalid";
      role.refused(problem, client.identity?.deviceId);
      return client.version === 4 ? REASON.unspecified : subscribeReasonOf(problem);
    }
    const subscription: Subscription = {
      filter: request.filter,
      levels: levelsOf(shared.filter),
      share: shared.share,
      qos: request.qos,
      noLocal: request.noLocal,
      retainAsPublished: request.retainAsPublished,
      identifier,
    };
    session.subscriptions.set(request.filter, subscription); // replaces an equal one [MQTT-3.8.4-3]
    after.push(() => role.subscribed(client, subscription, request.retainHandling, isNew));
    return request.qos;
  });
  client.channel.write(encodeGrants("suback", client.version, packet.packetId, granted));
  for (const step of after) step();
}

function refusalOf(
  client: Client,
  role: Role,
  request: SubscriptionRequest,
  shared: SharedFilter | undefined,
  session: Session,
  isNew: boolean,
): ProblemCode | undefined {
  if (!shared) return "mqtt-topic-invalid";
  if (shared.share !== undefined) {
    if (request.noLocal) throw protocolError("no local on a shared subscription"); // [MQTT-3.8.3-4]
    if (!role.settings.sharedSubscriptions) return "mqtt-shared-subscription-refused";
  }
  const refusal = role.maySubscribe(client, request);
  if (refusal) return refusal;
  if (isNew && session.subscriptions.size >= role.settings.subscriptionsMax) return "rate-limited";
  return undefined;
}

/** UNSUBSCRIBE: what is already on its way is still finished [MQTT-3.10.4-3]. */
export function unsubscribe(client: Client, packet: Unsubscribe): void {
  const session = client.session as Session;
  const granted = packet.filters.map((filter) => {
    if (client.version === 5 && !isTopicFilter(filter)) return 0x8f;
    return session.subscriptions.delete(filter) ? REASON.success : REASON.noSubscriptionExisted;
  });
  client.channel.write(encodeGrants("unsuback", client.version, packet.packetId, granted));
}
