/** Untrusted JSON → an Observation that we would be willing to hand out again. */
import {
  indexStructureDefinitionBundle,
  OperationOutcomeError,
  validateResource,
} from "@medplum/core";
import type { Observation, OperationOutcomeIssue, Patient, Resource } from "@medplum/fhirtypes";
import { diagnostics } from "../diagnostics.ts";
import type { IssueCode } from "../problems.ts";
import { bindingFaults } from "./bindings.ts";
import { definitions } from "./definitions/definitions.ts";
import { FhirRefusal, type Issue } from "./outcome.ts";
import { knownPlace, shapeFaults } from "./places.ts";
import { vitalSignFaults } from "./vital-signs.ts";

let indexed = false;

/** Checks structure, types, cardinality and invariants (library), then required bindings and the
 * vital-signs profiles (ours).
 * @throws FhirRefusal naming every place that is wrong; never a value. */
export function validateObservation(resource: unknown): Observation {
  const observation = validated<Observation>(resource, "Observation");
  const issues = vitalSignFaults(observation).map(
    ({ expression, text }): Issue => ({ code: "invariant", expression, text }),
  );
  if (issues.length > 0) throw new FhirRefusal("resource-invalid", issues);
  return observation;
}

/** As `validateObservation`, for a Patient. @throws FhirRefusal "resource-invalid". */
export function validatePatient(resource: unknown): Patient {
  return validated<Patient>(resource, "Patient");
}

function validated<R extends Resource>(resource: unknown, type: R["resourceType"]): R {
  if (!isOfType<R>(resource, type)) {
    throw new FhirRefusal("resource-invalid", [
      { code: "structure", expression: type, text: `the body is a resource of type ${type}` },
    ]);
  }
  // The checks after it rely on the shape, and on a bounded depth.
  const misshapen = shapeFaults(resource, type);
  const issues = misshapen.length > 0 ? misshapen : faultsOf(resource);
  if (issues.length > 0) {
    const placed = issues.map((one) => ({ ...one, expression: knownPlace(one.expression) }));
    throw new FhirRefusal("resource-invalid", placed);
  }
  return resource;
}

function faultsOf(resource: Resource): Issue[] {
  return [
    ...structureFaults(resource),
    ...bindingFaults(resource).map(({ expression, valueSet }) => ({
      code: "code-invalid" as const,
      expression,
      text: `the code is not in the required value set ${valueSet}`,
    })),
  ];
}

function isOfType<R extends Resource>(resource: unknown, type: R["resourceType"]): resource is R {
  return (resource as { resourceType?: unknown } | null)?.resourceType === type;
}

function structureFaults(resource: Resource): Issue[] {
  if (!indexed) {
    indexStructureDefinitionBundle([...definitions().structures]);
    indexed = true;
  }
  try {
    validateResource(resource);
    return [];
  } catch (error) {
    if (!(error instanceof OperationOutcomeError)) return [unjudged(error)];
    return (error.outcome.issue ?? [])
      .filter((issue) => issue.severity === "error" || issue.severity === "fatal")
      .map(toIssue);
  }
}

/** Some ill-formed JSON makes the library stumble ("_birthDate": "x"): what it cannot judge is refused. */
function unjudged(error: unknown): Issue {
  diagnostics.debug({ fault: (error as Error).name }, "the FHIR validation could not judge a body");
  return { code: "structure", expression: "the resource", text: "not built as FHIR R4 says" };
}

/** The library's words name fields and rules; anything in quotes that is not a field name is left out. */
function toIssue(issue: OperationOutcomeIssue): Issue {
  const expression = issue.expression?.[0] ?? "the resource";
  if (/additional property/i.test(issue.details?.text ?? "")) {
    return { code: "structure", expression, text: "a field that FHIR R4 does not know" };
  }
  const rule = /constraint ([\w-]+)/i.exec(issue.details?.text ?? "")?.[1];
  const text =
    rule === undefined ? withoutValues(issue.details?.text ?? "") : `rule ${rule} does not hold`;
  return { code: (issue.code ?? "invalid") as IssueCode, expression, text };
}

function withoutValues(text: string): string {
  return (
    text
      .replace(/"[^"]*"|'[^']*'/g, "…")
      .replace(/\bgot\b.*$/i, "")
      .trim() || "not valid here"
  );
}
