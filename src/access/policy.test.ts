/** Past 400 lines, because every policy has its question, its misuses and its lacks in one place to compare. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Asked,
  type Asking,
  decideByPolicy,
  type PolicyAction,
  type PolicyDecision,
} from "./policy.ts";
import { loadPolicies } from "./policy-files.ts";
import type { PolicyRow } from "./policy-rows.ts";
import { weigh } from "./provision.ts";
import type { PolicyRole } from "./roles.ts";
import { isSame, type Scope, scopeOf } from "./scope.ts";

const policies = loadPolicies();
const HOUR = 3_600_000;
const NOW = Date.UTC(2026, 5, 1, 12);
const around = { fromMs: NOW - HOUR, untilMs: NOW + HOUR };
const past = { fromMs: NOW - 2 * HOUR, untilMs: NOW };
const future = { fromMs: NOW + 1, untilMs: NOW + HOUR };

/** Any part of a question, as a test changes it. */
// biome-ignore lint/suspicious/noExplicitAny: tests take parts away that the type demands.
type Loose = any;

function person(role: PolicyRole, more: Partial<Asking & { kind: "person" }> = {}): Asking {
  return {
    kind: "person",
    id: "x1",
    role,
    suspended: false,
    references: ["Practitioner/x1"],
    ...more,
  };
}
const careTeam: PolicyRow = {
  ...{ kind: "care-team", id: "t1", patientId: "p1", member: "Practitioner/x1" },
  ...around,
};
const relative: PolicyRow = {
  ...{ kind: "delegation", id: "d1", patientId: "p1", as: "relative", to: "Practitioner/x1" },
  ...around,
};
const guardian: PolicyRow = { ...relative, as: "guardian" };
const denying = (rule: Loose = {}): PolicyRow => ({
  ...{ kind: "consent", id: "c1", patientId: "p1", about: "patient-privacy" },
  rule: { effect: "deny", when: {}, except: [], ...rule },
});
const permitting = (when: Loose = {}): PolicyRow => denying({ effect: "permit", when });
const pause: PolicyRow = { kind: "pause", id: "h1", patientId: "p1", ...around };

const vitals = scopeOf({ categories: ["vital-signs"] });
const data = { type: "Data" as const, patient: { id: "p1" }, scope: vitals };
const nurse: Asked = {
  ...{ principal: person("nurse"), action: "read", resource: data, purpose: "TREAT", nowMs: NOW },
  ...{ log: "appending", session: around, rows: [careTeam] },
};
const glass = { fromMs: NOW - HOUR, untilMs: NOW + HOUR, reasonCharacters: 10 };
const own = person("patient", { patientId: "p1" });
const withGuardian: Asked = {
  ...nurse,
  ...{ principal: person("guardian"), purpose: "FAMRQT", rows: [guardian] },
  resource: { ...data, patient: { id: "p1", adultFromMs: NOW + HOUR } },
};
const emergency: Asked = { ...nurse, purpose: "ETREAT", rows: [], breakGlass: glass };
const service = (id: "alerting" | "maintenance" | "research-release") => ({
  ...{ principal: { kind: "service" as const, id }, resource: data, nowMs: NOW, rows: [] },
  log: "appending" as const,
});
const alerting: Asked = {
  ...service("alerting"),
  ...{ action: "subscribe", purpose: "TREAT", standing: { ...around, fromMs: NOW - 23 * HOUR } },
};
const office = (role: PolicyRole, purpose: Asked["purpose"], action: PolicyAction, type: string) =>
  ({
    ...{ principal: person(role), action, purpose, resource: { type }, nowMs: NOW },
    ...{ log: "appending", session: around, rows: [] },
  }) as unknown as Asked;

