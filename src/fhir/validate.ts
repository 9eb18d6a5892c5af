/** Untrusted JSON → an Observation that we would be willing to hand out again. */
import {
  indexStructureDefinitionBundle,
  OperationOutcomeError,
  validateResource,
} from "@medplum/core";
import type { Observation, OperationOutcomeIssue, Patient, Resource } from "@medplum/fhirtypes";
import type { IssueCode } from "../problems.ts";
import { bindingFaults } from "./bindings.ts";
import { definitions } from "./definitions/definitions.ts";
import { FhirRefusal, type Issue } from "./outcome.ts";
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
  const issues: Issue[] = [
    ...structureFaults(resource),
    ...bindingFaults(resource).map(({ expression, valueSet }) => ({
      code: "code-invalid" as const,
      expression,
      text: `the code is not in the required value set ${valueSet}`,
    })),
  ];
  if (issues.length > 0) throw new FhirRefusal("resource-invalid", issues);
  return resource;
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
    if (!(error instanceof OperationOutcomeError)) throw error;
    return (error.outcome.issue ?? [])
      .filter((issue) => issue.severity === "error" || issue.severity === "fatal")
      .map(toIssue);
  }
}

/** The library's words name fields and rules; anything in quotes that is not a field name is left out. */
function toIssue(issue: OperationOutcomeIssue): Issue {
  const expression = issue.expression?.[0] ?? "the resource";
  // A field that FHIR does not know was named by the caller: its name may be anything, a person's too.
  const unknown = /additional property "([\s\S]*)"/i.exec(issue.details?.text ?? "")?.[1];
  if (unknown !== undefined) {
    const known = expression.endsWith(`.${unknown}`)
      ? expression.slice(0, -unknown.length - 1)
      : "the resource";
    return { code: "structure", expression: known, text: "a field that FHIR R4 does not know" };
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
