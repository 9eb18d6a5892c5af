import assert from "node:assert/strict";
import { test } from "node:test";
import { explainToAsker, explainToOfficer, NOTHING_HERE, PERMITTED, REFUSALS } from "./explain.ts";
import { type Asked, decideByPolicy } from "./policy.ts";
import { loadPolicies } from "./policy-files.ts";
import type { PolicyRow } from "./policy-rows.ts";
import { POLICY_ROLES, type PolicyRole } from "./roles.ts";
import { scopeOf } from "./scope.ts";

const policies = loadPolicies();
const now = Date.UTC(2026, 5, 1);
const lasting = { fromMs: 0, untilMs: now + 1 };
const secret = "Martha-Miller";

const careTeam: PolicyRow = {
  ...{ kind: "care-team", id: "t1", patientId: secret, member: "Practitioner/n1" },
  ...lasting,
};
const denying: PolicyRow = {
  ...{ kind: "consent", id: "c1", patientId: secret, about: "patient-privacy" },
  rule: { effect: "deny", when: { categories: ["activity"] }, except: [] },
};
const denyingAll: PolicyRow = { ...denying, rule: { effect: "deny", when: {}, except: [] } };
const pause: PolicyRow = { kind: "pause", id: "h1", patientId: secret, ...lasting };
const guardian: PolicyRow = {
  ...{ kind: "delegation", id: "d1", patientId: secret, as: "guardian", to: "Practitioner/n1" },
  ...lasting,
};

function asking(role: PolicyRole, more: Partial<Asked> = {}): Asked {
  const references = ["Practitioner/n1"];
  return {
    principal: { kind: "person", id: "n1", role, suspended: false, references },
    resource: { type: "Data", patient: { id: secret }, scope: scopeOf() },
    ...{ action: "read", purpose: "TREAT", nowMs: now, log: "appending", session: lasting },
    ...{ rows: [], ...more },
  };
}
const toOfficer = (asked: Asked) => explainToOfficer(policies, decideByPolicy(policies, asked));
const toAsker = (asked: Asked) => explainToAsker(policies, asked, decideByPolicy(policies, asked));

test("an officer reads which policies, provisions and relation decided", () => {
  const explanation = toOfficer(asking("nurse", { rows: [careTeam, denying] }));
  assert.equal(explanation.verdict, "permitted in part");
  assert.equal(explanation.relation, "care-team");
  assert.deepEqual(explanation.sentences, [
    "The request was permitted in part.",
    'Policy "Nurse of the care team" (care-team-nurse) permits it.',
    "The person belonged to the patient's care team.",
    "Consent c1, Consent.provision: denies a part.",
  ]);
  assert.match(explanation.policies[0]?.words ?? "", /^Nurses of a patient's care team see/);
});

test("an officer reads why nothing was opened, and what was missing", () => {
  assert.deepEqual(toOfficer(asking("nurse")).sentences, [
    "The request was denied.",
    "No policy permits it.",
    "No care relation or delegation was on record.",
  ]);
  const paused = toOfficer(asking("nurse", { rows: [careTeam, pause] }));
  assert.deepEqual(
    paused.policies.map(({ id }) => id),
    ["sharing-paused"],
  );
  const principal = { ...asking("nurse").principal, suspended: undefined };
  const broken = toOfficer(
    asking("nurse", { principal: principal as unknown as Asked["principal"] }),
  );
  assert.deepEqual(broken.diagnostics, ["attribute-missing: suspended"]);
  assert.match(broken.sentences[1] ?? "", /could not be decided properly/);
});

test("an explanation names no patient", () => {
  const rowSets = [[], [careTeam], [careTeam, denying], [careTeam, denyingAll], [careTeam, pause]];
  for (const rows of rowSets) {
    const asked = asking("nurse", { rows });
    assert.ok(!JSON.stringify(toOfficer(asked)).includes("Martha"));
    assert.ok(!toAsker(asked).includes("Martha"));
  }
});

test("the person refused reads the same whatever is on record of the patient", () => {
  const patients = [
    { id: secret },
    { id: secret, adultFromMs: now + 1, ownSharingFromMs: now + 1 },
    { id: secret, adultFromMs: 0, ownSharingFromMs: 0 },
  ];
  const rowSets: PolicyRow[][] = [
    ...[[], [denyingAll], [pause], [careTeam, denyingAll], [careTeam, pause], [denying, pause]],
    [guardian, { ...guardian, id: "d2" }],
    [{ ...careTeam, patientId: "somebody-else" }],
    Array.from({ length: 2_000 }, () => denying),
  ];
  const situations: Partial<Asked>[] = [
    ...[{}, { purpose: "HPAYMT" as const }, { purpose: "ETREAT" as const }],
    ...[{ session: undefined }, { log: "journal" as const }, { action: "export" as const }],
  ];
  for (const role of Object.keys(POLICY_ROLES) as PolicyRole[]) {
    for (const situation of situations) {
      const said = new Set<string>();
      for (const patient of patients) {
        for (const rows of rowSets) {
          const resource = { type: "Data" as const, patient, scope: scopeOf() };
          const asked = asking(role, { ...situation, rows, resource });
          if (!decideByPolicy(policies, asked).permitted) said.add(toAsker(asked));
        }
      }
      assert.equal(said.size, 1, `${role} ${JSON.stringify(situation)}: ${[...said].join(" | ")}`);
    }
  }
});

test("the person reads what they can mend themselves", () => {
  const nurse = asking("nurse");
  const suspended = { ...nurse.principal, suspended: true } as Asked["principal"];
  assert.equal(toAsker(asking("nurse", { principal: suspended })), REFUSALS["account-suspended"]);
  assert.equal(toAsker(asking("nurse", { session: undefined })), REFUSALS["not-signed-in"]);
  assert.equal(toAsker(asking("nurse", { log: "journal" })), REFUSALS["journal-people"]);
  assert.equal(toAsker(asking("nurse", { purpose: "HPAYMT" })), REFUSALS["purpose-not-for-people"]);
  assert.equal(toAsker(asking("administrator")), REFUSALS["administrator-no-patient-data"]);
  assert.equal(toAsker(asking("auditor")), REFUSALS["auditor-log-only"]);
  assert.equal(toAsker(nurse), NOTHING_HERE);
});

test("what is permitted in part reads like what is permitted whole", () => {
  assert.equal(toAsker(asking("nurse", { rows: [careTeam] })), PERMITTED);
  assert.equal(toAsker(asking("nurse", { rows: [careTeam, denying] })), PERMITTED);
});

test("every refusal in words is that of a policy that forbids", () => {
  for (const id of Object.keys(REFUSALS)) {
    assert.equal(policies.entries.get(id)?.effect, "forbid", id);
  }
});