/** Policy → a question that it permits, with nothing in it that is not needed. */
const granted: Record<string, Asked> = {
  "care-team-nurse": nurse,
  "care-team-clinician": { ...nurse, principal: person("clinician"), action: "export" },
  "care-staff-devices": office("nurse", "TREAT", "read-devices", "Devices"),
  "own-data": { ...nurse, principal: own, purpose: "PATRQT", rows: [] },
  "own-history": {
    ...nurse,
    ...{ principal: own, purpose: "PATRQT", rows: [], action: "read-history" },
    resource: { type: "AccessHistory", patient: { id: "p1" } },
  },
  "own-sharing": {
    ...nurse,
    ...{ principal: own, purpose: "PATRQT", rows: [], action: "change-sharing" },
    resource: { type: "Sharing", patient: { id: "p1", ownSharingFromMs: NOW } },
  },
  "relative-delegation": {
    ...nurse,
    ...{ principal: person("relative"), purpose: "FAMRQT", rows: [relative] },
  },
  "guardian-of-minor": withGuardian,
  "guardian-history": {
    ...withGuardian,
    action: "read-history",
    resource: { type: "AccessHistory", patient: { id: "p1", ownSharingFromMs: NOW + 1 } },
  },
  "guardian-sharing": {
    ...withGuardian,
    action: "change-sharing",
    resource: { type: "Sharing", patient: { id: "p1", ownSharingFromMs: NOW + 1 } },
  },
  "device-engineer": office("device-engineer", "HOPERAT", "manage-devices", "Devices"),
  "privacy-officer": office("privacy-officer", "HCOMPL", "read-decisions", "Decisions"),
  administrator: office("administrator", "HSYSADMIN", "administer", "Organisation"),
  researcher: {
    ...office("researcher", "HRESCH", "read-aggregate", "Aggregate"),
    resource: { type: "Aggregate", released: true },
  },
  auditor: office("auditor", "HCOMPL", "read-log", "Log"),
  "break-glass": emergency,
  "break-glass-review": {
    ...office("clinician", "PATSFTY", "review-break-glass", "BreakGlassCase"),
    resource: { type: "BreakGlassCase", byPersonId: "y1" },
  },
  alerting,
  maintenance: { ...service("maintenance"), action: "maintain", purpose: "HSYSADMIN" },
  "research-release": {
    ...service("research-release"),
    ...{ action: "aggregate", purpose: "HRESCH", rows: [permitting({ purposes: ["HRESCH"] })] },
  },
};

/** Policy → misuses of what it permits, each one change away. */
const naughty: Record<string, Loose[]> = {
  "care-team-nurse": [
    { rows: [] },
    { rows: [{ ...careTeam, ...past }] },
    { rows: [{ ...careTeam, ...future }] },
    { rows: [{ ...careTeam, member: "Practitioner/other" }] },
    { rows: [{ ...careTeam, patientId: "p2" }] },
    { action: "maintain" },
    { purpose: "HOPERAT" },
    { principal: person("relative") },
  ],
  "care-team-clinician": [{ rows: [] }, { action: "aggregate" }, { purpose: "HPAYMT" }],
  "care-staff-devices": [{ action: "manage-devices" }, { principal: person("researcher") }],
  "own-data": [
    { principal: person("patient", { patientId: "p2" }) },
    { principal: person("relative", { patientId: "p1" }) },
    { purpose: "TREAT" },
    { action: "maintain" },
  ],
  "own-history": [{ principal: person("patient", { patientId: "p2" }) }, { purpose: "HOPERAT" }],
  "own-sharing": [
    { principal: person("patient", { patientId: "p2" }) },
    { resource: { type: "Sharing", patient: { id: "p1", ownSharingFromMs: NOW + 1 } } },
  ],
  "relative-delegation": [
    { rows: [{ ...relative, ...past }] },
    { rows: [{ ...relative, ...future }] },
    { rows: [{ ...relative, to: "RelatedPerson/other" }] },
    { rows: [{ ...relative, categories: ["activity"] }] },
    { rows: [guardian] },
    { rows: [relative, { ...relative, id: "d2" }] },
    { action: "export" },
    { purpose: "TREAT" },
  ],
  "guardian-of-minor": [
    { resource: { ...data, patient: { id: "p1", adultFromMs: NOW } } },
    { rows: [{ ...guardian, ...past }] },
    { rows: [relative] },
    { rows: [guardian, denying({ when: { actors: ["Practitioner/x1"] } })] },
  ],
  "guardian-history": [
    { resource: { type: "AccessHistory", patient: { id: "p1", ownSharingFromMs: NOW } } },
    { rows: [relative] },
  ],
  "guardian-sharing": [
    { resource: { type: "Sharing", patient: { id: "p1", ownSharingFromMs: NOW } } },
    { rows: [{ ...guardian, ...past }] },
  ],
  "device-engineer": [
    { action: "administer", resource: { type: "Organisation" } },
    { action: "read-log", resource: { type: "Log" } },
  ],
  "privacy-officer": [
    { action: "administer", resource: { type: "Organisation" } },
    { purpose: "TREAT" },
  ],
  administrator: [
    { action: "read-log", resource: { type: "Log" } },
    { action: "read-decisions", resource: { type: "Decisions" } },
    { purpose: "TREAT" },
  ],
  researcher: [{ resource: { type: "Aggregate", released: false } }, { purpose: "HQUALIMP" }],
  auditor: [{ purpose: "TREAT" }],
  "break-glass": [
    { principal: person("relative") },
    { principal: person("administrator") },
    { purpose: "TREAT" },
    { action: "export" },
    { breakGlass: { ...glass, reasonCharacters: 9 } },
    { breakGlass: { ...glass, untilMs: glass.fromMs + 12 * HOUR + 1 } },
    { breakGlass: { ...glass, fromMs: NOW - HOUR / 2, untilMs: NOW + HOUR / 2 - 1 } },
    { breakGlass: { ...glass, untilMs: NOW } },
    { breakGlass: { ...glass, fromMs: NOW + 1, untilMs: NOW + 2 * HOUR } },
  ],
  "break-glass-review": [
    { resource: { type: "BreakGlassCase", byPersonId: "x1" } },
    { principal: person("nurse") },
    { purpose: "TREAT" },
  ],
  alerting: [
    { resource: { ...data, scope: scopeOf({ categories: ["demographics"] }) } },
    { standing: past },
    { standing: { fromMs: NOW - 24 * HOUR, untilMs: NOW + 1 } },
    { action: "export" },
    { principal: { kind: "service", id: "maintenance" } },
    { rows: [denying()] },
  ],
  maintenance: [
    { action: "read" },
    { purpose: "TREAT" },
    { principal: { kind: "service", id: "alerting" } },
  ],
  "research-release": [
    { rows: [] },
    { rows: [permitting({ purposes: ["TREAT"] })] },
    { rows: [permitting({ purposes: ["CLINTRCH"] })] },
    { rows: [permitting()] },
    { rows: [permitting({ categories: ["vital-signs"] })] },
    { rows: [permitting({ purposes: ["HRESCH"] }), denying()] },
    {
      rows: [permitting({ purposes: ["HRESCH"] }), denying({ when: { purposes: ["CLINTRCH"] } })],
    },
    { action: "read" },
    { resource: { ...data, scope: scopeOf({ categories: ["demographics"] }) } },
  ],
};

