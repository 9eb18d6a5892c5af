/**
 * FHIR R4 Consent, which people see, to and from the policy row that a decision reads. What cannot be
 * said exactly in a row is refused by the path of its element; nothing is approximated. What rules
 * mean: `provision.ts`. How to write a Consent that is understood: docs/policies.md.
 */
import type { Consent } from "@medplum/fhirtypes";
import { limits } from "../limits.ts";
import { CLASS_OF, categoriesOfClass, codingOfMetric, metricsOfCode } from "./consent-codes.ts";
import { ConsentElement, refuse } from "./consent-element.ts";
import { GDPR_BASIS, REFERENCE, type RowOf } from "./policy-rows.ts";
import { CONSENT_ACTIONS, type Conditions, type ConsentAction, type Rule } from "./provision.ts";
import { isPurpose, PURPOSE_SYSTEM, type PurposeOfUse, purposeAndAbove } from "./purposes.ts";

const TERMINOLOGY = "http://terminology.hl7.org/CodeSystem";
const ACT_CODE = `${TERMINOLOGY}/v3-ActCode`;
const PARTICIPATION = `${TERMINOLOGY}/v3-ParticipationType`;
const ROLE_CODE = `${TERMINOLOGY}/v3-RoleCode`;
const CONSENT_ACTION = `${TERMINOLOGY}/consentaction`;
const CONSENT_SCOPE = `${TERMINOLOGY}/consentscope`;
const DOCUMENT: Coding = { system: "http://loinc.org", code: "59284-0" };
/** R5's Consent.regulatoryBasis in R4's form, and the codes of the Data Privacy Vocabulary for the GDPR. */
const BASIS_EXTENSION =
  "http://hl7.org/fhir/5.0/StructureDefinition/extension-Consent.regulatoryBasis";
const GDPR = "https://w3id.org/dpv/legal/eu/gdpr";

type Coding = { readonly system: string; readonly code: string };

/** Kinds of statement that are about sharing data; "Do not resuscitate" is a Consent too, for instance. */
const CATEGORIES: ReadonlySet<string> = new Set([
  "http://loinc.org|59284-0",
  "http://loinc.org|57016-8",
  "http://loinc.org|64292-6",
  `${ACT_CODE}|IDSCL`,
  `${ACT_CODE}|INFA`,
  `${ACT_CODE}|RESEARCH`,
]);
const BASE_RULES: Readonly<Record<string, Rule["effect"]>> = {
  OPTIN: "permit",
  OPTINR: "permit",
  OPTOUT: "deny",
  OPTOUTE: "deny",
};
/** An actor is one who receives: other parts in a rule mean something that we do not decide. */
const ACTOR_ROLES: ReadonlySet<string> = new Set([
  `${PARTICIPATION}|IRCP`,
  `${PARTICIPATION}|PRCP`,
  `${ROLE_CODE}|GRANTEE`,
  `${ROLE_CODE}|DELEGATEE`,
]);

export interface ConsentOptions {
  /** IANA name: in which zone a date without a time begins and ends. */
  readonly timeZone: string;
}

/** Reads a Consent that others wrote.
 * @returns the row; undefined for a consent that is not in force (draft, rejected, inactive, …).
 * @throws Problem "resource-invalid", its detail the path of the element and why. */
export function parseConsent(
  resource: unknown,
  options: ConsentOptions,
): RowOf<"consent"> | undefined {
  const top = new ConsentElement(resource, "Consent", options.timeZone);
  if (top.text("resourceType") !== "Consent") refuse("Consent.resourceType", "is not Consent");
  const id = top.matching("id", /^[A-Za-z0-9.-]{1,64}$/);
  const status = top.text("status");
  const patientId = patientOf(top);
  const about = aboutOf(top);
  const basis = basisOf(top);
  for (const one of top.concepts("category", 1)) {
    if (!CATEGORIES.has(keyOf(one))) refuse("Consent.category", "is not about sharing data");
  }
  const effect = baseOf(top);
  checkAccompanying(top);
  const count = { provisions: 0 };
  const provision = top.optional("provision");
  const rule: Rule =
    provision === undefined
      ? { effect, when: {}, except: [] }
      : ruleOf(provision, { effect, depth: 1, count, inherited: undefined });
  top.end();
  checkSuffix(top, rule);
  if (about === "research") checkResearch(rule);
  if (status !== "active") {
    const known = ["draft", "proposed", "rejected", "inactive", "entered-in-error"];
    if (!known.includes(status)) refuse("Consent.status", "is not a status");
    return undefined;
  }
  return { kind: "consent", id, patientId, about, ...(basis === undefined ? {} : { basis }), rule };
}

function patientOf(top: ConsentElement): string {
  const reference = top.reference("patient");
  if (!reference.startsWith("Patient/")) refuse("Consent.patient", "is not a patient here");
  return reference.slice("Patient/".length);
}

