/** One question to the Cedar engine: entities and context in its own form, and its answer in ours. */
import {
  type CedarValueJson,
  type EntityJson,
  type StatefulAuthorizationCall,
  statefulIsAuthorized,
} from "@cedar-policy/cedar-wasm/nodejs";
import type { Compartment } from "./permit.ts";
import type {
  Asked,
  Asking,
  Diagnostic,
  PatientFacts,
  Period,
  Resource,
  RowsFor,
} from "./policy.ts";
import type { Policies } from "./policy-files.ts";

/** As schema.cedarschema has it. */
export type ConsentState = "denies" | "permits" | "silent" | "not-asked";

/** An open end, as the policies see it. */
const FAR_MS = Date.UTC(9999, 11, 31);

export interface Answer {
  readonly allowed: boolean;
  readonly policies: readonly string[];
  readonly diagnostics: readonly Diagnostic[];
}

/** One category, and what consents say of it; "not-asked" for what is no patient's data. */
export interface PartAsked {
  readonly consent: ConsentState;
  readonly category?: Compartment;
}

/** Asks the engine. Anything but a clean answer is a no. */
export function evaluate(policies: Policies, asked: Asked, rows: RowsFor, part: PartAsked): Answer {
  const answer = statefulIsAuthorized(callOf(policies, asked, rows, part));
  if (answer.type === "failure") {
    return no(answer.errors.map((error) => diagnosticOf(error.message)));
  }
  const { decision, diagnostics } = answer.response;
  // Cedar leaves out a policy that fails; it might have been the one that forbids.
  if (diagnostics.errors.length > 0) {
    return no(diagnostics.errors.map(({ policyId }) => `policy-failed: ${policyId}` as const));
  }
  return { allowed: decision === "allow", policies: diagnostics.reason, diagnostics: [] };
}

function no(diagnostics: readonly Diagnostic[]): Answer {
  return { allowed: false, policies: [], diagnostics };
}

/** Attributes of the schema; the engine's own words may hold ids, so only these are repeated. */
const ATTRIBUTES: ReadonlySet<string> = new Set([
  ...["suspended", "patient", "category", "released", "by", "now", "purpose", "consent", "log"],
  ...["from", "until", "kind", "reasonCharacters"],
]);

function diagnosticOf(message: string): Diagnostic {
  const name = /to have (?:an )?attribute `(\w+)`/.exec(message)?.[1];
  if (name !== undefined && ATTRIBUTES.has(name)) return `attribute-missing: ${name}`;
  return "request-outside-schema";
}

function callOf(
  policies: Policies,
  asked: Asked,
  rows: RowsFor,
  part: PartAsked,
): StatefulAuthorizationCall {
  const { principal, resource } = asked;
  const uid = uidOf(principal.kind === "person" ? "Person" : "Service", principal.id);
  const patient = "patient" in resource ? resource.patient : undefined;
  const entities = [
    ...(principal.kind === "person" ? [personOf(principal)] : []),
    ...patientsOf(principal, patient),
    ...caseOf(resource, principal),
    {
      uid: uidOf(resource.type, "this"),
      attrs: attributesOf(resource, part.category),
      parents: [],
    },
  ];
  return {
    principal: uid,
    action: uidOf("Action", asked.action),
    resource: uidOf(resource.type, "this"),
    context: contextOf(asked, rows, part.consent),
    entities,
    preparsedPolicySetId: policies.version,
    preparsedSchemaName: policies.version,
    validateRequest: true,
  };
}

function uidOf(type: string, id: string) {
  return { type, id };
}
function entity(type: string, id: string): CedarValueJson {
  return { __entity: { type, id } };
}

function personOf(person: Asking & { kind: "person" }): EntityJson {
  return {
    uid: uidOf("Person", person.id),
    attrs: present({
      suspended: person.suspended,
      patient: person.patientId === undefined ? undefined : entity("Patient", person.patientId),
    }),
    parents: person.role === undefined ? [] : [uidOf("Role", person.role)],
  };
}

/** The patient asked about, and the person's own record if it is another. */
function patientsOf(principal: Asking, patient: PatientFacts | undefined): EntityJson[] {
  const own = principal.kind === "person" ? principal.patientId : undefined;
  const found: EntityJson[] = [];
  if (patient !== undefined) {
    const attrs = present({
      adultFrom: instant(patient.adultFromMs),
      ownSharingFrom: instant(patient.ownSharingFromMs),
    });
    found.push({ uid: uidOf("Patient", patient.id), attrs, parents: [] });
  }
  if (own !== undefined && own !== patient?.id) {
    found.push({ uid: uidOf("Patient", own), attrs: {}, parents: [] });
  }
  return found;
}

/** Who broke the glass, if it is not the one who asks. Nothing is decided by what they are now. */
function caseOf(resource: Resource, principal: Asking): EntityJson[] {
  if (resource.type !== "BreakGlassCase" || resource.byPersonId === undefined) return [];
  if (principal.kind === "person" && principal.id === resource.byPersonId) return [];
  return [{ uid: uidOf("Person", resource.byPersonId), attrs: { suspended: false }, parents: [] }];
}

function attributesOf(resource: Resource, category: Compartment | undefined) {
  switch (resource.type) {
    case "Data":
    case "AccessHistory":
    case "Sharing":
      return present({
        patient:
          resource.patient === undefined ? undefined : entity("Patient", resource.patient.id),
        category: category === undefined ? undefined : entity("Category", category),
      });
    case "Aggregate":
      return present({ released: resource.released });
    case "BreakGlassCase": {
      const { byPersonId } = resource;
      return present({ by: byPersonId === undefined ? undefined : entity("Person", byPersonId) });
    }
    default:
      return {};
  }
}

function contextOf(asked: Asked, rows: RowsFor, consent: ConsentState) {
  const { delegation, careTeam, pause } = rows;
  const { breakGlass } = asked;
  return present({
    now: instant(asked.nowMs),
    purpose: asked.purpose === undefined ? undefined : entity("Purpose", asked.purpose),
    consent: entity("ConsentState", consent),
    log: asked.log === undefined ? undefined : entity("LogState", asked.log),
    session: period(asked.session),
    shift: period(asked.shift),
    standing: period(asked.standing),
    careTeam: careTeam && period({ ...careTeam, untilMs: careTeam.untilMs ?? FAR_MS }),
    delegation: delegation && {
      kind: entity("DelegationKind", delegation.as),
      ...period(delegation),
    },
    pause: period(pause),
    breakGlass:
      breakGlass &&
      present({ ...period(breakGlass), reasonCharacters: breakGlass.reasonCharacters }),
  });
}

function period(value: Period | undefined): Record<string, CedarValueJson> | undefined {
  return value && present({ from: instant(value.fromMs), until: instant(value.untilMs) });
}

/** Cedar's datetime (RFC 80 of Cedar), to the millisecond. */
function instant(ms: number | undefined): CedarValueJson | undefined {
  return ms === undefined
    ? undefined
    : { __extn: { fn: "datetime", arg: new Date(ms).toISOString() } };
}

function present(
  attributes: Record<string, CedarValueJson | undefined>,
): Record<string, CedarValueJson> {
  return Object.fromEntries(
    Object.entries(attributes).filter(
      (one): one is [string, CedarValueJson] => one[1] !== undefined,
    ),
  );
}
