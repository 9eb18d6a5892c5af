/**
 * Decides by the Cedar policies of `policies/`: who asks, for what, why and in which situation, in;
 * permit or denial with the policies that determined it, out. Pure: what it reads was gathered
 * before. Whatever fails, is missing or unknown is a denial; diagnostics name the attribute or the
 * policy, never a person, a patient or a value.
 */

import { limits } from "../limits.ts";
import { type ConsentState, evaluate } from "./evaluate.ts";
import type { Compartment } from "./permit.ts";
import type { Duty, Policies, PolicyEntry } from "./policy-files.ts";
import { type PolicyRow, REFERENCE, type RowOf } from "./policy-rows.ts";
import {
  CONSENT_ACTION_OF,
  type DataAction,
  type ProvisionUsed,
  type Rule,
  type Weighed,
  weigh,
} from "./provision.ts";
import type { PurposeOfUse } from "./purposes.ts";
import type { PolicyRole, ServiceName } from "./roles.ts";
import {
  asAsked,
  intersect,
  isNothing,
  isSame,
  NOTHING,
  ofCategories,
  type Scope,
  scopeOf,
  unite,
  without,
} from "./scope.ts";

/** UTC ms, until just before the second. */
export interface Period {
  readonly fromMs: number;
  readonly untilMs: number;
}

export type Asking =
  | {
      readonly kind: "person";
      readonly id: string;
      /** The one role of this session. */
      readonly role: PolicyRole;
      readonly suspended: boolean;
      /** Their own record here. */
      readonly patientId?: string | undefined;
      /** All FHIR references that mean them: "Practitioner/…", their organisations, care teams. */
      readonly references: readonly string[];
    }
  | { readonly kind: "service"; readonly id: ServiceName };

export interface PatientFacts {
  readonly id: string;
  /** When the law holds them for of age, and lets them decide about sharing; with a known birth. */
  readonly adultFromMs?: number | undefined;
  readonly ownSharingFromMs?: number | undefined;
}

export type Resource =
  | { readonly type: "Data"; readonly patient: PatientFacts; readonly scope: Scope }
  | { readonly type: "AccessHistory" | "Sharing"; readonly patient: PatientFacts }
  | {
      readonly type: "Devices" | "Log" | "Decisions" | "ConsentRegister" | "Organisation";
    }
  | { readonly type: "Aggregate"; readonly released: boolean }
  | { readonly type: "BreakGlassCase"; readonly byPersonId: string };

export type PolicyAction =
  | DataAction
  | "read-history"
  | "change-sharing"
  | "read-devices"
  | "manage-devices"
  | "read-log"
  | "read-decisions"
  | "read-consents"
  | "administer"
  | "read-aggregate"
  | "review-break-glass";

/** Everything a decision reads. A part that is not there never helps the one who asks. */
export interface Asked {
  readonly principal: Asking;
  readonly action: PolicyAction;
  readonly resource: Resource;
  readonly purpose: PurposeOfUse;
  readonly nowMs: number;
  /** Whether the log can be written, or only the emergency journal. */
  readonly log: "appending" | "journal";
  readonly session?: Period | undefined;
  /** When the person is on duty. */
  readonly shift?: Period | undefined;
  /** A service's standing permit for this patient. */
  readonly standing?: Period | undefined;
  readonly breakGlass?: (Period & { readonly reasonCharacters: number }) | undefined;
  /** The policy rows of the patient, all of them. */
  readonly rows: readonly PolicyRow[];
}

/** Why no decision could be made properly; the answer is no. */
export type Diagnostic =
  | "nothing-asked"
  | "too-many-rows"
  | "row-of-another-patient"
  | "row-of-unknown-kind"
  | "several-delegations"
  | "evaluation-failed"
  | `attribute-missing: ${string}`
  | "request-outside-schema"
  | `policy-failed: ${string}`;

interface Basis {
  /** The ids that determined it; for a denial the forbidding ones, none when nothing permits. */
  readonly policies: readonly string[];
  /** Provisions of consents that decided a part. */
  readonly provisions: readonly ProvisionUsed[];
  /** How the person is tied to the patient, by what was read. */
  readonly relation: "self" | "care-team" | "relative" | "guardian" | "none";
  readonly version: string;
}

export type PolicyDecision =
  | (Basis & {
      readonly permitted: true;
      /** What may be opened; nothing for what is no patient's data. */
      readonly scope: Scope;
      /** True when this is all that was asked for. */
      readonly whole: boolean;
      readonly duties: readonly Duty[];
      /** The next instant at which the answer may change by time alone. */
      readonly untilMs: number;
    })
  | (Basis & { readonly permitted: false; readonly diagnostics: readonly Diagnostic[] });