function aboutOf(top: ConsentElement): "patient-privacy" | "research" {
  const scope = top.concept("scope");
  if (scope.system === CONSENT_SCOPE) {
    if (scope.code === "patient-privacy" || scope.code === "research") return scope.code;
  }
  return refuse("Consent.scope", "is neither patient-privacy nor research");
}

function basisOf(top: ConsentElement): string | undefined {
  const extensions = top.list("extension", 0);
  if (extensions.length > 1) refuse("Consent.extension", "says more than can be kept");
  const [extension] = extensions;
  if (extension === undefined) return undefined;
  if (extension.text("url") !== BASIS_EXTENSION) refuse(extension.path, "is not known here");
  const { system, code } = extension.concept("valueCodeableConcept");
  extension.end();
  if (system !== GDPR || !GDPR_BASIS.test(code)) refuse(extension.path, "is no basis in the GDPR");
  return code;
}

function baseOf(top: ConsentElement): Rule["effect"] {
  const { system, code } = top.concept("policyRule");
  const effect = Object.hasOwn(BASE_RULES, code) ? BASE_RULES[code] : undefined;
  if (system !== ACT_CODE || effect === undefined) {
    refuse("Consent.policyRule", "is none of OPTIN, OPTINR, OPTOUT, OPTOUTE");
  }
  return effect as Rule["effect"];
}

/** OPTINR and OPTOUTE say that there are exceptions; without one, what was to be excepted got lost. */
function checkSuffix(top: ConsentElement, rule: Rule): void {
  const { code } = top.concept("policyRule");
  if ((code === "OPTINR" || code === "OPTOUTE") && rule.except.length === 0) {
    refuse("Consent.policyRule", "speaks of exceptions, and there are none");
  }
}

/** What stands beside the rules and does not change them. */
function checkAccompanying(top: ConsentElement): void {
  for (const name of ["meta", "language", "text", "identifier", "dateTime"]) top.ignore(name);
  for (const name of ["performer", "organization", "sourceReference"]) top.ignore(name);
  for (const one of top.list("verification", 0)) {
    if (one.flag("verified") !== true) refuse(`${one.path}.verified`, "is not true");
    one.ignore("verifiedWith");
    one.ignore("verificationDate");
    one.end();
  }
}

/** A research consent that also spoke of care would be read by neither as it was meant. */
function checkResearch(rule: Rule): void {
  const purposes = rule.when.purposes ?? [];
  if (purposes.length === 0 || !purposes.every((one) => purposeAndAbove(one).includes("HRESCH"))) {
    refuse("Consent.provision.purpose", "names no purpose of research");
  }
}

interface Place {
  /** Of the root: what policyRule says. */
  readonly effect: Rule["effect"];
  readonly depth: number;
  readonly count: { provisions: number };
  /** The effect of the rule around; undefined at the root. */
  readonly inherited: Rule["effect"] | undefined;
}

function ruleOf(element: ConsentElement, place: Place): Rule {
  place.count.provisions += 1;
  if (place.count.provisions > limits.consentProvisionsMax) refuse(element.path, "is one too many");
  if (place.depth > limits.consentDepthMax) refuse(element.path, "is nested too deep");
  const effect = effectOf(element, place);
  const when = conditionsOf(element);
  const except = element
    .list("provision", 0)
    .map((one) => ruleOf(one, { ...place, depth: place.depth + 1, inherited: effect }));
  element.end();
  return { effect, when, except };
}

function effectOf(element: ConsentElement, place: Place): Rule["effect"] {
  const type = element.optionalText("type");
  const path = `${element.path}.type`;
  if (type !== undefined && type !== "permit" && type !== "deny") refuse(path, "is no type");
  const effect = type as Rule["effect"] | undefined;
  if (place.inherited === undefined) {
    if (effect !== undefined && effect !== place.effect) refuse(path, "contradicts policyRule");
    return place.effect;
  }
  if (effect === undefined) return refuse(path, "is missing");
  // An exception that excepts nothing was meant otherwise than it reads.
  if (effect === place.inherited) refuse(path, "is that of the rule it excepts from");
  return effect;
}

function conditionsOf(element: ConsentElement): Conditions {
  const period = element.period("period");
  const data = element.period("dataPeriod");
  return withoutUndefined({
    actors: nonEmpty(element.list("actor", 0).map(actorOf)),
    actions: nonEmpty(element.concepts("action", 0).map(actionOf(element.path))),
    purposes: nonEmpty(element.codings("purpose").map(purposeOf(element.path))),
    categories: nonEmpty(
      element
        .codings("class")
        .flatMap(
          (one) => categoriesOfClass(one) ?? refuse(`${element.path}.class`, "is not kept here"),
        ),
    ),
    codes: nonEmpty(
      element
        .conceptLists("code")
        .flatMap((codings) => sameMetrics(codings, `${element.path}.code`)),
    ),
    fromMs: period.fromMs,
    untilMs: period.untilMs,
    dataFromMs: data.fromMs,
    dataUntilMs: data.untilMs,
  });
}

