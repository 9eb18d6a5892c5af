/** MQTT 5 over TLS 1.3 with the device's certificate: the main road. */
import type { TlsOptions } from "node:tls";
import mqtt, { type IClientOptions } from "mqtt";
import type { Connection, Transport, TransportEvents, TransportIdentity } from "./transport.ts";

const CONNECT_TIMEOUT_MS = 15_000;
const KEEP_ALIVE_S = 30;
/** How long an orderly end may take before the connection is cut. */
const END_WITHIN_MS = 2_000;

/** @param url "mqtts://host:port". */
export function mqttTransport(identity: TransportIdentity, url: string): Transport {
  return { connect: (events) => connect(identity, url, events) };
}

async function connect(
  identity: TransportIdentity,
  url: string,
  events: TransportEvents,
): Promise<Connection> {
  // The library hands on to `tls.connect` what it does not know itself.
  const options: IClientOptions & Pick<TlsOptions, "minVersion"> = {
    protocolVersion: 5,
    clientId: identity.deviceId,
    key: identity.keyPem,
    cert: identity.certificatePem,
    ca: identity.caPem,
    minVersion: "TLSv1.3",
    rejectUnauthorized: true,
    clean: true,
    // The device decides when to try again: one back-off for all roads.
    reconnectPeriod: 0,
    connectTimeout: CONNECT_TIMEOUT_MS,
    keepalive: KEEP_ALIVE_S,
    queueQoSZero: false,
  };
  const client = await mqtt.connectAsync(url, options, false);
  let isOpen = true;
  // The library leaves what awaits an answer waiting for ever when the other side ends the connection.
  const waiting = new Set<(reason: Error) => void>();
  const answered = <T>(work: Promise<T>) => {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    waiting.add(reject);
    work.then(resolve, reject).finally(() => waiting.delete(reject));
    return promise;
  };
  const fail = () => {
    for (const reject of waiting) reject(new Error("the connection is gone"));
  };
  client.on("message", (_topic, bytes) => events.downlink(new Uint8Array(bytes)));
  // Each error also closes the connection; without a listener it would end the program.
  client.on("error", () => client.end(true));
  client.on("close", () => {
    fail();
    if (!isOpen) return;
    isOpen = false;
    events.closed();
  });
  await answered(client.subscribeAsync(`v1/${identity.deviceId}/down`, { qos: 1 }));
  return {
    send: async (payload) => {
      if (!isOpen) throw new Error("the connection is gone");
      const up = `v1/${identity.deviceId}/up`;
      try {
        await answered(client.publishAsync(up, Buffer.from(payload), { qos: 1 }));
        return true;
      } catch (error) {
        // A PUBACK with a reason (MQTT 5 §3.4.2.1): judged by receipts, not by this.
        if (error instanceof Error && "code" in error && typeof error.code === "number")
          return false;
        throw error;
      }
    },
    close: async () => {
      isOpen = false;
      const cut = setTimeout(() => client.stream.destroy(), END_WITHIN_MS);
      const isAnswered = waiting.size === 0;
      fail();
      await client.endAsync(!isAnswered);
      clearTimeout(cut);
    },
  };
}
