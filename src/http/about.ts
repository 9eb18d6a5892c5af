/** /api/about: what a page must say before anybody has signed in. */
import type { FastifyInstance } from "fastify";
import { z } from "zod";

const About = z.object({
  demonstration: z.boolean().describe("the people shown are recordings with invented names"),
});

export function registerAbout(app: FastifyInstance, about: z.output<typeof About>): void {
  app.get(
    "/api/about",
    {
      schema: { summary: "Whether this is the demonstration.", response: { 200: About } },
    },
    async (_request, reply) => {
      reply.header("cache-control", "no-store");
      return about;
    },
  );
}
