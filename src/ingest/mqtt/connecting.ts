/** The first exchange: what a CONNECT asks, why it may be refused, what CONNACK announces. */
import type { IConnackPacket } from "mqtt-packet";
import type { ProblemCode } from "../../problems.ts";
import { problemOf } from "./channel.ts";
import { parseConnect } from "./decode.ts";
import { encodeConnack } from "./encode.ts";
import type { Frame } from "./framing.ts";
import { type Connect, TYPE, type Version } from "./packets.ts";
import { reasonOf, returnCodeOf } from "./reasons.ts";
import type { Identity, Settings } from "./role.ts";
import { isTopicName } from "./topics.ts";

/** @property version in which the refusal can be said; undefined: close without a word. */
export type Greeting =
  | { readonly connect: Connect }
  | { readonly refusal: ProblemCode; readonly version: Version | undefined };

/** Reads the first packet; a broken one is a refusal, in the version that it announced if it did. */
export function parseGreeting(frame: Frame): Greeting {
  try {
    return { connect: parseConnect(frame) };
  } catch (error) {
    const refusal = problemOf(error).code;
    return { refusal, version: versionFor(refusal, frame) };
  }
}

function versionFor(refusal: ProblemCode, frame: Frame): Version | undefined {
  if (frame.head >> 4 !== TYPE.connect) return undefined;
  const name = frame.body.toString("latin1", 0, 6);
  const level = frame.body[6];
  if (refusal === "mqtt-version-unsupported") {
    if (name === "\0\x06MQIs") return 4;
    if (name !== "\0\x04MQTT" || level === undefined) return undefined; // [MQTT-3.1.2-1]: may just close
    return level > 5 ? 5 : 4; // [MQTT-3.1.2-2]
  }
  return name === "\0\x04MQTT" && level === 5 ? 5 : undefined;
}

/** What can be refused before asking who it is. */
export function refuseConnect(connect: Connect, settings: Settings): ProblemCode | undefined {
  if (connect.properties.authenticationMethod !== undefined) {
    return "mqtt-authentication-method-refused"; // [MQTT-4.12.0-1]
  }
  if (connect.version === 4 && connect.clientId === "" && !connect.cleanStart) {
    return "mqtt-client-id-refused"; // [MQTT-3.1.3-8] of 3.1.1
  }
  if (connect.will) {
    if (!isTopicName(connect.will.topic)) return "mqtt-topic-invalid";
    if (connect.will.retain && !settings.retain) return "mqtt-retain-refused"; // [MQTT-3.2.2-13]
  }
  return undefined;
}

/** CONNACK of a refusal; undefined where 3.1.1 has no code for it and only closes. */
export function encodeRefusal(problem: ProblemCode, version: Version): Buffer | undefined {
  const code = version === 5 ? reasonOf(problem) : returnCodeOf(problem);
  return code === undefined ? undefined : encodeConnack(version, code, false);
}

export interface Announced {
  /** Seconds that bind this connection; 0: none. */
  readonly keepAliveS: number;
  readonly properties: NonNullable<IConnackPacket["properties"]>;
}

/** The limits of this endpoint as CONNACK says them (MQTT 5 §3.2.2.3). */
export function announcements(
  connect: Connect,
  identity: Identity,
  settings: Settings,
  expiryS: number,
): Announced {
  const askedS = connect.keepAliveS;
  // 3.1.1 cannot be told of a server's own keep-alive, so what the client asked binds.
  if (connect.version === 4) return { keepAliveS: askedS, properties: {} };
  const mostS = settings.keepAliveMaxS;
  const cappedS = mostS > 0 && (askedS === 0 || askedS > mostS) ? mostS : askedS;
  const keepAliveS = settings.serverKeepAliveS ?? cappedS;
  const properties: Announced["properties"] = {
    receiveMaximum: settings.receiveMaximum,
    maximumPacketSize: settings.packetBytesMax,
    topicAliasMaximum: settings.topicAliasMaximum,
  };
  if (keepAliveS !== askedS) properties.serverKeepAlive = keepAliveS; // [MQTT-3.1.2-21]
  if (expiryS !== (connect.properties.sessionExpiryInterval ?? 0)) {
    properties.sessionExpiryInterval = expiryS;
  }
  if (identity.assignedClientId !== undefined) {
    properties.assignedClientIdentifier = identity.assignedClientId; // [MQTT-3.1.3-7]
  }
  if (!settings.retain) properties.retainAvailable = false;
  if (!settings.wildcards) properties.wildcardSubscriptionAvailable = false;
  if (!settings.sharedSubscriptions) properties.sharedSubscriptionAvailable = false;
  return { keepAliveS, properties };
}
