/**
 * One whole MQTT control packet from a client, parsed strictly: untrusted bytes to a typed packet.
 * Written here because mqtt-packet's parser takes what the standard forbids: ill-formed UTF-8, packet
 * id 0, repeated or foreign properties, bytes after the end. Its reading of valid packets is our twin test.
 */
import { limits } from "../../limits.ts";
import { Problem } from "../../problems.ts";
import type { Frame } from "./framing.ts";
import {
  type Acknowledgement,
  type Authenticate,
  type Connect,
  type Disconnect,
  type Incoming,
  type Properties,
  type Publish,
  type QoS,
  type Subscribe,
  type SubscriptionRequest,
  TYPE,
  type Unsubscribe,
  type Version,
  type WillMessage,
} from "./packets.ts";
import { readProperties, WILL } from "./properties.ts";
import { ByteReader, malformed, protocolError } from "./reader.ts";

const noProperties: Properties = Object.freeze({});
const ping = Object.freeze({ type: TYPE.pingreq });

/** The first packet of a connection, which must be a CONNECT [MQTT-3.1.0-1].
 * @throws Problem "mqtt-version-unsupported", "mqtt-packet-malformed", "mqtt-protocol-error". */
export function parseConnect(frame: Frame): Connect {
  if (frame.head !== TYPE.connect << 4) {
    if (frame.head >> 4 !== TYPE.connect) throw protocolError("the first packet is no CONNECT");
    throw malformed("reserved flags are set"); // [MQTT-2.1.3-1]
  }
  const reader = new ByteReader(frame.body);
  const name = reader.utf8();
  const level = reader.uint8();
  if (name !== "MQTT" || (level !== 4 && level !== 5)) {
    throw new Problem("mqtt-version-unsupported"); // [MQTT-3.1.2-1], [MQTT-3.1.2-2]
  }
  const flags = reader.uint8();
  if (flags & 1) throw malformed("the reserved connect flag is set"); // [MQTT-3.1.2-3]
  const keepAliveS = reader.uint16();
  const properties = level === 5 ? readProperties(reader, TYPE.connect) : noProperties;
  if (properties.authenticationData && properties.authenticationMethod === undefined) {
    throw protocolError("authentication data without a method");
  }
  const clientId = reader.utf8();
  const will = readWill(reader, flags, level);
  const hasPassword = (flags & 0x40) !== 0;
  if (level === 4 && hasPassword && (flags & 0x80) === 0) {
    throw malformed("a password without a user name"); // [MQTT-3.1.2-22] of 3.1.1
  }
  const username = flags & 0x80 ? reader.utf8() : undefined;
  const password = hasPassword ? Buffer.from(reader.binary()) : undefined;
  reader.end();
  return {
    type: TYPE.connect,
    version: level,
    cleanStart: (flags & 2) !== 0,
    keepAliveS,
    clientId,
    will,
    username,
    password,
    properties,
  };
}

function readWill(reader: ByteReader, flags: number, version: Version): WillMessage | undefined {
  const qos = (flags >> 3) & 3;
  if (qos === 3) throw malformed("the will's QoS is 3"); // [MQTT-3.1.2-12]
  if ((flags & 4) === 0) {
    if (flags & 0x38) throw malformed("will flags without a will"); // [MQTT-3.1.2-11], [MQTT-3.1.2-13]
    return undefined;
  }
  const properties = version === 5 ? readProperties(reader, WILL) : noProperties;
  const topic = reader.utf8();
  const payload = Buffer.from(reader.binary());
  return { topic, payload, qos: qos as QoS, retain: (flags & 0x20) !== 0, properties };
}

/** A packet after the CONNECT, in the version that it agreed.
 * @throws Problem "mqtt-packet-malformed" or "mqtt-protocol-error"; the connection must then end. */
export function parsePacket(frame: Frame, version: Version): Incoming {
  const type = frame.head >> 4;
  const flags = frame.head & 15;
  if (type === TYPE.publish) return parsePublish(frame, version, flags);
  const expected =
    type === TYPE.pubrel || type === TYPE.subscribe || type === TYPE.unsubscribe ? 2 : 0;
  if (flags !== expected) throw malformed("reserved flags are set"); // [MQTT-2.1.3-1]
  const reader = new ByteReader(frame.body);
  switch (type) {
    case TYPE.puback:
    case TYPE.pubrec:
    case TYPE.pubrel:
    case TYPE.pubcomp:
      return parseAcknowledgement(reader, type, version);
    case TYPE.subscribe:
      return parseSubscribe(reader, version);
    case TYPE.unsubscribe:
      return parseUnsubscribe(reader, version);
    case TYPE.pingreq:
      reader.end();
      return ping;
    case TYPE.disconnect:
      return parseDisconnect(reader, version);
    case TYPE.auth:
      if (version === 5) return parseAuthenticate(reader);
      throw malformed("a packet type that does not exist");
    case TYPE.connect:
      throw protocolError("a second CONNECT"); // [MQTT-3.1.0-2]
    default:
      throw protocolError("a packet that only a server sends");
  }
}

