/** What an MQTT client may send, as this endpoint understands it. Sources: MQTT 3.1.1 and 5.0 (OASIS). */

export type QoS = 0 | 1 | 2;
/** Protocol level byte of CONNECT: 4 is MQTT 3.1.1, 5 is MQTT 5. */
export type Version = 4 | 5;

/** MQTT control packet types (MQTT 5 Table 2-1). */
export const TYPE = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
  auth: 15,
} as const;

/** Properties as received, in wire order where order binds (user properties, [MQTT-3.3.2-18]). */
export interface Properties {
  payloadFormatIndicator?: number;
  messageExpiryInterval?: number;
  contentType?: string;
  responseTopic?: string;
  correlationData?: Uint8Array;
  subscriptionIdentifiers?: number[];
  sessionExpiryInterval?: number;
  assignedClientIdentifier?: string;
  serverKeepAlive?: number;
  authenticationMethod?: string;
  authenticationData?: Uint8Array;
  requestProblemInformation?: number;
  willDelayInterval?: number;
  requestResponseInformation?: number;
  responseInformation?: string;
  serverReference?: string;
  reasonString?: string;
  receiveMaximum?: number;
  topicAliasMaximum?: number;
  topicAlias?: number;
  maximumQoS?: number;
  retainAvailable?: number;
  userProperties?: [string, string][];
  maximumPacketSize?: number;
  wildcardSubscriptionAvailable?: number;
  subscriptionIdentifierAvailable?: number;
  sharedSubscriptionAvailable?: number;
}

export interface WillMessage {
  topic: string;
  payload: Uint8Array;
  qos: QoS;
  retain: boolean;
  properties: Properties;
}

export interface Connect {
  type: typeof TYPE.connect;
  version: Version;
  cleanStart: boolean;
  keepAliveS: number;
  clientId: string;
  will: WillMessage | undefined;
  username: string | undefined;
  password: Uint8Array | undefined;
  properties: Properties;
}

export interface Publish {
  type: typeof TYPE.publish;
  topic: string;
  payload: Uint8Array;
  qos: QoS;
  retain: boolean;
  duplicate: boolean;
  /** 0 when the QoS is 0. */
  packetId: number;
  properties: Properties;
}

export interface Acknowledgement {
  type: typeof TYPE.puback | typeof TYPE.pubrec | typeof TYPE.pubrel | typeof TYPE.pubcomp;
  packetId: number;
  reason: number;
}

export interface SubscriptionRequest {
  filter: string;
  qos: QoS;
  noLocal: boolean;
  retainAsPublished: boolean;
  /** 0 always, 1 only if new, 2 never (MQTT 5 §3.8.3.1). */
  retainHandling: 0 | 1 | 2;
}

export interface Subscribe {
  type: typeof TYPE.subscribe;
  packetId: number;
  requests: SubscriptionRequest[];
  properties: Properties;
}

export interface Unsubscribe {
  type: typeof TYPE.unsubscribe;
  packetId: number;
  filters: string[];
}

export interface Disconnect {
  type: typeof TYPE.disconnect;
  reason: number;
  properties: Properties;
}

export interface Authenticate {
  type: typeof TYPE.auth;
  reason: number;
  properties: Properties;
}

export interface Ping {
  type: typeof TYPE.pingreq;
}

export type Incoming =
  | Connect
  | Publish
  | Acknowledgement
  | Subscribe
  | Unsubscribe
  | Disconnect
  | Authenticate
  | Ping;
