import assert from "node:assert/strict";
import { test } from "node:test";
import { type Circumstances, decide } from "./decide.ts";

/** A nurse of the patient's care team reads vital signs, signed in. */
const nurse: Circumstances = {
  principal: { kind: "person", id: "n" },
  purpose: "TREAT",
  action: "read",
  categories: ["vital-signs"],
  person: { role: "nurse", active: true },
  sessionIsLive: true,
  isOnCareTeam: true,
};
const administrator: Circumstances = {
  ...nurse,
  purpose: "HOPERAT",
  action: "search",
  categories: ["demographics"],
  person: { role: "administrator", active: true },
  isOnCareTeam: false,
};
const alerting: Circumstances = {
  ...nurse,
  principal: { kind: "service", id: "alerting" },
  purpose: "ALERT",
  action: "subscribe",
  person: undefined,
  sessionIsLive: false,
  isOnCareTeam: false,
};
const maintenance: Circumstances = {
  ...alerting,
  principal: { kind: "service", id: "maintenance" },
  purpose: "MAINT",
  action: "maintain",
  categories: "all",
};

function allowed(asked: Circumstances, rule: string, life: "lease" | "standing" = "lease") {
  assert.deepEqual(decide(asked), { allowed: true, rule, life });
}
function denied(asked: Circumstances, reason: string) {
  assert.deepEqual(decide(asked), { allowed: false, reason });
}
/** As it is when a caller leaves an attribute out. */
function without(asked: Circumstances, attribute: keyof Circumstances): Circumstances {
  const { [attribute]: _, ...rest } = asked;
  return rest as Circumstances;
}

test("care team, it holds: a signed-in nurse or doctor of the team may read, search, watch, export, create", () => {
  for (const action of ["read", "search", "subscribe", "export", "create"] as const) {
    allowed({ ...nurse, action }, "care-team");
    allowed({ ...nurse, action, person: { role: "doctor", active: true } }, "care-team");
  }
  allowed({ ...nurse, categories: "all" }, "care-team");
});

test("care team, the naughty case: others, leavers, other purposes and upkeep are refused", () => {
  denied({ ...nurse, isOnCareTeam: false }, "not-on-care-team");
  denied({ ...nurse, person: { role: "administrator", active: true } }, "role-forbids");
  denied({ ...nurse, person: { role: "service", active: true } }, "role-forbids");
  denied({ ...nurse, person: { role: "nurse", active: false } }, "person-inactive");
  denied({ ...nurse, sessionIsLive: false }, "no-session");
  denied({ ...nurse, action: "maintain" }, "action-forbids");
  denied({ ...nurse, purpose: "PATRQT" }, "no-rule");
  denied({ ...nurse, purpose: "ALERT" }, "no-rule");
  denied({ ...nurse, categories: [] }, "category-forbids");
});

test("care team, an attribute missing: no answer without each of them", () => {
  denied(without(nurse, "person"), "person-unknown");
  denied(without(nurse, "sessionIsLive"), "no-session");
  denied(without(nurse, "isOnCareTeam"), "not-on-care-team");
  denied(without(nurse, "purpose"), "no-rule");
  denied(without(nurse, "action"), "action-forbids");
});

test("patient administration, it holds: an administrator finds who a patient is, without the care team", () => {
  allowed(administrator, "patient-administration");
  allowed({ ...administrator, action: "read" }, "patient-administration");
});

test("patient administration, the naughty case: no reading, no other role, no export", () => {
  denied({ ...administrator, categories: "all" }, "category-forbids");
  denied({ ...administrator, categories: ["demographics", "vital-signs"] }, "category-forbids");
  denied({ ...administrator, person: { role: "nurse", active: true } }, "role-forbids");
  denied({ ...administrator, action: "export" }, "action-forbids");
  denied({ ...administrator, action: "create" }, "action-forbids");
});

test("patient administration, an attribute missing: no answer without each of them", () => {
  denied(without(administrator, "person"), "person-unknown");
  denied(without(administrator, "sessionIsLive"), "no-session");
  denied(without(administrator, "action"), "action-forbids");
});

test("alerting, it holds: a standing permit for what is measured", () => {
  allowed(alerting, "alerting", "standing");
  allowed({ ...alerting, action: "read" }, "alerting", "standing");
});

test("alerting, the naughty case: no names, no export, no borrowed purpose", () => {
  denied({ ...alerting, categories: "all" }, "category-forbids");
  denied({ ...alerting, categories: ["vital-signs", "demographics"] }, "category-forbids");
  denied({ ...alerting, action: "export" }, "action-forbids");
  denied({ ...alerting, purpose: "TREAT" }, "no-rule");
  denied({ ...alerting, principal: { kind: "service", id: "maintenance" } }, "no-rule");
  denied({ ...alerting, principal: { kind: "person", id: "alerting" } }, "no-session");
});

test("alerting, an attribute missing: no answer without each of them", () => {
  denied(without(alerting, "purpose"), "no-rule");
  denied(without(alerting, "action"), "action-forbids");
});

test("maintenance, it holds: the store may merge a patient's segments", () => {
  allowed(maintenance, "maintenance");
});

test("maintenance, the naughty case: it maintains, it does not look", () => {
  denied({ ...maintenance, action: "read" }, "action-forbids");
  denied({ ...maintenance, purpose: "TREAT" }, "no-rule");
  denied({ ...maintenance, principal: { kind: "service", id: "alerting" } }, "no-rule");
  denied({ ...maintenance, principal: { kind: "service", id: "operator" } }, "no-rule");
});

test("maintenance, an attribute missing: no answer without each of them", () => {
  denied(without(maintenance, "action"), "action-forbids");
  denied(without(maintenance, "purpose"), "no-rule");
});

test("a principal of no kind gets nothing", () => {
  denied({ ...nurse, principal: { kind: undefined as unknown as "person", id: "n" } }, "no-rule");
});

test("staff read what is on record of the organisation's own things, and nothing else that way", () => {
  const organisation = { ...nurse, isOnCareTeam: false, isOrganisation: true };
  const records: Circumstances = { ...organisation, categories: ["demographics"] };
  allowed(records, "organisation-records");
  allowed({ ...administrator, isOrganisation: true, action: "read" }, "organisation-records");
  denied({ ...records, categories: ["vital-signs"] }, "category-forbids");
  denied({ ...records, categories: "all" }, "category-forbids");
  denied({ ...records, action: "export" }, "action-forbids");
  denied({ ...records, sessionIsLive: false }, "no-session");
  denied(without(records, "isOrganisation"), "not-on-care-team");
});
