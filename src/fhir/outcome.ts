/** Refusals that name several places at once: the FHIR door's richer form of a Problem. */
import type { OperationOutcome } from "@medplum/fhirtypes";
import { type IssueCode, Problem, type ProblemCode } from "../problems.ts";

export interface Issue {
  readonly code: IssueCode;
  /** "Observation.component[1].valueQuantity.code". */
  readonly expression: string;
  /** What should be there; never the value that was. */
  readonly text: string;
}

const ISSUES_SHOWN_MAX = 20;

export class FhirRefusal extends Problem {
  readonly issues: readonly Issue[];
  constructor(code: ProblemCode, issues: readonly Issue[]) {
    super(code, { detail: issues.slice(0, 3).map(sentence).join("; ") });
    this.name = "FhirRefusal";
    this.issues = issues;
  }
}

function sentence({ expression, text }: Issue): string {
  return `${expression}: ${text}`;
}

/** FHIR R4 OperationOutcome with an issue for each place. */
export function refusalOutcome(refusal: FhirRefusal): OperationOutcome {
  return {
    resourceType: "OperationOutcome",
    issue: refusal.issues.slice(0, ISSUES_SHOWN_MAX).map(({ code, expression, text }) => ({
      severity: "error",
      code,
      details: {
        coding: [{ system: "https://vitalward.example/problems", code: refusal.code }],
        text: refusal.row.title,
      },
      diagnostics: text,
      expression: [expression],
    })),
  };
}
