/** The FHIR R4 door: `/fhir/R4`. Everything but `metadata` needs a sign-in, and a permit a patient. */
import type { Bundle, Resource } from "@medplum/fhirtypes";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Access } from "../access/access.ts";
import type { Clock } from "../clock.ts";
import { respond } from "../http/respond.ts";
import { Problem } from "../problems.ts";
import type { Registry } from "../registry/registry.ts";
import { CATEGORIES } from "../store/plan.ts";
import type { Resources } from "../store/resources.ts";
import type { Store } from "../store/store.ts";
import { type Category, metricByMdc } from "../vitals/metric.ts";
import { capabilityStatement } from "./capability.ts";
import { Creation, conditional } from "./create.ts";
import type { DeviceRecords } from "./device-records.ts";
import { Devices, parseDeviceSearch } from "./devices.ts";
import type { ObservationIds } from "./observation-id.ts";
import { Observations } from "./observations.ts";
import { FhirRefusal, refusalOutcome } from "./outcome.ts";
import { Patients, parsePatientSearch, toPatient } from "./patients.ts";
import { encodeCursor, type ObservationQuery, parseObservationSearch } from "./search.ts";
import { writtenObservation } from "./written.ts";

export interface FhirParts {
  readonly access: Access;
  readonly registry: Registry;
  readonly store: Store;
  readonly resources: Resources;
  readonly records: DeviceRecords;
  readonly tenantId: string;
  readonly ids: ObservationIds;
  readonly clock: Clock;
  readonly version: string;
}

export const FHIR_BASE = "/fhir/R4";
const MEDIA_TYPE = "application/fhir+json; charset=utf-8";

interface ById {
  Params: { id: string };
}

interface ByVersion {
  Params: { version: string };
}

export async function registerFhirRoutes(root: FastifyInstance, parts: FhirParts): Promise<void> {
  await root.register(
    async (app) => {
      takeFhirJson(app);
      app.setErrorHandler((error, request, reply) => refuse(request, reply, error));
      app.get("/metadata", async (request, reply) =>
        send(reply, capabilityStatement({ baseUrl: baseUrl(request), version: parts.version })),
      );
      registerObservation(app, parts);
      registerPatient(app, parts);
      registerDevice(app, parts);
    },
    { prefix: FHIR_BASE },
  );
}

function takeFhirJson(app: FastifyInstance): void {
  app.removeContentTypeParser("text/plain");
  app.addContentTypeParser(
    "application/fhir+json",
    { parseAs: "string" },
    (_request, body, done) => {
      try {
        done(null, JSON.parse(String(body)));
      } catch (cause) {
        done(new Problem("bad-request", { detail: "the body is not JSON", cause }));
      }
    },
  );
}

function refuse(request: FastifyRequest, reply: FastifyReply, error: unknown): FastifyReply {
  if (!(error instanceof FhirRefusal)) return respond(request, reply, error);
  return reply
    .code(error.row.status)
    .header("cache-control", "no-store")
    .type(MEDIA_TYPE)
    .send(JSON.stringify(refusalOutcome(error)));
}

function send(reply: FastifyReply, resource: Resource, status = 200): FastifyReply {
  const { versionId, lastUpdated } = resource.meta ?? {};
  if (versionId !== undefined) reply.header("etag", `W/"${versionId}"`);
  if (lastUpdated !== undefined) reply.header("last-modified", new Date(lastUpdated).toUTCString());
  return reply
    .code(status)
    .header("cache-control", "no-store")
    .type(MEDIA_TYPE)
    .send(JSON.stringify(resource));
}

function registerObservation(app: FastifyInstance, parts: FhirParts): void {
  const { access, ids } = parts;
  const observations = new Observations(parts);
  const creation = new Creation(parts);

  app.get("/Observation", async (request, reply) => {
    const principal = await access.authenticate(request);
    const query = parseObservationSearch(queryString(request));
    const permit = await access.permit({
      principal,
      patientId: query.patientId,
      purpose: "TREAT",
      categories: categoriesOf(query),
      action: "search",
    });
    if (query.countOnly) {
      const total = await observations.count(permit, query);
      return send(reply, searchset(request, [], { total }));
    }
    const page = await observations.search(permit, query);
    const total = query.wantsTotal ? await observations.count(permit, query) : undefined;
    const next = page.next && encodeCursor(page.next);
    return send(reply, searchset(request, page.observations, { total, next }));
  });

  const read = async (request: FastifyRequest<ById>, version?: number) => {
    const principal = await access.authenticate(request);
    const address = ids.decode(request.params.id);
    if (address === undefined) throw new Problem("not-found");
    const { patientId } = address;
    const category = address.kind === "sample" ? metricByMdc(address.mdc)?.category : undefined;
    const permit = await access.permit({
      principal,
      patientId,
      purpose: "TREAT",
      categories: category === undefined ? CATEGORIES : [category],
      action: "read",
    });
    if (address.kind === "resource") {
      const of = { resourceType: "Observation", id: address.resourceId, ...at(version) };
      const stored = await parts.resources.get(permit, of);
      return stored && writtenObservation(stored, ids);
    }
    // A sample has no versions: what a device sealed is never changed.
    return version === undefined ? observations.readSample(permit, address) : undefined;
  };
  app.get<ById>("/Observation/:id", async (request, reply) => {
    return sendFound(reply, await read(request));
  });
  app.get<ById & ByVersion>("/Observation/:id/_history/:version", async (request, reply) => {
    return sendFound(reply, await read(request, versionOf(request.params.version)));
  });

  app.post("/Observation", async (request, reply) => {
    const principal = await access.authenticate(request);
    if (request.headers["if-none-exist"] !== undefined) throw conditional();
    const { observation, version } = await creation.create(principal, request.body);
    const at = `${baseUrl(request)}/Observation/${observation.id}/_history/${version.version}`;
    reply.header("location", at);
    if (request.headers.prefer === "return=minimal") {
      return reply.code(201).header("etag", `W/"${version.version}"`).send();
    }
    return send(reply, observation, 201);
  });

  app.post("/", async (request, reply) => {
    const principal = await access.authenticate(request);
    return send(reply, await creation.batch(principal, request.body, request.id));
  });
}

