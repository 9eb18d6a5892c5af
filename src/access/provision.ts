/**
 * Consent as a decision reads it: rules with exceptions, and exceptions of exceptions, and what they
 * leave of a scope. Pure.
 *
 * The meaning (FHIR R4 §6.2, Consent.provision): a rule speaks of what all its conditions match; what
 * none of its exceptions speaks of has the rule's own effect; an exception speaks only within the rule
 * that it excepts from. Where two exceptions, or two consents, disagree, the denial holds.
 *
 * Research is stricter than FHIR demands: who opted in to sharing did not thereby agree to research, so
 * a permission counts only where its rule, or one around it, names the purpose; and who asks for
 * research in general is also held to what is denied to one kind of it.
 */
import type { Action, Compartment } from "./permit.ts";
import { type PurposeOfUse, purposeAndAbove } from "./purposes.ts";
import {
  intersect,
  isNothing,
  NOTHING,
  type Scope,
  scopeOf,
  unite,
  uniteAll,
  without,
} from "./scope.ts";

/** FHIR's consent actions (http://terminology.hl7.org/CodeSystem/consentaction) that are done here. "correct"
 * is not: nothing stored is changed. */
export const CONSENT_ACTIONS = ["collect", "access", "use", "disclose"] as const;
export type ConsentAction = (typeof CONSENT_ACTIONS)[number];

/** What people do here, in FHIR's words: looking is "access", taking out is "disclose", adding is
 * "collect", and working with it unseen, as maintenance and research's sums do, is "use". */
export const CONSENT_ACTION_OF: Readonly<Record<DataAction, ConsentAction>> = {
  read: "access",
  search: "access",
  subscribe: "access",
  export: "disclose",
  create: "collect",
  maintain: "use",
  aggregate: "use",
};
export type DataAction = Action | "aggregate";

/** All that are there must hold; within one list any entry is enough. */
export interface Conditions {
  /** FHIR references: "Practitioner/…", "RelatedPerson/…", "Organization/…", "CareTeam/…". */
  readonly actors?: readonly string[] | undefined;
  readonly actions?: readonly ConsentAction[] | undefined;
  readonly purposes?: readonly PurposeOfUse[] | undefined;
  readonly categories?: readonly Compartment[] | undefined;
  /** MDC codes, decimal. */
  readonly codes?: readonly string[] | undefined;
  /** When the rule holds: UTC ms, until just before the second. */
  readonly fromMs?: number | undefined;
  readonly untilMs?: number | undefined;
  /** Which data it is about, by their time. */
  readonly dataFromMs?: number | undefined;
  readonly dataUntilMs?: number | undefined;
}

export interface Rule {
  readonly effect: "permit" | "deny";
  readonly when: Conditions;
  readonly except: readonly Rule[];
}

/** Who asks for what, as rules see it. */
export interface Asker {
  /** All references that mean the one who asks: the person's own, organisations, care teams. */
  readonly references: readonly string[];
  readonly action: DataAction;
  readonly purpose: PurposeOfUse;
  readonly nowMs: number;
}

/** A provision that decided a part of what was asked. */
export interface ProvisionUsed {
  readonly consentId: string;
  /** FHIRPath-like: "Consent.provision.provision[0]". */
  readonly path: string;
  readonly effect: "permit" | "deny";
}

export interface Weighed {
  readonly permitted: Scope;
  readonly denied: Scope;
  readonly used: readonly ProvisionUsed[];
  /** The next instant at which a rule begins or ends: a decision holds no longer. */
  readonly untilMs: number;
}

