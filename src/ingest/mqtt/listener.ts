/** Listens for MQTT over TLS or plain TCP, bounds who may be in the door, and looks after overdue clients. */
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";
import type { Clock } from "../../clock.ts";
import { doorTls } from "../door-tls.ts";
import { Flusher } from "./channel.ts";
import { Client } from "./client.ts";
import type { Role } from "./role.ts";
import { Sessions } from "./sessions.ts";

/** How often overdue clients, sessions and wills are looked for. */
const sweepMs = 200;

export class Listener {
  readonly #role: Role;
  readonly #clock: Clock;
  readonly #server: Server;
  readonly #clients = new Set<Client>();
  readonly #sockets = new Set<Socket>();
  readonly #flusher = new Flusher();
  readonly sessions: Sessions;
  #sweeper: NodeJS.Timeout | undefined;
  #closing = false;

  constructor(o: { role: Role; clock: Clock; tls: TlsOptions | undefined }) {
    this.#role = o.role;
    this.#clock = o.clock;
    this.sessions = new Sessions(o.role, o.clock);
    this.#server = o.tls
      ? createTlsServer({ ...doorTls, ...o.tls })
      : createServer({ noDelay: true });
    // On a TLS server this comes before the handshake, so that a flood costs us no cryptography.
    this.#server.on("connection", (socket: Socket) => this.#knock(socket));
    this.#server.on(o.tls ? "secureConnection" : "connection", (socket: Socket) => {
      if (!socket.destroyed) this.#enter(socket);
    });
    this.#server.on("tlsClientError", (_error, socket) => socket.destroy());
  }

  #knock(socket: Socket): void {
    const { connectionsMax, strangersMax } = this.#role.settings;
    let known = 0;
    for (const client of this.#clients) if (client.phase === "open") known++;
    if (
      this.#closing ||
      this.#sockets.size >= connectionsMax ||
      this.#sockets.size - known >= strangersMax
    ) {
      this.#role.refused("door-full", undefined);
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 60_000);
  }

  #enter(socket: Socket): void {
    const client = new Client(socket, {
      role: this.#role,
      sessions: this.sessions,
      clock: this.#clock,
      flusher: this.#flusher,
      onClosed: (one) => this.#clients.delete(one),
    });
    this.#clients.add(client);
  }

  /** @param port 0: any free one. @returns the port in use. */
  async listen(port: number, host: string): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, host, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
    this.#sweeper = setInterval(() => this.sweep(), sweepMs);
    this.#sweeper.unref();
    return this.port;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the door is not open");
    return address.port;
  }

  sweep(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const client of this.#clients) client.sweep(nowMs);
    this.sessions.sweep();
  }

  /** Says goodbye to everyone and closes; nobody can hold it longer than the channels linger. */
  async close(): Promise<void> {
    this.#closing = true;
    clearInterval(this.#sweeper);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const client of this.#clients) client.end("door-closing");
    const late = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, 1_500);
    await closed;
    clearTimeout(late);
  }
}
