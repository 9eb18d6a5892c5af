/** Observations that were written through FHIR: marked "unverified origin", never as device-proven. */
import type { Observation } from "@medplum/fhirtypes";
import type { Clock } from "../clock.ts";
import { Problem } from "../problems.ts";
import type {
  ResourceJson,
  ResourceWrite,
  SearchValue,
  StoredResource,
} from "../store/resources.ts";
import type { Category } from "../vitals/metric.ts";
import { compartmentOf } from "./codes.ts";
import { dateRange } from "./date.ts";
import type { ObservationIds } from "./observation-id.ts";
import { FhirRefusal } from "./outcome.ts";
import { categoryToken } from "./search.ts";
import { SYSTEM } from "./systems.ts";

const UNVERIFIED = {
  system: SYSTEM.origin,
  code: "unverified-origin",
  display: "Written through FHIR; no enrolled device sealed it",
};

export interface WrittenSubject {
  readonly patientId: string;
  readonly compartment: Category;
}

/** Whose it is and in which compartment: what must be permitted before it is stored.
 * @throws FhirRefusal unless the subject is a Patient of this server. */
export function subjectOf(observation: Observation): WrittenSubject {
  const reference = observation.subject?.reference ?? "";
  const patientId = /^Patient\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.exec(reference)?.[1];
  if (patientId === undefined) {
    throw new FhirRefusal("resource-invalid", [
      { code: "required", expression: "Observation.subject", text: "the subject is Patient/id" },
    ]);
  }
  const categories = (observation.category ?? []).flatMap((one) => one.coding ?? []);
  return { patientId, compartment: compartmentOf(categories) };
}

/** What the store keeps: as it came, with the origin said and claims of another origin taken out. */
export function toWrite(
  observation: Observation,
  subject: WrittenSubject,
  clock: Clock,
): ResourceWrite {
  const { id: _, meta, ...rest } = observation;
  const tags = (meta?.tag ?? []).filter((tag) => tag.system !== SYSTEM.origin);
  const resource = {
    ...rest,
    meta: {
      ...(meta?.profile === undefined ? {} : { profile: meta.profile }),
      ...(meta?.security === undefined ? {} : { security: meta.security }),
      tag: [...tags, UNVERIFIED],
    },
  };
  return {
    ...subject,
    id: clock.uuid(),
    timeMs: effectiveMs(observation) ?? clock.nowMs(),
    resource: resource as unknown as ResourceJson,
    expectedVersion: 0,
    tokens: [
      ...codeTokens(observation),
      { column: "category", value: categoryToken(subject.compartment) },
    ],
  };
}

function effectiveMs(observation: Observation): number | undefined {
  const when =
    observation.effectiveDateTime ??
    observation.effectiveInstant ??
    observation.effectivePeriod?.start;
  return when === undefined ? undefined : dateRange(when)?.fromMs;
}

function codeTokens(observation: Observation): SearchValue[] {
  return (observation.code?.coding ?? []).flatMap(({ system, code }) =>
    code === undefined
      ? []
      : [
          { column: "code", value: `${system ?? ""}|${code}` },
          { column: "code-alone", value: code },
        ],
  );
}

/** A stored one as it leaves. @throws Problem "not-found" for a deleted version. */
export function writtenObservation(stored: StoredResource, ids: ObservationIds): Observation {
  if (stored.deleted) throw new Problem("not-found");
  const resource = stored.resource as unknown as Observation;
  return {
    ...resource,
    id: ids.encode({ kind: "resource", patientId: stored.patientId, resourceId: stored.id }),
    meta: {
      ...resource.meta,
      versionId: String(stored.version),
      lastUpdated: new Date(stored.writtenMs).toISOString(),
    },
  };
}
