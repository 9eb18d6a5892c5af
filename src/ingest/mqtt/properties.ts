/** MQTT 5 properties: which packet may carry which (Table 2-4), read strictly, written in order. */
import { limits } from "../../limits.ts";
import { type Properties, TYPE } from "./packets.ts";
import { type ByteReader, malformed, protocolError } from "./reader.ts";

type Form = "byte" | "flag" | "uint16" | "uint32" | "varint" | "string" | "binary" | "pair";
/** Packets by type number; a will's properties are no packet and count as 16. */
export const WILL = 16;

interface PropertyRow {
  readonly name: keyof Properties;
  readonly form: Form;
  readonly packets: readonly number[];
  /** 0 is a protocol error. */
  readonly notZero?: true;
}

const acknowledging = [TYPE.puback, TYPE.pubrec, TYPE.pubrel, TYPE.pubcomp];
const answering = [TYPE.connack, ...acknowledging, TYPE.suback, TYPE.unsuback, TYPE.disconnect];
const everywhere = [TYPE.connect, TYPE.publish, WILL, TYPE.subscribe, TYPE.unsubscribe];
const message = [TYPE.publish, WILL];
const both = [TYPE.connect, TYPE.connack];

/** Table 2-4, by identifier. */
export const PROPERTY_TABLE: Readonly<Record<number, PropertyRow>> = {
  1: { name: "payloadFormatIndicator", form: "flag", packets: message },
  2: { name: "messageExpiryInterval", form: "uint32", packets: message },
  3: { name: "contentType", form: "string", packets: message },
  8: { name: "responseTopic", form: "string", packets: message },
  9: { name: "correlationData", form: "binary", packets: message },
  11: {
    name: "subscriptionIdentifiers",
    form: "varint",
    packets: [TYPE.publish, TYPE.subscribe],
    notZero: true,
  },
  17: { name: "sessionExpiryInterval", form: "uint32", packets: [...both, TYPE.disconnect] },
  18: { name: "assignedClientIdentifier", form: "string", packets: [TYPE.connack] },
  19: { name: "serverKeepAlive", form: "uint16", packets: [TYPE.connack] },
  21: { name: "authenticationMethod", form: "string", packets: [...both, TYPE.auth] },
  22: { name: "authenticationData", form: "binary", packets: [...both, TYPE.auth] },
  23: { name: "requestProblemInformation", form: "flag", packets: [TYPE.connect] },
  24: { name: "willDelayInterval", form: "uint32", packets: [WILL] },
  25: { name: "requestResponseInformation", form: "flag", packets: [TYPE.connect] },
  26: { name: "responseInformation", form: "string", packets: [TYPE.connack] },
  28: { name: "serverReference", form: "string", packets: [TYPE.connack, TYPE.disconnect] },
  31: { name: "reasonString", form: "string", packets: [...answering, TYPE.auth] },
  33: { name: "receiveMaximum", form: "uint16", packets: both, notZero: true },
  34: { name: "topicAliasMaximum", form: "uint16", packets: both },
  35: { name: "topicAlias", form: "uint16", packets: [TYPE.publish] },
  36: { name: "maximumQoS", form: "flag", packets: [TYPE.connack] },
  37: { name: "retainAvailable", form: "flag", packets: [TYPE.connack] },
  38: { name: "userProperties", form: "pair", packets: [...everywhere, ...answering, TYPE.auth] },
  39: { name: "maximumPacketSize", form: "uint32", packets: both, notZero: true },
  40: { name: "wildcardSubscriptionAvailable", form: "flag", packets: [TYPE.connack] },
  41: { name: "subscriptionIdentifierAvailable", form: "flag", packets: [TYPE.connack] },
  42: { name: "sharedSubscriptionAvailable", form: "flag", packets: [TYPE.connack] },
};

const none: Properties = Object.freeze({});

/** Reads the property block of a packet.
 * @param packet its type number, or `WILL`.
 * @throws Problem "mqtt-packet-malformed" for a property that this packet may not carry,
 *   "mqtt-protocol-error" for one given twice or out of range (MQTT 5 §2.2.2.2). */
export function readProperties(reader: ByteReader, packet: number): Properties {
  const length = reader.varint();
  if (length === 0) return none;
  const block = reader.part(length);
  const out: Record<string, unknown> = {};
  while (block.left > 0) {
    const row = PROPERTY_TABLE[block.varint()];
    if (!row?.packets.includes(packet)) {
      throw malformed("a property that this packet may not carry");
    }
    const value = readValue(block, row.form);
    if (row.notZero && value === 0) throw protocolError("a property is 0 and may not be");
    if (row.name === "userProperties") {
      out[row.name] ??= [];
      const pairs = out[row.name] as unknown[];
      if (pairs.push(value) > limits.mqttUserPropertiesMax) {
        throw protocolError("too many user properties");
      }
      continue;
    }
    // Only a server names several subscriptions in one PUBLISH; a client's single one is listed too.
    if (row.name in out) throw protocolError("a property is given twice");
    out[row.name] = row.name === "subscriptionIdentifiers" ? [value] : value;
  }
  return out as Properties;
}

function readValue(block: ByteReader, form: Form): unknown {
  switch (form) {
    case "byte":
      return block.uint8();
    case "flag": {
      const value = block.uint8();
      if (value > 1) throw protocolError("a flag property is neither 0 nor 1");
      return value;
    }
    case "uint16":
      return block.uint16();
    case "uint32":
      return block.uint32();
    case "varint":
      return block.varint();
    case "string":
      return block.utf8();
    case "binary":
      return Buffer.from(block.binary());
    case "pair":
      return [block.utf8(), block.utf8()];
  }
}