export function decideByPolicy(policies: Policies, asked: Asked): PolicyDecision {
  try {
    return decideOrFail(policies, asked);
  } catch {
    return denial(policies, "evaluation-failed");
  }
}

function decideOrFail(policies: Policies, asked: Asked): PolicyDecision {
  const rows = rowsFor(asked);
  if (typeof rows === "string") return denial(policies, rows);
  const base = { provisions: [] as readonly ProvisionUsed[], relation: relationOf(asked, rows) };
  if (asked.resource.type !== "Data") {
    const answer = evaluate(policies, asked, rows, { consent: "not-asked" });
    const basis = { ...base, policies: answer.policies, version: policies.version };
    if (!answer.allowed) return { ...basis, permitted: false, diagnostics: answer.diagnostics };
    const duties = dutiesOf(policies, answer.policies);
    const untilMs = nextChangeMs(asked, rows, undefined);
    return { ...basis, permitted: true, scope: NOTHING, whole: true, duties, untilMs };
  }
  return decideData(policies, asked, asked.resource.scope, rows, base.relation);
}

function denial(policies: Policies, diagnostic: Diagnostic): PolicyDecision {
  const basis = {
    policies: [],
    provisions: [],
    relation: "none",
    version: policies.version,
  } as const;
  return { ...basis, permitted: false, diagnostics: [diagnostic] };
}

/** One evaluation a group of categories that no policy can tell apart; the parts are united. */
function decideData(
  policies: Policies,
  asked: Asked,
  scope: Scope,
  rows: RowsFor,
  relation: Basis["relation"],
): PolicyDecision {
  const wanted = asAsked(scope);
  if (isNothing(wanted)) return denial(policies, "nothing-asked");
  const weighed = weighFor(asked, rows, wanted);
  const determining = new Set<string>();
  const forbidding = new Set<string>();
  const diagnostics = new Set<Diagnostic>();
  let permitted = NOTHING;
  for (const { category, categories, consent } of groupsOf(policies, wanted, weighed)) {
    const answer = evaluate(policies, asked, rows, { consent, category });
    for (const one of answer.diagnostics) diagnostics.add(one);
    for (const id of answer.policies) (answer.allowed ? determining : forbidding).add(id);
    if (!answer.allowed) continue;
    const part = ofCategories(wanted, categories);
    for (const id of answer.policies) {
      permitted = unite(permitted, openedBy(policies.entries.get(id), part, weighed, asked, rows));
    }
  }
  const basis = { provisions: weighed.used, relation, version: policies.version };
  if (diagnostics.size > 0 || isNothing(permitted)) {
    const reasons = { policies: [...forbidding], diagnostics: [...diagnostics] };
    return { ...basis, ...reasons, permitted: false };
  }
  return {
    ...basis,
    permitted: true,
    policies: [...determining],
    scope: permitted,
    whole: isSame(permitted, wanted),
    duties: dutiesOf(policies, [...determining]),
    untilMs: nextChangeMs(asked, rows, weighed),
  };
}

function weighFor(asked: Asked, rows: RowsFor, wanted: Scope): Weighed {
  const { principal, purpose, nowMs } = asked;
  const references = principal.kind === "person" ? principal.references : [];
  const action = asked.action as DataAction;
  return weigh(rows.consents, { references, action, purpose, nowMs }, wanted);
}

/** Categories that no policy names and of which consents say the same are decided together. */
function groupsOf(policies: Policies, wanted: Scope, { permitted, denied }: Weighed) {
  const groups = new Map<
    string,
    { category: Compartment; categories: Compartment[]; consent: ConsentState }
  >();
  for (const category of wanted.keys()) {
    const consent: ConsentState = isNothing(without(ofCategories(wanted, [category]), denied))
      ? "denies"
      : permitted.has(category)
        ? "permits"
        : "silent";
    const key = policies.namedCategories.includes(category) ? category : consent;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { category, categories: [category], consent });
    else group.categories.push(category);
  }
  return groups.values();
}

/** What a permitting policy opens of a part, by its @part. */
function openedBy(
  policy: PolicyEntry | undefined,
  part: Scope,
  { permitted, denied }: Weighed,
  asked: Asked,
  { delegation }: RowsFor,
): Scope {
  if (policy?.part === "everything") return part;
  if (policy?.part === "not-denied") return without(part, denied);
  if (policy?.part === "permitted") return intersect(part, permitted);
  if (policy?.part === "delegated" && delegation !== undefined && isDataAction(asked.action)) {
    return without(intersect(part, scopeOf(delegation)), denied);
  }
  return NOTHING;
}

function isDataAction(action: PolicyAction): action is DataAction {
  return Object.hasOwn(CONSENT_ACTION_OF, action);
}

