/**
 * Why a decision is as it is: in full for officers, and in plain words for the one who asked, which
 * say nothing of the patient. Pure.
 */

import { type Asked, type Diagnostic, decideByPolicy, type PolicyDecision } from "./policy.ts";
import type { Policies, PolicyEntry } from "./policy-files.ts";
import type { ProvisionUsed } from "./provision.ts";
import { scopeOf } from "./scope.ts";

export interface Explanation {
  readonly verdict: "permitted" | "permitted in part" | "denied";
  /** The policies that determined it; of a denial the forbidding ones, none when nothing permits. */
  readonly policies: readonly Pick<PolicyEntry, "id" | "title" | "words" | "effect">[];
  readonly provisions: readonly ProvisionUsed[];
  readonly relation: PolicyDecision["relation"];
  readonly diagnostics: readonly Diagnostic[];
  /** Which edition of the policies it was, SHA-256. */
  readonly version: string;
  /** The same as sentences, most decisive first. */
  readonly sentences: readonly string[];
}

/** For officers, who may know that there are consents, and of whom. Holds ids of consents, no values. */
export function explainToOfficer(policies: Policies, decision: PolicyDecision): Explanation {
  const entries = decision.policies
    .map((id) => policies.entries.get(id))
    .filter((entry) => entry !== undefined)
    .map(({ id, title, words, effect }) => ({ id, title, words, effect }));
  const diagnostics = decision.permitted ? [] : decision.diagnostics;
  const verdict = !decision.permitted
    ? "denied"
    : decision.whole
      ? "permitted"
      : "permitted in part";
  return {
    verdict,
    policies: entries,
    provisions: decision.provisions,
    relation: decision.relation,
    diagnostics,
    version: decision.version,
    sentences: sentencesOf(verdict, entries, decision, diagnostics),
  };
}

function sentencesOf(
  verdict: Explanation["verdict"],
  entries: Explanation["policies"],
  decision: PolicyDecision,
  diagnostics: readonly Diagnostic[],
): string[] {
  const lines = [`The request was ${verdict}.`];
  for (const one of diagnostics)
    lines.push(`It could not be decided properly (${one}), so it was denied.`);
  for (const { id, title, effect } of entries) {
    lines.push(`Policy "${title}" (${id}) ${effect === "permit" ? "permits" : "forbids"} it.`);
  }
  if (entries.length === 0 && diagnostics.length === 0) lines.push("No policy permits it.");
  lines.push(RELATION_WORDS[decision.relation]);
  for (const { consentId, path, effect } of decision.provisions) {
    lines.push(
      `Consent ${consentId}, ${path}: ${effect === "permit" ? "permits" : "denies"} a part.`,
    );
  }
  return lines;
}

const RELATION_WORDS: Readonly<Record<PolicyDecision["relation"], string>> = {
  self: "The person asked for their own record.",
  "care-team": "The person belonged to the patient's care team.",
  relative: "The patient had delegated access to the person.",
  guardian: "The person was the patient's guardian.",
  none: "No care relation or delegation was on record.",
};

/** What the one who asked may read. The first that applies is said; the last is said otherwise. */
export const REFUSALS = {
  "account-suspended": "Your account is suspended. Ask an administrator of your organisation.",
  "not-signed-in": "You are no longer signed in. Sign in again.",
  "journal-people":
    "The log cannot be written at the moment, so records stay closed but for emergencies.",
  "auditor-log-only": "As an auditor you can read the log, and nothing else.",
  "administrator-no-patient-data": "As an administrator you cannot open patients' data.",
  "device-engineer-no-patient-data": "As a device engineer you cannot open patients' data.",
  "privacy-officer-no-patient-data": "As a privacy officer you cannot open patients' data.",
  "researcher-no-patient-data": "As a researcher you can see released results, not patients' data.",
  "purpose-not-for-people": "Patients' data are not opened for the purpose you gave.",
} as const satisfies Record<string, string>;
export const NOTHING_HERE = "There is nothing here, or not for you.";
export const PERMITTED = "You see what is yours to see. It may not be all there is.";

/** Plain words for the one who asked. Made from who asks, what for and why alone, never from the
 * patient's records: they read the same whether or not there is such a patient, a consent, a pause. */
export function explainToAsker(policies: Policies, asked: Asked, decision: PolicyDecision): string {
  if (decision.permitted) return PERMITTED;
  const { policies: forbidding } = decideByPolicy(policies, ofNobody(asked));
  const said = Object.entries(REFUSALS).find(([id]) => forbidding.includes(id));
  return said?.[1] ?? NOTHING_HERE;
}

/** The same question about a patient who is not there. */
function ofNobody(asked: Asked): Asked {
  const { resource } = asked;
  const patient = { id: "nobody" };
  const blank = { ...asked, rows: [] };
  if (resource.type === "Data") {
    return { ...blank, resource: { type: "Data", patient, scope: scopeOf() } };
  }
  return "patient" in resource ? { ...blank, resource: { ...resource, patient } } : blank;
}
