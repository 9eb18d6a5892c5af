/** /api/session: sign in with a link's secret, ask who I am, sign out. */
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { addressKey, RateLimit } from "../http/rate-limit.ts";
import { limits } from "../limits.ts";
import type { Access } from "./access.ts";
import { STAFF_ROLES } from "./principal.ts";

const SignIn = z.strictObject({
  secret: z.string().max(200).describe("from the link's fragment; works once, for 15 minutes"),
});
const SignedIn = z.object({
  person: z.object({ id: z.string(), name: z.string(), role: z.enum(STAFF_ROLES) }),
  expiresMs: z.int().optional(),
});

export function registerSessionRoutes(
  app: FastifyInstance,
  o: { access: Access; clock: Clock; secure: boolean },
): void {
  const tries = new RateLimit({ perMinute: limits.signInTriesPerMinute, clock: o.clock });
  const cookieOptions = {
    path: "/",
    httpOnly: true,
    sameSite: "strict",
    secure: o.secure,
  } as const;

  app.post<{ Body: z.output<typeof SignIn> }>(
    "/api/session",
    {
      schema: {
        summary: "Sign in with a link's secret.",
        body: SignIn,
        response: { 200: SignedIn },
      },
      onRequest: async (request) => tries.take(addressKey(request.ip)),
    },
    async (request, reply) => {
      const { cookie, person, expiresMs } = await o.access.signIn(request.body.secret);
      const maxAge = Math.floor(limits.sessionLifeMs / 1000);
      reply
        .setCookie(o.access.cookieName, cookie, { ...cookieOptions, maxAge })
        .header("cache-control", "no-store");
      const { id, name, role } = person;
      return { person: { id, name, role }, expiresMs };
    },
  );

  app.get(
    "/api/session",
    { schema: { summary: "Who is signed in.", response: { 200: SignedIn } } },
    async (request, reply) => {
      const principal = await o.access.authenticate(request);
      const person = await o.access.person(principal.id);
      reply.header("cache-control", "no-store");
      return { person: { id: principal.id, name: person?.name ?? "", role: principal.role } };
    },
  );

  app.delete(
    "/api/session",
    { schema: { summary: "Sign out; open streams end at once." } },
    async (request, reply) => {
      const principal = await o.access.authenticate(request);
      await o.access.signOut(principal);
      reply.clearCookie(o.access.cookieName, cookieOptions).code(204);
      return reply.send();
    },
  );
}
