/**
 * The rules, pure: circumstances in, decision out. No rule that says yes = no.
 * These are the rules of the trunk; consent and policy take this place behind the same signature.
 */
import type { Action, Compartment, Purpose } from "./permit.ts";
import type { Principal, Role } from "./principal.ts";

/** What a decision reads, gathered by `authorize.ts`. A missing attribute never helps the asker. */
export interface Circumstances {
  readonly principal: Pick<Principal, "kind" | "id">;
  readonly purpose: Purpose;
  readonly action: Action;
  readonly categories: readonly Compartment[] | "all";
  /** The person as the registry of staff has them now; undefined for nobody. */
  readonly person: { readonly role: Role; readonly active: boolean } | undefined;
  /** The session or token is there, not ended, not over its idle or absolute time. */
  readonly sessionIsLive: boolean;
  readonly isOnCareTeam: boolean;
  /** What is asked for belongs to the organisation (devices), not to a patient. */
  readonly isOrganisation?: boolean;
}

export type Decision =
  | { readonly allowed: true; readonly rule: RuleName; readonly life: "lease" | "standing" }
  | { readonly allowed: false; readonly reason: Reason };

export type RuleName =
  | "care-team"
  | "patient-administration"
  | "organisation-records"
  | "alerting"
  | "maintenance";
export type Reason =
  | "no-rule"
  | "no-session"
  | "person-unknown"
  | "person-inactive"
  | "not-on-care-team"
  | "role-forbids"
  | "action-forbids"
  | "category-forbids";

const CARE_ROLES: readonly Role[] = ["nurse", "doctor"];
const CARE_ACTIONS: readonly Action[] = ["read", "search", "subscribe", "export", "create"];

export function decide(asked: Circumstances): Decision {
  if (asked.categories !== "all" && asked.categories.length === 0) return no("category-forbids");
  if (asked.principal.kind === "service") return decideForService(asked);
  if (asked.principal.kind !== "person") return no("no-rule");
  if (!asked.sessionIsLive) return no("no-session");
  if (asked.person === undefined) return no("person-unknown");
  if (!asked.person.active) return no("person-inactive");
  if (asked.isOrganisation === true) return decideOrganisation(asked);
  if (asked.purpose === "TREAT") return decideTreatment(asked, asked.person.role);
  if (asked.purpose === "HOPERAT") return decideAdministration(asked, asked.person.role);
  return no("no-rule");
}

/** Signed-in nurses and doctors of the patient's care team, for treatment. */
function decideTreatment(asked: Circumstances, role: Role): Decision {
  if (!CARE_ROLES.includes(role)) return no("role-forbids");
  if (!asked.isOnCareTeam) return no("not-on-care-team");
  if (!CARE_ACTIONS.includes(asked.action)) return no("action-forbids");
  return { allowed: true, rule: "care-team", life: "lease" };
}

/** Staff read what the organisation has on record of its own things; nothing of it is a patient's. */
function decideOrganisation(asked: Circumstances): Decision {
  if (asked.purpose !== "TREAT" && asked.purpose !== "HOPERAT") return no("no-rule");
  if (asked.action !== "read" && asked.action !== "search") return no("action-forbids");
  if (asked.categories === "all") return no("category-forbids");
  if (!asked.categories.every((category) => category === "demographics")) {
    return no("category-forbids");
  }
  return { allowed: true, rule: "organisation-records", life: "lease" };
}

/** Administrators see who a patient is (to assign a device), and nothing that was measured. */
function decideAdministration(asked: Circumstances, role: Role): Decision {
  if (role !== "administrator") return no("role-forbids");
  if (asked.action !== "read" && asked.action !== "search") return no("action-forbids");
  if (asked.categories === "all") return no("category-forbids");
  if (!asked.categories.every((category) => category === "demographics")) {
    return no("category-forbids");
  }
  return { allowed: true, rule: "patient-administration", life: "lease" };
}

/** The platform's own services: each for one purpose and one action. */
function decideForService(asked: Circumstances): Decision {
  if (asked.principal.id === "alerting" && asked.purpose === "ALERT") {
    if (asked.action !== "subscribe" && asked.action !== "read") return no("action-forbids");
    if (asked.categories === "all" || asked.categories.includes("demographics")) {
      return no("category-forbids");
    }
    return { allowed: true, rule: "alerting", life: "standing" };
  }
  if (asked.principal.id === "maintenance" && asked.purpose === "MAINT") {
    if (asked.action !== "maintain") return no("action-forbids");
    return { allowed: true, rule: "maintenance", life: "lease" };
  }
  return no("no-rule");
}

function no(reason: Reason): Decision {
  return { allowed: false, reason };
}