function actorOf(element: ConsentElement): string {
  if (!ACTOR_ROLES.has(keyOf(element.concept("role")))) {
    refuse(`${element.path}.role`, "is not one who receives data");
  }
  const reference = element.reference("reference");
  element.end();
  if (!REFERENCE.test(reference)) refuse(`${element.path}.reference`, "is no actor known here");
  return reference;
}

function actionOf(path: string): (coding: Coding) => ConsentAction {
  return ({ system, code }) => {
    const action = CONSENT_ACTIONS.find((one) => one === code);
    if (system !== CONSENT_ACTION || action === undefined) {
      return refuse(`${path}.action`, "is none of collect, access, use, disclose");
    }
    return action;
  };
}

function purposeOf(path: string): (coding: Coding) => PurposeOfUse {
  return ({ system, code }) => {
    if (system !== PURPOSE_SYSTEM || !isPurpose(code)) {
      return refuse(`${path}.purpose`, "is no HL7 v3 PurposeOfUse");
    }
    return code;
  };
}

/** Codings of one concept say the same thing in several systems; where they do not, it is unclear. */
function sameMetrics(codings: readonly Coding[], path: string): string[] {
  const meant = codings.map((one) => metricsOfCode(one) ?? refuse(path, "is not measured here"));
  if (new Set(meant.map((one) => one.join())).size !== 1) refuse(path, "means several things");
  return meant[0] ?? [];
}

function keyOf({ system, code }: Coding): string {
  return `${system}|${code}`;
}

/** Sorted and each once: one meaning has one form. */
function nonEmpty<T extends string>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : [...new Set(list)].sort();
}

function withoutUndefined(conditions: Conditions): Conditions {
  return Object.fromEntries(Object.entries(conditions).filter(([, value]) => value !== undefined));
}

/** The Consent that people see of a row; `parseConsent` of it gives the same row again. */
export function toConsent(row: RowOf<"consent">): Consent {
  const hasExceptions = row.rule.except.length > 0;
  const code = row.rule.effect === "permit" ? "OPTIN" : "OPTOUT";
  const suffix = hasExceptions ? (code === "OPTIN" ? "R" : "E") : "";
  return {
    resourceType: "Consent",
    id: row.id,
    status: "active",
    scope: concept({ system: CONSENT_SCOPE, code: row.about }),
    category: [concept(DOCUMENT)],
    patient: { reference: `Patient/${row.patientId}` },
    policyRule: concept({ system: ACT_CODE, code: `${code}${suffix}` }),
    ...(row.basis === undefined
      ? {}
      : {
          extension: [
            {
              url: BASIS_EXTENSION,
              valueCodeableConcept: concept({ system: GDPR, code: row.basis }),
            },
          ],
        }),
    provision: toProvision(row.rule, true),
  };
}

type Provision = NonNullable<Consent["provision"]>;

function toProvision({ effect, when, except }: Rule, isRoot: boolean): Provision {
  const actor = (reference: string) => ({
    role: concept({ system: PARTICIPATION, code: "IRCP" }),
    reference: { reference },
  });
  const provision = {
    type: isRoot ? undefined : effect,
    period: toPeriod(when.fromMs, when.untilMs),
    actor: when.actors?.map(actor),
    action: when.actions?.map((code) => concept({ system: CONSENT_ACTION, code })),
    purpose: when.purposes?.map((code) => ({ system: PURPOSE_SYSTEM, code })),
    class: when.categories?.map((one) => ({ ...CLASS_OF[one] })),
    code: when.codes?.map((one) => concept(codingOfMetric(one))),
    dataPeriod: toPeriod(when.dataFromMs, when.dataUntilMs),
    provision: except.length === 0 ? undefined : except.map((one) => toProvision(one, false)),
  };
  return Object.fromEntries(
    Object.entries(provision).filter(([, value]) => value !== undefined),
  ) as Provision;
}

/** FHIR's end is the last instant within, ours the first after it; FHIR times here end at a millisecond. */
function toPeriod(fromMs: number | undefined, untilMs: number | undefined) {
  if (fromMs === undefined && untilMs === undefined) return undefined;
  return {
    ...(fromMs === undefined ? {} : { start: new Date(fromMs).toISOString() }),
    ...(untilMs === undefined ? {} : { end: new Date(untilMs - 1).toISOString() }),
  };
}

function concept(coding: Coding) {
  return { coding: [{ ...coding }] };
}
