/**
 * The HTTPS door for devices: the same sealed bytes as over MQTT, one request each. TLS 1.3 with a client
 * certificate; only the enrolment route is for those who have none yet. A device that is told "202" has its
 * envelope durably kept; what frees its spool is the receipt in the answer, as on every door.
 */
import type { Server as HttpsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { TLSSocket, TlsOptions } from "node:tls";
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from "fastify";
import type { Clock } from "../clock.ts";
import { installAnswers } from "../http/server.ts";
import { limits } from "../limits.ts";
import type { Presence } from "../presence.ts";
import { Problem, type ProblemCode } from "../problems.ts";
import { doorTls } from "./door-tls.ts";
import { DevicePace } from "./pace.ts";
import { type Authenticate, authenticatePeer, type Peer } from "./peer.ts";
import { type Admit, mayRetry } from "./verdict.ts";

/** The media type of what devices send and get: a CBOR sequence (RFC 8742). */
export const SEALED_TYPE = "application/cbor-seq";

/** The last is what `curl --data-binary` says when it is told nothing; a sealed body is checked anyway. */
const takenTypes = [SEALED_TYPE, "application/octet-stream", "application/x-www-form-urlencoded"];

/** The one address that takes connections without a client certificate. */
const enrolmentPath = "/v1/enrol";

export interface DeviceDoorOptions {
  readonly tls: TlsOptions;
  readonly authenticate: Authenticate;
  readonly admit: Admit;
  readonly clock: Clock;
  /** Is told who asks. */
  readonly presence?: Presence;
  readonly onRefusal?: (problem: ProblemCode, deviceId: string | undefined) => void;
  /** Mounts further routes, such as enrolment, before the door opens. */
  readonly routes?: (app: FastifyInstance) => void | Promise<void>;
}

export interface DeviceDoor {
  listen(port: number, host: string): Promise<number>;
  close(): Promise<void>;
  readonly port: number;
  /** Keeps sealed bytes until the device asks (`GET /v1/downlink`): the newest few, in memory. Receipts
   * are cumulative and an opening's reply is in its own answer, so a lost one costs a question. */
  send(deviceId: string, bytes: Uint8Array): void;
  /** Ends the device's open connections at once, as after a revocation. */
  disconnect(deviceId: string): void;
}

declare module "fastify" {
  interface FastifyRequest {
    /** Set by the door for every route but enrolment. */
    peer: Peer | undefined;
    /** Set once admission has answered. */
    judged: boolean;
  }
}

export async function createDeviceDoor(o: DeviceDoorOptions): Promise<DeviceDoor> {
  const app = doorApp(o);
  const mailbox = new Mailbox();
  const connections = new Connections();
  const pace = new DevicePace(() => o.clock.monotonicMs());
  installAnswers(app);
  app.decorateRequest("peer", undefined);
  app.decorateRequest("judged", false);
  app.addHook("onRequest", async (request) => {
    if (pathOf(request) === enrolmentPath) return;
    const peer = await authenticatePeer(request.raw.socket as TLSSocket, o.authenticate);
    if (typeof peer === "string") throw new Problem(peer);
    request.peer = peer;
    o.presence?.requested(peer.deviceId, o.clock.nowMs());
    connections.add(peer.deviceId, request.raw.socket);
  });
  app.addHook("onError", async (request, _reply, error) => {
    // What admission refused, it has recorded.
    if (error instanceof Problem && !request.judged) {
      o.onRefusal?.(error.code, request.peer?.deviceId);
    }
  });
  app.addContentTypeParser(takenTypes, { parseAs: "buffer" }, (_request, body, done) => {
    done(null, body);
  });
  registerRoutes(app, o, mailbox, pace);
  await o.routes?.(app);
  return {
    async listen(port, host) {
      await app.listen({ port, host });
      return portOf(app);
    },
    close: () => app.close(),
    get port() {
      return portOf(app);
    },
    send: (deviceId, bytes) => mailbox.put(deviceId, bytes),
    disconnect: (deviceId) => connections.end(deviceId),
  };
}

const headerBounds = { maxHeaderSize: 8_192, headersTimeout: limits.doorConnectTimeoutMs };

function doorApp(o: DeviceDoorOptions): FastifyInstance {
  const app = fastify({
    https: { ...o.tls, ...doorTls, ...headerBounds },
    bodyLimit: limits.arrivalBytesMax,
    requestTimeout: limits.doorPacketTimeoutMs,
    keepAliveTimeout: limits.mqttKeepAliveMaxS * 1_000,
    forceCloseConnections: true,
    requestIdHeader: false,
    genReqId: () => Buffer.from(o.clock.random(9)).toString("base64url"),
    logger: false,
  }) as unknown as FastifyInstance;
  const server = app.server as unknown as HttpsServer;
  server.maxConnections = limits.doorConnectionsMax;
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  return app;
}

function registerRoutes(
  app: FastifyInstance,
  o: DeviceDoorOptions,
  mailbox: Mailbox,
  pace: DevicePace,
): void {
  app.post(
    "/v1/envelopes",
    {
      // Before the body is read: who is in debt waits.
      onRequest: async (request, reply) => {
        const waitMs = pace.debtMs(peerOf(request).deviceId);
        if (waitMs === 0) return;
        reply.header("retry-after", String(Math.ceil(waitMs / 1000)));
        throw new Problem("rate-limited");
      },
    },
    (request, reply) => admitBody(request, reply, o, mailbox, pace),
  );
  app.get("/v1/downlink", async (request, reply) => {
    const waiting = mailbox.take(peerOf(request).deviceId);
    reply.header("cache-control", "no-store");
    if (waiting.length === 0) return reply.code(204).send();
    return sendSealed(reply, 200, waiting);
  });
}

async function admitBody(
  request: FastifyRequest,
  reply: FastifyReply,
  o: DeviceDoorOptions,
  mailbox: Mailbox,
  pace: DevicePace,
): Promise<FastifyReply> {
  const { deviceId, certificateHash } = peerOf(request);
  const bytes = request.body;
  if (bytes !== undefined && !Buffer.isBuffer(bytes)) throw new Problem("unsupported-media-type");
  if (bytes === undefined || bytes.length === 0) {
    throw new Problem("bad-request", { detail: "the body is empty" });
  }
  pace.waitMs(deviceId, bytes.length);
  const receivedMs = o.clock.nowMs();
  const verdict = await o.admit({ door: "https", deviceId, certificateHash, bytes, receivedMs });
  request.judged = true;
  if (verdict.outcome === "refused") {
    // The receipt that names a permanent refusal waits for the device's next question.
    for (const item of verdict.downlink) mailbox.put(deviceId, item);
    if (mayRetry(verdict.problem)) reply.header("retry-after", "1");
    throw new Problem(verdict.problem ?? "internal-fault");
  }
  const waiting = [...mailbox.take(deviceId), ...verdict.downlink];
  reply.header("cache-control", "no-store").header("vitalward-outcome", verdict.outcome);
  return sendSealed(reply, 202, waiting);
}

function sendSealed(reply: FastifyReply, status: number, items: Uint8Array[]): FastifyReply {
  return reply.code(status).type(SEALED_TYPE).send(Buffer.concat(items));
}

function peerOf(request: FastifyRequest): Peer {
  if (!request.peer) throw new Problem("client-certificate-required");
  return request.peer;
}

function pathOf(request: FastifyRequest): string {
  return request.routeOptions.url ?? "";
}

function portOf(app: FastifyInstance): number {
  return (app.server.address() as AddressInfo).port;
}

/** What waits for devices that only ask now and then; bounded per device and in devices. */
class Mailbox {
  readonly #waiting = new Map<string, Uint8Array[]>();

  put(deviceId: string, bytes: Uint8Array): void {
    const items = this.#waiting.get(deviceId) ?? [];
    items.push(bytes);
    if (items.length > limits.downlinkWaitingMax) items.shift();
    this.#waiting.delete(deviceId);
    this.#waiting.set(deviceId, items);
    if (this.#waiting.size <= limits.doorConnectionsMax) return;
    const oldest = this.#waiting.keys().next();
    if (!oldest.done) this.#waiting.delete(oldest.value);
  }

  take(deviceId: string): Uint8Array[] {
    const items = this.#waiting.get(deviceId) ?? [];
    this.#waiting.delete(deviceId);
    return items;
  }
}

/** Open connections by device, so that a revoked one can be cut off between two requests. */
class Connections {
  readonly #byDevice = new Map<string, Set<Socket>>();

  add(deviceId: string, socket: Socket): void {
    const sockets = this.#byDevice.get(deviceId) ?? new Set();
    if (sockets.has(socket)) return;
    sockets.add(socket);
    this.#byDevice.set(deviceId, sockets);
    socket.once("close", () => {
      sockets.delete(socket);
      if (sockets.size === 0) this.#byDevice.delete(deviceId);
    });
  }

  end(deviceId: string): void {
    for (const socket of this.#byDevice.get(deviceId) ?? []) socket.destroy();
  }
}
