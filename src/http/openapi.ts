/** OpenAPI 3.1 at /api/openapi.json, made from the same zod schemas that check the requests. */
import swagger from "@fastify/swagger";
import type { FastifyInstance, FastifySchema } from "fastify";
import { z } from "zod";

const DESCRIBED = ["/api/", "/health/", "/v1/"];

const problemResponse = {
  description: "refused: problem details (RFC 9457)",
  content: {
    "application/problem+json": {
      schema: {
        type: "object",
        required: ["type", "title", "status", "instance"],
        properties: {
          type: { type: "string", description: "/problems/<code>" },
          title: { type: "string" },
          status: { type: "integer" },
          detail: { type: "string" },
          instance: { type: "string" },
        },
      },
    },
  },
};

function toJsonSchema(schema: unknown, io: "input" | "output"): unknown {
  if (!(schema instanceof z.ZodType)) return schema;
  const { $schema, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return rest;
}

function toOpenApi(schema: FastifySchema): FastifySchema {
  const response: Record<string, unknown> = { default: problemResponse };
  for (const [status, body] of Object.entries((schema.response as object | undefined) ?? {})) {
    response[status] = toJsonSchema(body, "output");
  }
  return {
    ...schema,
    ...(schema.body === undefined ? {} : { body: toJsonSchema(schema.body, "input") }),
    ...(schema.params === undefined ? {} : { params: toJsonSchema(schema.params, "input") }),
    ...(schema.querystring === undefined
      ? {}
      : { querystring: toJsonSchema(schema.querystring, "input") }),
    response,
  };
}

export async function registerOpenApi(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Vitalward",
        version,
        description:
          "The platform's own API. FHIR R4 is under /fhir/R4 (see its CapabilityStatement).",
        license: { name: "Apache-2.0", identifier: "Apache-2.0" },
      },
      components: {
        securitySchemes: {
          bearer: { type: "http", scheme: "bearer" },
          session: { type: "apiKey", in: "cookie", name: "vitalward-session" },
        },
      },
    },
    transform: ({ schema, url }) => ({
      schema: DESCRIBED.some((start) => url.startsWith(start))
        ? toOpenApi(schema ?? {})
        : { ...schema, hide: true },
      url,
    }),
  });
  app.get("/api/openapi.json", { schema: { hide: true } }, async () => app.swagger());
}