/** Forbidding policy → a permitted question, what makes it forbidden, and what stays permitted. */
const forbidding: Record<string, { base: Asked; change: Loose; stays?: Loose }> = {
  "account-suspended": { base: nurse, change: { principal: person("nurse", { suspended: true }) } },
  "not-signed-in": { base: nurse, change: { session: past } },
  "consent-denies": {
    base: nurse,
    change: { rows: [careTeam, denying()] },
    stays: { ...emergency, rows: [denying()] },
  },
  "consent-denies-services": {
    base: alerting,
    change: { rows: [denying()] },
    stays: { ...granted.maintenance, rows: [denying()] },
  },
  "sharing-paused": {
    base: nurse,
    change: { rows: [careTeam, pause] },
    stays: { ...granted["own-data"], rows: [pause] },
  },
  "purpose-not-for-people": { base: nurse, change: { purpose: "HPAYMT" } },
  "journal-people": {
    base: emergency,
    change: { log: "journal" },
    stays: { ...emergency, log: "journal", shift: around },
  },
  "journal-services": {
    base: granted.maintenance as Asked,
    change: { log: "journal" },
    stays: { ...alerting, log: "journal" },
  },
  "device-engineer-no-patient-data": {
    base: nurse,
    change: { principal: person("device-engineer") },
  },
  "privacy-officer-no-patient-data": {
    base: nurse,
    change: { principal: person("privacy-officer") },
  },
  "administrator-no-patient-data": { base: nurse, change: { principal: person("administrator") } },
  "researcher-no-patient-data": { base: nurse, change: { principal: person("researcher") } },
  "auditor-log-only": { base: nurse, change: { principal: person("auditor") } },
};

function decide(asked: Loose): PolicyDecision {
  return decideByPolicy(policies, asked);
}
function scopeIn(decision: PolicyDecision): Scope {
  assert.ok(decision.permitted);
  return decision.scope;
}

/** Paths of everything in a question: "session.fromMs", "rows.0.member". */
function pathsOf(value: Loose, path: string[] = []): string[][] {
  if (typeof value !== "object" || value === null || value instanceof Map) return [path];
  const below = Object.keys(value).flatMap((key) => pathsOf(value[key], [...path, key]));
  return path.length === 0 ? below : [path, ...below];
}
function lacking(asked: Loose, [key = "", ...rest]: string[]): Loose {
  const copy = Array.isArray(asked) ? [...asked] : { ...asked };
  if (rest.length > 0) copy[key] = lacking(copy[key], rest);
  else delete copy[key];
  return copy;
}
/** What only names things for people and for the log, or may be away: a care team has no end until it
 * ends, and a rule without a condition means more. */
