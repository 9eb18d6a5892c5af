/** /api/devices: administrators enrol, assign, suspend and revoke devices. */
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import type { Presence } from "../presence.ts";
import { Problem } from "../problems.ts";
import type { Device, Registry } from "../registry/registry.ts";
import type { Access } from "./access.ts";
import { administrator } from "./administrator.ts";

const Id = z.uuid();
const DevicePath = z.strictObject({ deviceId: Id });
const TimeMs = z.int().nonnegative();
const DeviceAnswer = z.object({
  id: Id,
  label: z.string(),
  kind: z.string(),
  note: z.string(),
  state: z.enum(["claimed", "enrolled", "suspended", "quarantined", "revoked"]),
  certificateHashes: z.array(z.string()),
  enrolledMs: TimeMs.optional(),
  connectedSinceMs: TimeMs.nullable().describe("null: it holds no connection"),
  disconnectedMs: TimeMs.nullable().describe("when its last connection ended, if it is known"),
  lastSeenMs: TimeMs.nullable().describe("last connection, request or admitted envelope"),
  assignments: z.array(z.object({ patientId: Id, fromMs: TimeMs, toMs: TimeMs.optional() })),
});
const Assign = { patientId: Id.optional(), assignedFromMs: TimeMs.optional() };
const NewDevice = z.strictObject({
  label: z.string().trim().min(1).max(200),
  kind: z.string().regex(/^[a-z][a-z0-9-]{0,63}$/),
  note: z.string().max(200).optional(),
  ...Assign,
});
const Claim = z.object({
  deviceId: Id,
  claimCode: z.string().describe("shown now and never again; enrols one device"),
  expiresMs: TimeMs,
  doorUrl: z.string().describe("the HTTPS device door, where it enrols"),
});
const Assignment = z.strictObject({ patientId: Id.nullable(), fromMs: TimeMs.optional() });

const CHANGES = ["suspend", "resume", "revoke"] as const;

interface Dependencies {
  readonly access: Access;
  readonly registry: Registry;
  readonly presence: Pick<Presence, "of">;
  /** Where devices enrol. */
  readonly doorUrl: () => string;
}

export function registerDeviceRoutes(app: FastifyInstance, o: Dependencies): void {
  registerListing(app, o);
  registerClaims(app, o);
  registerChanges(app, o);
}

function registerListing(app: FastifyInstance, o: Dependencies): void {
  const { access, registry, presence } = o;
  const answer = (device: Device) => ({
    ...device,
    ...presence.of(device.id),
    assignments: registry
      .assignmentsOf({ deviceId: device.id })
      .map(({ patientId, fromMs, toMs }) => ({ patientId, fromMs, toMs })),
  });
  app.get(
    "/api/devices",
    { schema: { summary: "All devices.", response: { 200: z.array(DeviceAnswer) } } },
    async (request) => {
      await administrator(access, request);
      return registry.devices().map(answer);
    },
  );
  app.get<{ Params: { deviceId: string } }>(
    "/api/devices/:deviceId",
    { schema: { summary: "One device.", params: DevicePath, response: { 200: DeviceAnswer } } },
    async (request) => {
      await administrator(access, request);
      const device = registry.device(request.params.deviceId);
      if (device === undefined) throw new Problem("not-found");
      return answer(device);
    },
  );
}

function registerClaims(app: FastifyInstance, o: Dependencies): void {
  const { access, registry, doorUrl } = o;
  app.post<{ Body: z.output<typeof NewDevice> }>(
    "/api/devices",
    {
      schema: {
        summary: "A new device and its claim code.",
        body: NewDevice,
        response: { 201: Claim },
      },
    },
    async (request, reply) => {
      const by = await administrator(access, request);
      const { patientId } = request.body;
      await access.recordChange(by, "claim-device", {
        subjectId: "new",
        ...(patientId === undefined ? {} : { patientId }),
      });
      reply.code(201).header("cache-control", "no-store");
      return { ...(await registry.createClaim(request.body)), doorUrl: doorUrl() };
    },
  );
  app.post<{ Params: { deviceId: string } }>(
    "/api/devices/:deviceId/claim",
    {
      schema: {
        summary: "A new claim code for a known device: it gets a new key and certificate.",
        params: DevicePath,
        response: { 201: Claim },
      },
    },
    async (request, reply) => {
      const by = await administrator(access, request);
      const { deviceId } = request.params;
      await access.recordChange(by, "claim-device", { subjectId: deviceId });
      reply.code(201).header("cache-control", "no-store");
      return { ...(await registry.createClaim({ deviceId })), doorUrl: doorUrl() };
    },
  );
}

function registerChanges(app: FastifyInstance, { access, registry }: Dependencies): void {
  app.put<{ Params: { deviceId: string }; Body: z.output<typeof Assignment> }>(
    "/api/devices/:deviceId/assignment",
    {
      schema: {
        summary: "Whom the device measures from now (or `fromMs`) on; null: nobody.",
        params: DevicePath,
        body: Assignment,
      },
    },
    async (request, reply) => {
      const by = await administrator(access, request);
      const { deviceId } = request.params;
      const { patientId, fromMs } = request.body;
      await access.recordChange(by, "assign-device", {
        subjectId: deviceId,
        ...(patientId === null ? {} : { patientId }),
      });
      await registry.assign({
        deviceId,
        patientId: patientId ?? undefined,
        ...(fromMs === undefined ? {} : { fromMs }),
      });
      return reply.code(204).send();
    },
  );
  for (const change of CHANGES) {
    app.post<{ Params: { deviceId: string } }>(
      `/api/devices/:deviceId/${change}`,
      {
        schema: { summary: `${change} the device, effective at once`, params: DevicePath },
      },
      async (request, reply) => {
        const by = await administrator(access, request);
        const { deviceId } = request.params;
        await access.recordChange(by, `${change}-device`, { subjectId: deviceId });
        await registry[change](deviceId);
        return reply.code(204).send();
      },
    );
  }
}
