/** What this server can do, as a CapabilityStatement (FHIR R4 §5.2). Needs no sign-in. */
import type { CapabilityStatement, CapabilityStatementRestResource } from "@medplum/fhirtypes";
import { PROFILE } from "./systems.ts";

export function capabilityStatement(o: { baseUrl: string; version: string }): CapabilityStatement {
  return {
    resourceType: "CapabilityStatement",
    status: "active",
    date: "2026-11-23",
    kind: "instance",
    software: { name: "Vitalward", version: o.version },
    implementation: { description: "Vitalward", url: o.baseUrl },
    fhirVersion: "4.0.1",
    format: ["json"],
    rest: [
      {
        mode: "server",
        security: {
          description:
            "Bearer tokens (RFC 6750). Every read is decided, logged and opened under a permit for one patient.",
        },
        resource: [patientCapability(), deviceCapability(), observationCapability()],
        interaction: [{ code: "batch" }],
      },
    ],
  };
}

function patientCapability(): CapabilityStatementRestResource {
  return {
    type: "Patient",
    interaction: [{ code: "read" }, { code: "vread" }, { code: "search-type" }, { code: "create" }],
    versioning: "versioned",
    searchParam: [
      { name: "identifier", type: "token", documentation: "system|value" },
      { name: "family", type: "string", documentation: "three letters or more" },
      { name: "birthdate", type: "date", documentation: "a day" },
    ],
  };
}

function deviceCapability(): CapabilityStatementRestResource {
  return {
    type: "Device",
    interaction: [{ code: "read" }, { code: "history-instance" }, { code: "search-type" }],
    versioning: "versioned",
    searchParam: [
      { name: "patient", type: "reference", documentation: "alone" },
      {
        name: "identifier",
        type: "token",
        documentation: "https://vitalward.example/device|id, alone",
      },
    ],
  };
}

function observationCapability(): CapabilityStatementRestResource {
  return {
    type: "Observation",
    supportedProfile: Object.values(PROFILE),
    interaction: [
      { code: "read" },
      { code: "vread", documentation: "of what was written through FHIR" },
      { code: "search-type" },
      {
        code: "create",
        documentation: "kept as written and marked unverified-origin; never shown as device-proven",
      },
    ],
    versioning: "versioned",
    conditionalCreate: false,
    searchParam: [
      {
        name: "patient",
        type: "reference",
        documentation: "required, one Patient; also as subject",
      },
      { name: "subject", type: "reference" },
      { name: "code", type: "token", documentation: "LOINC or MDC, several separated by commas" },
      { name: "combo-code", type: "token", documentation: "as code, also a panel's components" },
      { name: "category", type: "token" },
      { name: "date", type: "date", documentation: "prefixes eq, ge, gt, sa, le, lt, eb" },
    ],
  };
}