const mayBeAway = (asked: Asked, [top, at, name, ...rest]: string[]) =>
  top === "rows" &&
  (["id", "about"].includes(name ?? "") ||
    (rest[0] === "when" && rest.length > 1) ||
    (name === "untilMs" && asked.rows[Number(at)]?.kind === "care-team"));

test("every policy has its tests here", () => {
  const ids = [...policies.entries.values()];
  const permits = ids.filter((one) => one.effect === "permit").map((one) => one.id);
  const forbids = ids.filter((one) => one.effect === "forbid").map((one) => one.id);
  assert.deepEqual(Object.keys(granted).sort(), permits.sort());
  assert.deepEqual(Object.keys(naughty).sort(), permits.sort());
  assert.deepEqual(Object.keys(forbidding).sort(), forbids.sort());
});

for (const [id, asked] of Object.entries(granted)) {
  test(`${id} permits what it is for`, () => {
    const decision = decide(asked);
    assert.ok(decision.permitted, JSON.stringify(decision));
    assert.deepEqual(decision.policies, [id]);
    assert.equal(decision.whole, true);
  });
  test(`${id} does not permit its misuse`, () => {
    for (const change of naughty[id] ?? []) {
      assert.equal(decide({ ...asked, ...change }).permitted, false, JSON.stringify(change));
    }
  });
  test(`${id}: each attribute that is missing denies`, () => {
    const helped = pathsOf(asked).filter(
      (path) => !mayBeAway(asked, path) && decide(lacking(asked, path)).permitted,
    );
    assert.deepEqual(
      helped.map((path) => path.join(".")),
      [],
    );
  });
}

for (const [id, { base, change, stays }] of Object.entries(forbidding)) {
  test(`${id} forbids what another policy would permit`, () => {
    assert.ok(decide(base).permitted);
    const decision = decide({ ...base, ...change });
    assert.equal(decision.permitted, false);
    assert.ok(decision.policies.includes(id), JSON.stringify(decision.policies));
    if (stays !== undefined) assert.ok(decide(stays).permitted, "what it leaves alone");
  });
}

test("names that are unknown are denied, whatever they stand for", () => {
  const changes: Loose[] = [
    { purpose: "FUN" },
    { action: "fly" },
    { log: "gone" },
    { principal: person("king" as PolicyRole) },
    { principal: { kind: "service", id: "espionage" } },
    { resource: { type: "Treasure" } },
    { resource: { ...data, scope: new Map([["dreams", { others: [[0, 1]], codes: new Map() }]]) } },
    { nowMs: Number.NaN },
    { breakGlass: { ...glass, reasonCharacters: 10.5 } },
    { breakGlass: { ...glass, reasonCharacters: "many" } },
    { principal: person("nurse", { suspended: "no" as unknown as boolean }) },
  ];
  for (const change of changes) {
    assert.equal(decide({ ...nurse, ...change }).permitted, false, JSON.stringify(change));
  }
});

test("diagnostics name the attribute, and neither person, patient nor value", () => {
  const secret = "Martha-Miller";
  const principal = { ...person("nurse"), id: secret, references: [`Practitioner/${secret}`] };
  const resource = { ...data, patient: { id: secret } };
  const rows = [{ ...careTeam, patientId: secret, member: `Practitioner/${secret}` }];
  const asked = { ...nurse, principal, resource, rows };
  assert.ok(decide(asked).permitted);
  for (const path of pathsOf(asked)) {
    const decision = decide(lacking(asked, path));
    const said = decision.permitted ? "" : JSON.stringify(decision.diagnostics);
    assert.ok(!said.includes("Martha"), said);
  }
  const missing = decide(lacking(asked, ["principal", "suspended"]));
  assert.ok(!missing.permitted);
  assert.deepEqual(missing.diagnostics, ["attribute-missing: suspended"]);
  const purpose = decide(lacking(asked, ["purpose"]));
  assert.equal(purpose.permitted, false);
});

test("what consents deny is taken out, exactly", () => {
  const rows = [careTeam, denying({ when: { categories: ["vital-signs"], codes: ["147842"] } })];
  const decision = decide({ ...nurse, rows });
  const scope = scopeIn(decision);
  const denied = scopeOf({ categories: ["vital-signs"], codes: ["147842"] });
  assert.equal(decision.permitted && decision.whole, false);
  assert.equal(scope.get("vital-signs")?.codes.get("147842")?.length, 0);
  assert.equal(isSame(scope, denied), false);
  assert.deepEqual(decision.provisions, [
    { consentId: "c1", path: "Consent.provision", effect: "deny" },
  ]);
});

