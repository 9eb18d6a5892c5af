/** /api/people and /api/care-team: administrators keep the staff and who treats whom. */
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import type { Access } from "./access.ts";
import { administrator } from "./administrator.ts";
import { STAFF_ROLES } from "./principal.ts";

const Id = z.uuid();
const PersonPath = z.strictObject({ personId: Id });
const Role = z.enum(STAFF_ROLES);
const PersonAnswer = z.object({ id: Id, name: z.string(), role: Role, active: z.boolean() });
const NewPerson = z.strictObject({ name: z.string().trim().min(1).max(200), role: Role });
const Membership = z.strictObject({ personId: Id, patientId: Id });
const Link = z.object({
  secret: z
    .string()
    .describe("goes into the fragment of the console's address: /#/sign-in/<secret>"),
  expiresMs: z.int(),
});

export function registerPeopleRoutes(app: FastifyInstance, o: { access: Access }): void {
  const { access } = o;
  app.get(
    "/api/people",
    { schema: { summary: "All staff.", response: { 200: z.array(PersonAnswer) } } },
    async (request) => {
      await administrator(access, request);
      return access.people();
    },
  );
  app.post<{ Body: z.output<typeof NewPerson> }>(
    "/api/people",
    { schema: { summary: "Add a person.", body: NewPerson, response: { 201: PersonAnswer } } },
    async (request, reply) => {
      const by = await administrator(access, request);
      await access.recordChange(by, "create-person", { subjectId: "new" });
      reply.code(201);
      return access.createPerson(request.body);
    },
  );
  app.put<{ Params: { personId: string }; Body: { role: z.output<typeof Role> } }>(
    "/api/people/:personId/role",
    {
      schema: {
        summary: "Change a role; permits under the old one end at once.",
        params: PersonPath,
        body: z.strictObject({ role: Role }),
      },
    },
    async (request, reply) => {
      const by = await administrator(access, request);
      const { personId } = request.params;
      await access.recordChange(by, "change-role", { subjectId: personId });
      await access.changeRole(personId, request.body.role);
      return reply.code(204).send();
    },
  );
  app.delete<{ Params: { personId: string } }>(
    "/api/people/:personId",
    {
      schema: {
        summary: "Deactivate a person; sessions, tokens and permits end at once.",
        params: PersonPath,
      },
    },
    async (request, reply) => {
      const by = await administrator(access, request);
      const { personId } = request.params;
      await access.recordChange(by, "deactivate-person", { subjectId: personId });
      await access.deactivate(personId);
      return reply.code(204).send();
    },
  );
  app.post<{ Params: { personId: string } }>(
    "/api/people/:personId/sign-in-link",
    { schema: { summary: "A sign-in link.", params: PersonPath, response: { 201: Link } } },
    async (request, reply) => {
      const by = await administrator(access, request);
      const { personId } = request.params;
      await access.recordChange(by, "create-sign-in-link", { subjectId: personId });
      reply.code(201).header("cache-control", "no-store");
      return access.createSignInLink(personId);
    },
  );
  app.post<{ Body: z.output<typeof Membership> }>(
    "/api/care-team",
    { schema: { summary: "Put a person on a patient's care team.", body: Membership } },
    async (request, reply) => {
      const by = await administrator(access, request);
      const { personId, patientId } = request.body;
      await access.recordChange(by, "join-care-team", { subjectId: personId, patientId });
      await access.addToCareTeam(personId, patientId);
      return reply.code(204).send();
    },
  );
  app.delete<{ Body: z.output<typeof Membership> }>(
    "/api/care-team",
    {
      schema: {
        summary: "Take a person off a patient's care team; their permits for it end at once.",
        body: Membership,
      },
    },
    async (request, reply) => {
      const by = await administrator(access, request);
      const { personId, patientId } = request.body;
      await access.recordChange(by, "leave-care-team", { subjectId: personId, patientId });
      await access.removeFromCareTeam(personId, patientId);
      return reply.code(204).send();
    },
  );
}
