/** The HTTP door: console, /api, /fhir, health and metrics on one fastify instance. */
import type { FastifyInstance } from "fastify";
import type { Clock } from "../clock.ts";

export interface HttpOptions {
  readonly bind: string;
  /** PEM. Without it only a loopback address may be bound. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** The built console (`console/dist`); absent in tests and before the first build. */
  readonly consoleDir?: string;
  /** Origins that people use to reach this server, beyond its own address ("https://ward.example"). */
  readonly publicOrigins?: readonly string[];
  /** Named checks for /health/ready: each resolves when its part can work. */
  readonly ready: Readonly<Record<string, () => Promise<void>>>;
  readonly version: string;
  readonly clock: Clock;
}

export type CreateHttpServer = (o: HttpOptions) => Promise<FastifyInstance>;
