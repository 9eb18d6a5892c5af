/** Enrolment at the HTTPS device door: claim code and certificate request in, certificate and pins out. */
import type { TLSSocket } from "node:tls";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { addressKey, RateLimit } from "../http/rate-limit.ts";
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import type { Enrolment, Registry } from "./registry.ts";

export interface EnrolmentDependencies {
  readonly registry: Registry;
  readonly clock: Clock;
  /** Fresh signed one-time prekeys for that device (CBOR sequence); admission makes them. */
  readonly prekeys: (deviceId: string) => Promise<Uint8Array>;
  /** Where the device doors are, as devices reach them ("mqtts://127.0.0.1:8883"). */
  readonly doors: () => { mqttUrl: string; httpsUrl: string };
}

const Csr = z.string().min(1).max(limits.csrBytesMax);
const EnrolmentRequest = z.strictObject({
  claimCode: z.string().min(1).max(64).describe("printed when the claim was made; works once"),
  csr: Csr.describe("PKCS #10, PEM; key P-256 or Ed25519; names in it are ignored"),
});
const EnrolmentAnswer = z.object({
  deviceId: z.string(),
  certificatePem: z.string(),
  caPem: z.string(),
  platformKey: z.string().describe("Ed25519 public key, 32 bytes, base64url"),
  prekeys: z.string().describe("signed one-time prekeys, CBOR sequence, base64url"),
  mqttUrl: z.string(),
  httpsUrl: z.string(),
});
const RenewalRequest = z.strictObject({ csr: Csr });
const RenewalAnswer = z.object({ certificatePem: z.string(), caPem: z.string() });

/** POST /v1/enrol (TLS, no client certificate), POST /v1/renew and /v1/prekeys (client certificate).
 * `app` must answer by `installAnswers` of `http/server.ts`. */
export function registerEnrolmentRoutes(app: FastifyInstance, o: EnrolmentDependencies): void {
  const tries = new RateLimit({ perMinute: limits.enrolmentTriesPerMinute, clock: o.clock });
  app.post<{ Body: z.output<typeof EnrolmentRequest> }>(
    "/v1/enrol",
    {
      schema: {
        summary: "Enrol a device by claim code.",
        body: EnrolmentRequest,
        response: { 201: EnrolmentAnswer },
      },
      // Before the body is read: guessing codes must stay dear.
      onRequest: async (request) => tries.take(addressKey(request.ip)),
    },
    async (request, reply): Promise<Enrolment> => {
      const enrolled = await o.registry.enrol(request.body);
      const prekeys = await o.prekeys(enrolled.deviceId);
      reply.code(201).header("cache-control", "no-store");
      return {
        ...enrolled,
        platformKey: Buffer.from(o.registry.platformIdentity.publicKey).toString("base64url"),
        prekeys: Buffer.from(prekeys).toString("base64url"),
        ...o.doors(),
      };
    },
  );
  app.post<{ Body: z.output<typeof RenewalRequest> }>(
    "/v1/renew",
    {
      schema: {
        summary: "A new certificate for the device that shows its old one.",
        body: RenewalRequest,
        response: { 200: RenewalAnswer },
      },
    },
    async (request) => o.registry.renew(deviceOf(request, o.registry), request.body.csr),
  );
  app.post(
    "/v1/prekeys",
    { schema: { summary: "Fresh one-time prekeys, a CBOR sequence; 204: enough are unused." } },
    async (request, reply) => {
      const prekeys = await o.prekeys(deviceOf(request, o.registry));
      reply.header("cache-control", "no-store");
      if (prekeys.length === 0) return reply.code(204).send();
      return reply.type("application/cbor-seq").send(Buffer.from(prekeys));
    },
  );
}

/** @throws Problem for whoever may not speak now. */
function deviceOf(request: FastifyRequest, registry: Registry): string {
  const peer = (request.raw.socket as TLSSocket).getPeerX509Certificate?.();
  if (peer === undefined) throw new Problem("client-certificate-required");
  const verdict = registry.authenticate(peer);
  if (typeof verdict === "string") throw new Problem(verdict);
  return verdict.deviceId;
}
