/** HTTPS with the device's certificate: for networks that let nothing else through. */
import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import type { Connection, Transport, TransportEvents, TransportIdentity } from "./transport.ts";

const REQUEST_TIMEOUT_MS = 30_000;
/** How soon answers are fetched after something was sent. */
const FETCH_AFTER_MS = 500;
const ANSWER_BYTES_MAX = 1_048_576;
/** "Send it again later" (docs/envelope.md §11); other refusals are for good, and the receipt names them. */
const NOT_NOW = new Set([409, 429, 500, 502, 503, 504]);

/** @param url "https://host:port". */
export function httpsTransport(identity: TransportIdentity, url: string): Transport {
  return { connect: (events) => connect(identity, url, events) };
}

export interface HttpsAnswer {
  status: number;
  body: Uint8Array;
}

/** One request with the device's certificate. @throws Error when the door cannot be reached. */
export function httpsRequest(
  url: string,
  o: { agent: Agent; method: "GET" | "POST"; body?: Uint8Array; contentType?: string },
): Promise<HttpsAnswer> {
  return new Promise((resolve, reject) => {
    const headers: Record<string, string | number> = {};
    if (o.body !== undefined) {
      headers["content-type"] = o.contentType ?? "application/cbor-seq";
      headers["content-length"] = o.body.length;
    }
    const sent = request(url, { agent: o.agent, method: o.method, headers }, (answer) => {
      readBody(answer, ANSWER_BYTES_MAX).then(
        (body) => resolve({ status: answer.statusCode ?? 0, body: new Uint8Array(body) }),
        reject,
      );
    });
    sent.setTimeout(REQUEST_TIMEOUT_MS, () => sent.destroy(new Error("the door does not answer")));
    sent.on("error", reject);
    sent.end(o.body);
  });
}

/** Connections of one device: TLS 1.3, its certificate shown, the platform's checked. */
export function httpsAgent(identity: TransportIdentity): Agent {
  return new Agent({
    keepAlive: true,
    maxSockets: 2,
    key: identity.keyPem,
    cert: identity.certificatePem,
    ca: identity.caPem,
    minVersion: "TLSv1.3",
  });
}

async function connect(
  identity: TransportIdentity,
  url: string,
  events: TransportEvents,
): Promise<Connection> {
  const agent = httpsAgent(identity);
  let isOpen = true;
  let timer: NodeJS.Timeout | undefined;
  const shut = () => {
    if (!isOpen) return;
    isOpen = false;
    clearTimeout(timer);
    agent.destroy();
    events.closed();
  };
  const fetchAnswers = async () => {
    timer = undefined;
    const answer = await httpsRequest(`${url}/v1/downlink`, { agent, method: "GET" });
    if (answer.status === 200 && answer.body.length > 0) events.downlink(answer.body);
  };
  // The first request shows that the door is there and takes our certificate.
  const first = await httpsRequest(`${url}/v1/downlink`, { agent, method: "GET" });
  if (first.status >= 400) {
    agent.destroy();
    throw new Error(`the door answers ${first.status}`);
  }
  if (first.status === 200 && first.body.length > 0) {
    queueMicrotask(() => events.downlink(first.body));
  }
  return {
    send: async (payload) => {
      if (!isOpen) throw new Error("the connection is gone");
      try {
        const answer = await httpsRequest(`${url}/v1/envelopes`, {
          agent,
          method: "POST",
          body: payload,
        });
        if (answer.status < 300 && answer.body.length > 0) events.downlink(answer.body);
        timer ??= setTimeout(() => void fetchAnswers().catch(shut), FETCH_AFTER_MS);
        return !NOT_NOW.has(answer.status);
      } catch (error) {
        shut();
        throw error;
      }
    },
    close: async () => {
      isOpen = false;
      clearTimeout(timer);
      agent.destroy();
    },
  };
}

/** All of an answer. @throws Error when it is longer than `bytesMax` or breaks off. */
export function readBody(answer: IncomingMessage, bytesMax: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    answer.on("data", (part: Buffer) => {
      bytes += part.length;
      if (bytes > bytesMax) answer.destroy(new Error("the answer is too large"));
      else parts.push(part);
    });
    answer.on("error", reject);
    answer.on("end", () => resolve(Buffer.concat(parts)));
  });
}