function registerPatient(app: FastifyInstance, parts: FhirParts): void {
  const patients = new Patients(parts);
  app.get("/Patient", async (request, reply) => {
    const principal = await parts.access.authenticate(request);
    const found = await patients.search(principal, parsePatientSearch(queryString(request)));
    return send(reply, searchset(request, found.map(toPatient), { total: found.length }));
  });
  app.post("/Patient", async (request, reply) => {
    const principal = await parts.access.authenticate(request);
    const patient = toPatient(await patients.register(principal, request.body));
    reply.header("location", `${baseUrl(request)}/Patient/${patient.id}/_history/1`);
    return send(reply, patient, 201);
  });
  app.get<ById>("/Patient/:id", async (request, reply) => {
    const principal = await parts.access.authenticate(request);
    return send(reply, toPatient(await patients.read(principal, checkedId(request.params.id))));
  });
  app.get<ById & ByVersion>("/Patient/:id/_history/:version", async (request, reply) => {
    const principal = await parts.access.authenticate(request);
    const version = versionOf(request.params.version);
    const patient = await patients.read(principal, checkedId(request.params.id), version);
    return send(reply, toPatient(patient));
  });
}

function registerDevice(app: FastifyInstance, parts: FhirParts): void {
  const devices = new Devices(parts);
  app.get("/Device", async (request, reply) => {
    const principal = await parts.access.authenticate(request);
    const found = await devices.search(principal, parseDeviceSearch(queryString(request)));
    return send(reply, searchset(request, found, { total: found.length }));
  });
  app.get<ById>("/Device/:id/_history", async (request, reply) => {
    const principal = await parts.access.authenticate(request);
    const versions = await devices.history(principal, checkedId(request.params.id));
    const { link, entry, ...rest } = searchset(request, versions, { total: versions.length });
    const bare = (entry ?? []).map(({ search: _, ...one }) => one);
    return send(reply, { ...rest, type: "history", link, entry: bare } as Bundle);
  });
  app.get<ById>("/Device/:id", async (request, reply) => {
    const principal = await parts.access.authenticate(request);
    return send(reply, await devices.read(principal, checkedId(request.params.id)));
  });
}

/** Version ids are whole numbers; anything else is simply not there. */
function versionOf(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new Problem("not-found");
  return Number(text);
}

function at(version: number | undefined): { version?: number } {
  return version === undefined ? {} : { version };
}

function sendFound(reply: FastifyReply, resource: Resource | undefined): FastifyReply {
  if (resource === undefined) throw new Problem("not-found");
  return send(reply, resource);
}

/** Ids of patients and devices are UUIDs; anything else is simply not there. */
function checkedId(id: string): string {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) throw new Problem("not-found");
  return id;
}

function categoriesOf(query: ObservationQuery): readonly Category[] {
  if (query.categories !== undefined) return query.categories;
  return CATEGORIES;
}

function queryString(request: FastifyRequest): string {
  return request.url.split("?")[1] ?? "";
}

function baseUrl(request: FastifyRequest): string {
  return `${request.protocol}://${request.host}${FHIR_BASE}`;
}

function searchset(
  request: FastifyRequest,
  resources: readonly Resource[],
  o: { total?: number | undefined; next?: string | undefined },
): Bundle {
  const self = `${baseUrl(request)}${request.url.slice(FHIR_BASE.length)}`;
  const next = new URL(self);
  if (o.next !== undefined) next.searchParams.set("_cursor", o.next);
  return {
    resourceType: "Bundle",
    type: "searchset",
    ...(o.total === undefined ? {} : { total: o.total }),
    link: [
      { relation: "self", url: self },
      ...(o.next === undefined ? [] : [{ relation: "next" as const, url: next.href }]),
    ],
    ...(resources.length === 0
      ? {}
      : {
          entry: resources.map((resource) => ({
            fullUrl: `${baseUrl(request)}/${resource.resourceType}/${resource.id}`,
            resource,
            search: { mode: "match" as const },
          })),
        }),
  };
}
