/** What a device needs of a road to the platform. The same sealed payload goes over all of them. */

export interface TransportEvents {
  /** Bytes from the platform: a CBOR sequence. */
  downlink(bytes: Uint8Array): void;
  /** The connection ended, whoever ended it; once. */
  closed(): void;
}

export interface Connection {
  /** Hands over one payload.
   * @returns true when the door judged it, false when it said "not now". Neither frees the spool:
   * only a receipt does. @throws Error when the connection is gone. */
  send(payload: Uint8Array): Promise<boolean>;
  close(): Promise<void>;
}

export interface Transport {
  /** @throws Error when the platform cannot be reached, or does not prove who it is. */
  connect(events: TransportEvents): Promise<Connection>;
}

/** What both roads take from the identity. */
export interface TransportIdentity {
  deviceId: string;
  keyPem: string;
  certificatePem: string;
  caPem: string;
}
