/** Packets as this endpoint sends them. Rare ones by mqtt-packet; the two of the hot path by hand. */
import { generate, type IConnackPacket, type Packet } from "mqtt-packet";
import { type Properties, type QoS, TYPE, type Version } from "./packets.ts";

/** CONNACK. @param code a reason code (MQTT 5) or a return code (3.1.1). */
export function encodeConnack(
  version: Version,
  code: number,
  sessionPresent: boolean,
  properties: NonNullable<IConnackPacket["properties"]> = {},
): Buffer {
  if (version === 4) {
    return generate({ cmd: "connack", returnCode: code, sessionPresent }, { protocolVersion: 4 });
  }
  const packet: Packet = { cmd: "connack", reasonCode: code, sessionPresent, properties };
  return generate(packet, { protocolVersion: 5 });
}

/** SUBACK or UNSUBACK; an UNSUBACK of 3.1.1 carries no reasons. */
export function encodeGrants(
  type: "suback" | "unsuback",
  version: Version,
  messageId: number,
  granted: number[],
): Buffer {
  return generate({ cmd: type, messageId, granted }, { protocolVersion: version });
}

/** DISCONNECT of MQTT 5; a server of 3.1.1 closes without a word. */
export function encodeDisconnect(reasonCode: number, reasonString?: string): Buffer {
  const properties = reasonString === undefined ? {} : { reasonString };
  return generate({ cmd: "disconnect", reasonCode, properties }, { protocolVersion: 5 });
}

export const pingResponse = Buffer.from([TYPE.pingresp << 4, 0]);

/** PUBACK, PUBREC, PUBREL or PUBCOMP; the reason is left out when it is success (MQTT 5 §3.4.2.1). */
export function encodeAcknowledgement(
  type: 4 | 5 | 6 | 7,
  version: Version,
  packetId: number,
  reason = 0,
): Buffer {
  const head = (type << 4) | (type === TYPE.pubrel ? 2 : 0);
  if (version === 4 || reason === 0) {
    return Buffer.from([head, 2, packetId >> 8, packetId & 0xff]);
  }
  return Buffer.from([head, 3, packetId >> 8, packetId & 0xff, reason]);
}

export interface OutgoingPublish {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly duplicate: boolean;
  readonly packetId: number;
  readonly properties: Properties;
}

/** PUBLISH. Written here because mqtt-packet groups user properties by name and so loses their order. */
export function encodePublish(version: Version, publish: OutgoingPublish): Buffer {
  const topic = Buffer.from(publish.topic);
  const properties = version === 5 ? encodeProperties(publish.properties) : undefined;
  const length =
    2 +
    topic.length +
    (publish.qos > 0 ? 2 : 0) +
    (properties === undefined ? 0 : varintBytes(properties.length) + properties.length) +
    publish.payload.length;
  const out = Buffer.allocUnsafe(1 + varintBytes(length) + length);
  out[0] =
    (TYPE.publish << 4) |
    (publish.duplicate ? 8 : 0) |
    (publish.qos << 1) |
    (publish.retain ? 1 : 0);
  let at = writeVarint(out, 1, length);
  at = out.writeUInt16BE(topic.length, at);
  at += topic.copy(out, at);
  if (publish.qos > 0) at = out.writeUInt16BE(publish.packetId, at);
  if (properties !== undefined) {
    at = writeVarint(out, at, properties.length);
    at += properties.copy(out, at);
  }
  out.set(publish.payload, at);
  return out;
}

function varintBytes(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  return value < 0x200000 ? 3 : 4;
}

function writeVarint(out: Buffer, at: number, value: number): number {
  let left = value;
  let next = at;
  while (left >= 0x80) {
    out[next++] = (left & 0x7f) | 0x80;
    left >>>= 7;
  }
  out[next++] = left;
  return next;
}

const empty = Buffer.alloc(0);

/** The properties that a PUBLISH may carry (Table 2-4), user properties in their order. */
function encodeProperties(properties: Properties): Buffer {
  const parts: Buffer[] = [];
  if (properties.payloadFormatIndicator !== undefined) {
    parts.push(Buffer.from([1, properties.payloadFormatIndicator]));
  }
  if (properties.messageExpiryInterval !== undefined) {
    parts.push(uint32Property(2, properties.messageExpiryInterval));
  }
  if (properties.contentType !== undefined) parts.push(text(3, properties.contentType));
  if (properties.responseTopic !== undefined) parts.push(text(8, properties.responseTopic));
  if (properties.correlationData !== undefined) {
    parts.push(Buffer.from([9]), sized(properties.correlationData));
  }
  for (const id of properties.subscriptionIdentifiers ?? []) {
    const part = Buffer.allocUnsafe(1 + varintBytes(id));
    part[0] = 11;
    writeVarint(part, 1, id);
    parts.push(part);
  }
  if (properties.topicAlias !== undefined) {
    parts.push(Buffer.from([35, properties.topicAlias >> 8, properties.topicAlias & 0xff]));
  }
  for (const [name, value] of properties.userProperties ?? []) {
    parts.push(text(38, name), sized(Buffer.from(value)));
  }
  return parts.length === 0 ? empty : Buffer.concat(parts);
}

function uint32Property(id: number, value: number): Buffer {
  const part = Buffer.allocUnsafe(5);
  part[0] = id;
  part.writeUInt32BE(value, 1);
  return part;
}

function text(id: number, value: string): Buffer {
  return Buffer.concat([Buffer.from([id]), sized(Buffer.from(value))]);
}

function sized(bytes: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(2 + bytes.length);
  out.writeUInt16BE(bytes.length, 0);
  out.set(bytes, 2);
  return out;
}