test("a relative sees what was delegated, and not what a consent denies of it", () => {
  const rows = [
    { ...relative, categories: ["vital-signs"], dataFromMs: 0, dataUntilMs: 100 },
    denying({ when: { dataFromMs: 50 } }),
  ];
  const resource = { ...data, scope: scopeOf() };
  const decision = decide({ ...granted["relative-delegation"], resource, rows });
  const left = scopeOf({ categories: ["vital-signs"], dataFromMs: 0, dataUntilMs: 50 });
  assert.ok(isSame(scopeIn(decision), left));
});

test("for research a permission counts where a rule around it names research", () => {
  const release = granted["research-release"] as Asked;
  const all = { effect: "permit", when: {}, except: [] };
  const inDenial = (when: Loose, exception: Loose) => denying({ when, except: [exception] });
  const research = { ...all, when: { purposes: ["HRESCH"] } };
  assert.ok(decide({ ...release, rows: [inDenial({}, research)] }).permitted);
  assert.ok(decide({ ...release, rows: [inDenial({ purposes: ["HRESCH"] }, all)] }).permitted);
  assert.equal(decide({ ...release, rows: [inDenial({}, all)] }).permitted, false);
  // Excepted from the denial: this consent says neither, and another may permit.
  const rows = [inDenial({}, all), permitting({ purposes: ["HRESCH"] })];
  assert.ok(decide({ ...release, rows }).permitted);
});

test("what denies one kind of research says nothing of care, nor of another kind", () => {
  const rows = [denying({ when: { purposes: ["CLINTRCH"] } })];
  assert.ok(decide({ ...nurse, rows: [careTeam, ...rows] }).permitted);
  const asker = { references: [], action: "aggregate", nowMs: NOW } as const;
  const deniedFor = (purpose: Asked["purpose"]) =>
    isSame(weigh(rows as Loose, { ...asker, purpose }, vitals).denied, vitals);
  assert.deepEqual((["HRESCH", "CLINTRCH", "CLINTRCHPC"] as const).map(deniedFor), [
    true,
    true,
    true,
  ]);
  assert.equal(deniedFor("BIORCH"), false);
  // Refusing a clinical trial as treatment must not close the record to the care team.
  const trial = denying({ when: { purposes: ["CLINTRL"] } });
  assert.ok(decide({ ...nurse, rows: [careTeam, trial] }).permitted);
});

test("break-glass opens what consents deny, and says what must happen then", () => {
  const decision = decide({ ...emergency, rows: [denying(), pause] });
  assert.ok(decision.permitted && decision.whole);
  assert.deepEqual(decision.duties, ["tell-patient", "second-person-review"]);
});

test("alerting goes on while sharing is paused", () => {
  assert.ok(decide({ ...alerting, rows: [pause] }).permitted);
});

test("a pause for some does not stop others", () => {
  const other = { ...pause, actors: ["RelatedPerson/r1"] };
  assert.ok(decide({ ...nurse, rows: [careTeam, other] }).permitted);
  const me = { ...pause, actors: ["Practitioner/x1"] };
  assert.equal(decide({ ...nurse, rows: [careTeam, me] }).permitted, false);
});

test("a decision names the next instant at which time alone may change it", () => {
  const soon = denying({ when: { fromMs: NOW + 5, untilMs: NOW + 9 } });
  const decision = decide({ ...nurse, rows: [careTeam, soon] });
  assert.equal(decision.permitted && decision.untilMs, NOW + 5);
  const plain = decide(nurse);
  assert.equal(plain.permitted && plain.untilMs, NOW + HOUR);
});

test("more rules than a decision weighs deny", () => {
  const except = Array.from({ length: 255 }, () => ({ effect: "deny", when: {}, except: [] }));
  const large = denying({ effect: "permit", except });
  const most = decide({ ...nurse, rows: [careTeam, large, large, large, large] });
  assert.deepEqual(!most.permitted && most.policies, ["consent-denies"]);
  const decision = decide({ ...nurse, rows: [careTeam, large, large, large, large, permitting()] });
  assert.deepEqual(!decision.permitted && decision.diagnostics, ["too-many-rows"]);
});

test("more rows than a decision reads deny", () => {
  const rows = Array.from({ length: 1_025 }, () => careTeam);
  const decision = decide({ ...nurse, rows });
  assert.deepEqual(!decision.permitted && decision.diagnostics, ["too-many-rows"]);
});