function parsePublish(frame: Frame, version: Version, flags: number): Publish {
  const qos = (flags >> 1) & 3;
  if (qos === 3) throw malformed("the QoS is 3"); // [MQTT-3.3.1-4]
  const duplicate = (flags & 8) !== 0;
  if (qos === 0 && duplicate) throw malformed("a duplicate of QoS 0"); // [MQTT-3.3.1-2]
  const reader = new ByteReader(frame.body);
  const topic = reader.utf8();
  const packetId = qos > 0 ? readPacketId(reader) : 0;
  const properties = version === 5 ? readProperties(reader, TYPE.publish) : noProperties;
  if (properties.subscriptionIdentifiers) {
    throw protocolError("a client names no subscription in a PUBLISH"); // [MQTT-3.3.4-6]
  }
  return {
    type: TYPE.publish,
    topic,
    payload: reader.rest(),
    qos: qos as QoS,
    retain: (flags & 1) !== 0,
    duplicate,
    packetId,
    properties,
  };
}

function readPacketId(reader: ByteReader): number {
  const id = reader.uint16();
  if (id === 0) throw malformed("the packet identifier is 0"); // [MQTT-2.2.1-3]
  return id;
}

/** Reasons a client may give (MQTT 5 Tables 3-4 to 3-7). */
const positiveReasons = new Set([0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]);
const releaseReasons = new Set([0, 0x92]);

function parseAcknowledgement(
  reader: ByteReader,
  type: Acknowledgement["type"],
  version: Version,
): Acknowledgement {
  const packetId = readPacketId(reader);
  let reason = 0;
  if (version === 5 && reader.left > 0) {
    reason = reader.uint8();
    const allowed = type === TYPE.puback || type === TYPE.pubrec ? positiveReasons : releaseReasons;
    if (!allowed.has(reason)) throw malformed("an unknown reason code");
    if (reader.left > 0) readProperties(reader, type);
  }
  reader.end();
  return { type, packetId, reason };
}

function parseSubscribe(reader: ByteReader, version: Version): Subscribe {
  const packetId = readPacketId(reader);
  const properties = version === 5 ? readProperties(reader, TYPE.subscribe) : noProperties;
  const requests: SubscriptionRequest[] = [];
  while (reader.left > 0) {
    const filter = reader.utf8();
    const options = reader.uint8();
    const retainHandling = (options >> 4) & 3;
    if (options & (version === 5 ? 0xc0 : 0xfc) || (options & 3) === 3) {
      throw malformed("reserved subscription options are set"); // [MQTT-3.8.3-5]
    }
    if (retainHandling === 3) throw protocolError("a retain handling that does not exist");
    requests.push({
      filter,
      qos: (options & 3) as QoS,
      noLocal: (options & 4) !== 0,
      retainAsPublished: (options & 8) !== 0,
      retainHandling: retainHandling as 0 | 1 | 2,
    });
    if (requests.length > limits.mqttFiltersMax) throw protocolError("too many topic filters");
  }
  if (requests.length === 0) throw protocolError("no topic filter"); // [MQTT-3.8.3-2]
  return { type: TYPE.subscribe, packetId, requests, properties };
}

function parseUnsubscribe(reader: ByteReader, version: Version): Unsubscribe {
  const packetId = readPacketId(reader);
  if (version === 5) readProperties(reader, TYPE.unsubscribe);
  const filters: string[] = [];
  while (reader.left > 0) {
    filters.push(reader.utf8());
    if (filters.length > limits.mqttFiltersMax) throw protocolError("too many topic filters");
  }
  if (filters.length === 0) throw protocolError("no topic filter"); // [MQTT-3.10.3-2]
  return { type: TYPE.unsubscribe, packetId, filters };
}

/** Reasons a client may give in a DISCONNECT (MQTT 5 Table 3-10). */
const leavingReasons = new Set([
  0, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
]);

function parseDisconnect(reader: ByteReader, version: Version): Disconnect {
  let reason = 0;
  let properties = noProperties;
  if (version === 5 && reader.left > 0) {
    reason = reader.uint8();
    if (!leavingReasons.has(reason)) throw malformed("an unknown reason code");
    if (reader.left > 0) properties = readProperties(reader, TYPE.disconnect);
    if (properties.serverReference !== undefined) {
      throw protocolError("a client names no other server");
    }
  }
  reader.end();
  return { type: TYPE.disconnect, reason, properties };
}

function parseAuthenticate(reader: ByteReader): Authenticate {
  let reason = 0;
  let properties = noProperties;
  if (reader.left > 0) {
    reason = reader.uint8();
    if (reason !== 0 && reason !== 0x18 && reason !== 0x19) {
      throw malformed("an unknown reason code"); // [MQTT-3.15.2-1]
    }
    if (reader.left > 0) properties = readProperties(reader, TYPE.auth);
  }
  reader.end();
  return { type: TYPE.auth, reason, properties };
}