function dutiesOf(policies: Policies, ids: readonly string[]): Duty[] {
  return [...new Set(ids.flatMap((id) => policies.entries.get(id)?.duties ?? []))];
}

const ROW_KINDS: readonly PolicyRow["kind"][] = ["consent", "delegation", "care-team", "pause"];

/** The rows that concern this person. */
export interface RowsFor {
  readonly consents: readonly RowOf<"consent">[];
  readonly delegation: RowOf<"delegation"> | undefined;
  readonly careTeam: RowOf<"care-team"> | undefined;
  readonly pause: RowOf<"pause"> | undefined;
  /** Every instant named by a row, for how long the answer holds. */
  readonly edgesMs: readonly number[];
}

function rowsFor(asked: Asked): RowsFor | Diagnostic {
  const { rows, resource, principal, nowMs } = asked;
  if (rows.length > limits.decisionRowsMax) return "too-many-rows";
  const patientId = "patient" in resource ? resource.patient?.id : undefined;
  if (rows.some((row) => row.patientId !== patientId)) return "row-of-another-patient";
  if (rows.some((row) => !ROW_KINDS.includes(row.kind))) return "row-of-unknown-kind";
  const references = principal.kind === "person" ? principal.references : [];
  // Without them a denial that names this person would not be found.
  if (principal.kind === "person" && !areReferences(references)) {
    return "attribute-missing: references";
  }
  if (principal.kind !== "person" && principal.kind !== "service") return "attribute-missing: kind";
  const ofKind = <K extends PolicyRow["kind"]>(kind: K) =>
    rows.filter((row): row is RowOf<K> => row.kind === kind);
  const delegations = ofKind("delegation").filter((row) => references.includes(row.to));
  if (delegations.filter((row) => isNow(row, nowMs)).length > 1) return "several-delegations";
  const careTeams = ofKind("care-team").filter((row) => references.includes(row.member));
  const pauses = ofKind("pause").filter(
    (row) => row.actors === undefined || row.actors.some((one) => references.includes(one)),
  );
  const edgesMs = [...delegations, ...careTeams, ...pauses]
    .flatMap((row) => [row.fromMs, row.untilMs])
    .filter((ms) => ms !== undefined);
  const consents = ofKind("consent");
  const provisions = consents.reduce((sum, { rule }) => sum + provisionsOf(rule), 0);
  if (provisions > limits.decisionProvisionsMax) return "too-many-rows";
  return {
    consents,
    delegation: nowOrLast(delegations, nowMs),
    careTeam: nowOrLast(careTeams, nowMs),
    pause: nowOrLast(pauses, nowMs),
    edgesMs,
  };
}

function provisionsOf(rule: Rule): number {
  return rule.except.reduce((sum, one) => sum + provisionsOf(one), 1);
}

function areReferences(references: readonly string[]): boolean {
  return references.length > 0 && Array.from(references).every((one) => REFERENCE.test(one));
}

interface Lasting {
  readonly fromMs: number;
  readonly untilMs?: number | undefined;
}

function isNow({ fromMs, untilMs }: Lasting, nowMs: number): boolean {
  return fromMs <= nowMs && nowMs < (untilMs ?? Infinity);
}

/** The one that holds now, else one that does not: a policy judges it, and explains it. */
function nowOrLast<T extends Lasting>(rows: readonly T[], nowMs: number): T | undefined {
  return rows.find((row) => isNow(row, nowMs)) ?? rows.at(-1);
}

function relationOf(asked: Asked, rows: RowsFor): Basis["relation"] {
  const { principal, resource, nowMs } = asked;
  const patientId = "patient" in resource ? resource.patient?.id : undefined;
  if (principal.kind !== "person" || patientId === undefined) return "none";
  if (principal.patientId === patientId) return "self";
  if (rows.careTeam !== undefined && isNow(rows.careTeam, nowMs)) return "care-team";
  if (rows.delegation !== undefined && isNow(rows.delegation, nowMs)) return rows.delegation.as;
  return "none";
}

function nextChangeMs(asked: Asked, rows: RowsFor, weighed: Weighed | undefined): number {
  const { session, shift, standing, breakGlass, resource, nowMs } = asked;
  const patient = "patient" in resource ? resource.patient : undefined;
  const edges = [session, shift, standing, breakGlass].flatMap((one) =>
    one === undefined ? [] : [one.fromMs, one.untilMs],
  );
  const ages = [patient?.adultFromMs, patient?.ownSharingFromMs].filter((ms) => ms !== undefined);
  const later = [...edges, ...ages, ...rows.edgesMs].filter((ms) => ms > nowMs);
  return Math.min(...later, weighed?.untilMs ?? Infinity);
}