/** What consents say of a scope; what is in neither part, no consent speaks of. */
export function weigh(
  consents: readonly { readonly id: string; readonly rule: Rule }[],
  asker: Asker,
  asked: Scope,
): Weighed {
  const used: ProvisionUsed[] = [];
  const each = consents.map(({ id, rule }) => {
    const note = (path: string, effect: Rule["effect"]) =>
      used.push({ consentId: id, path, effect });
    const place = { path: "Consent.provision", isNamed: !isResearch(asker.purpose) };
    return weighRule(rule, asker, asked, place, note);
  });
  const denied = uniteAll(each.map((one) => one.denied));
  const permitted = without(uniteAll(each.map((one) => one.express)), denied);
  const untilMs = Math.min(...consents.map(({ rule }) => nextChangeMs(rule, asker.nowMs)));
  return { permitted, denied, used, untilMs };
}

interface Place {
  readonly path: string;
  /** Whether a permission here counts: always, but for research only within a rule that names it. */
  readonly isNamed: boolean;
}

/** What one rule says: `express` is the part of `permitted` that counts as a permission; the rest is
 * only excepted from a denial. */
interface Said {
  readonly permitted: Scope;
  readonly express: Scope;
  readonly denied: Scope;
}
const SILENT: Said = { permitted: NOTHING, express: NOTHING, denied: NOTHING };

function weighRule(
  rule: Rule,
  asker: Asker,
  asked: Scope,
  { path, isNamed: isNamedAbove }: Place,
  note: (path: string, effect: Rule["effect"]) => void,
): Said {
  const isMeant = matches(rule.when, asker);
  if (!isMeant && !deniesPartOf(rule, asker)) return SILENT;
  const area = intersect(asked, scopeOf(rule.when));
  if (isNothing(area)) return SILENT;
  const isNamed = isNamedAbove || (isMeant && rule.when.purposes !== undefined);
  const each = rule.except.map((exception, i) =>
    weighRule(exception, asker, area, { path: `${path}.provision[${i}]`, isNamed }, note),
  );
  const denied = uniteAll(each.map((one) => one.denied));
  const permitted = without(uniteAll(each.map((one) => one.permitted)), denied);
  const express = without(uniteAll(each.map((one) => one.express)), denied);
  const own = without(without(area, permitted), denied);
  if (!isNothing(own) && (rule.effect === "deny" || isNamed)) note(path, rule.effect);
  // Excepted for one kind of research is not permitted for all of it.
  if (!isMeant) return { ...SILENT, denied: unite(denied, own) };
  return rule.effect === "permit"
    ? { permitted: unite(permitted, own), express: isNamed ? unite(express, own) : express, denied }
    : { permitted, express, denied: unite(denied, own) };
}

function isResearch(purpose: PurposeOfUse): boolean {
  return purposeAndAbove(purpose).includes("HRESCH");
}

/** Whether the rule denies one kind of the research that is asked for; else asking more broadly would
 * pass it by. Of research only: who refuses one kind of care does not refuse all care. */
function deniesPartOf({ effect, when }: Rule, asker: Asker): boolean {
  if (effect !== "deny" || !isResearch(asker.purpose)) return false;
  const isPart = when.purposes?.some((one) => purposeAndAbove(one).includes(asker.purpose));
  return isPart === true && matches({ ...when, purposes: undefined }, asker);
}

/** Whether the conditions on who, what, why and when hold; those on data cut the scope. */
export function matches(when: Conditions, asker: Asker): boolean {
  const action = CONSENT_ACTION_OF[asker.action];
  const above = purposeAndAbove(asker.purpose);
  return (
    (when.actors === undefined || when.actors.some((one) => asker.references.includes(one))) &&
    (when.actions === undefined || when.actions.includes(action)) &&
    (when.purposes === undefined || when.purposes.some((one) => above.includes(one))) &&
    (when.fromMs ?? -Infinity) <= asker.nowMs &&
    asker.nowMs < (when.untilMs ?? Infinity)
  );
}

function nextChangeMs(rule: Rule, nowMs: number): number {
  const later = [rule.when.fromMs, rule.when.untilMs].filter(
    (ms): ms is number => ms !== undefined && ms > nowMs,
  );
  return Math.min(...later, ...rule.except.map((one) => nextChangeMs(one, nowMs)));
}
