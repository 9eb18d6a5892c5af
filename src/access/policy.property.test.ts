/**
 * The decision against a model that shares nothing with it: a small world whose elements are asked one
 * by one, with rules written out as an officer would say them. No element more, no element less.
 * Past 400 lines, because a model in a file of its own would be imported sooner or later.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Compartment } from "./permit.ts";
import { type Asked, decideByPolicy } from "./policy.ts";
import { loadPolicies } from "./policy-files.ts";
import type { PolicyRow, RowOf } from "./policy-rows.ts";
import { type Conditions, type DataAction, type Rule, weigh } from "./provision.ts";
import {
  covers,
  intersect,
  isSame,
  type Limits,
  NOTHING,
  scopeOf,
  unite,
  without,
} from "./scope.ts";

const policies = loadPolicies();

// The world: times fall between the edges 10, 20 and 30, where every limit lies.
interface Element {
  readonly category: Compartment;
  readonly code: string | undefined;
  readonly timeMs: number;
}
const CATEGORIES = ["vital-signs", "activity", "waveform", "demographics"] as const;
const CODES = ["147842", "149514", "8454267"] as const;
const EDGES = [10, 20, 30] as const;
const WORLD = CATEGORIES.flatMap((category): Element[] =>
  category === "demographics"
    ? [{ category, code: undefined, timeMs: 0 }]
    : [...CODES, undefined].flatMap((code) =>
        [9, 10, 19, 20, 29, 30].map((timeMs) => ({ category, code, timeMs })),
      ),
);
const NOWS = [9, 10, 19, 20, 29, 30, 9 + 3_600_000];

// The model of limits, rules and policies: one element at a time.
function isWithin(limits: Limits, element: Element): boolean {
  if (limits.categories && !limits.categories.includes(element.category)) return false;
  if (element.category === "demographics") {
    return !limits.codes && limits.dataFromMs === undefined && limits.dataUntilMs === undefined;
  }
  if (limits.codes && !(element.code && limits.codes.includes(element.code))) return false;
  if (limits.dataFromMs !== undefined && element.timeMs < limits.dataFromMs) return false;
  return limits.dataUntilMs === undefined || element.timeMs < limits.dataUntilMs;
}

const BROADER: Record<string, string[]> = {
  TREAT: ["TREAT"],
  COC: ["COC", "TREAT"],
  ETREAT: ["ETREAT", "TREAT"],
  BTG: ["BTG", "ETREAT", "TREAT"],
  PATRQT: ["PATRQT"],
  FAMRQT: ["FAMRQT", "PATRQT"],
  SUPNWK: ["SUPNWK", "PATRQT"],
  HRESCH: ["HRESCH"],
  CLINTRCH: ["CLINTRCH", "HRESCH"],
  HSYSADMIN: ["HSYSADMIN", "HOPERAT"],
  HPAYMT: ["HPAYMT"],
};
const FHIR_ACTION: Record<string, string> = {
  ...{ read: "access", search: "access", subscribe: "access", export: "disclose" },
  ...{ create: "collect", maintain: "use", aggregate: "use" },
};

/** "lets": permitted, but without a word of research, so that research has only not been denied. */
type Verdict = "permit" | "lets" | "deny" | undefined;

function verdict(rule: Rule, asked: Asked, element: Element, isNamedAbove = false): Verdict {
  const { when } = rule;
  const me: readonly string[] = asked.principal.kind === "person" ? asked.principal.references : [];
  if (when.actors && !me.some((one) => when.actors?.includes(one))) return undefined;
  const action = FHIR_ACTION[asked.action];
  if (when.actions && !when.actions.some((one) => one === action)) return undefined;
  const purposes = BROADER[asked.purpose] ?? [];
  const isMeant = !when.purposes || when.purposes.some((one) => purposes.includes(one));
  // Who asks for research asks for clinical research too.
  const isMeantInPart =
    rule.effect === "deny" && asked.purpose === "HRESCH" && when.purposes?.includes("CLINTRCH");
  if (!isMeant && !isMeantInPart) return undefined;
  if (when.fromMs !== undefined && asked.nowMs < when.fromMs) return undefined;
  if (when.untilMs !== undefined && asked.nowMs >= when.untilMs) return undefined;
  if (!isWithin(when, element)) return undefined;
  const isNamed = isNamedAbove || (isMeant && when.purposes !== undefined);
  const inner = rule.except.map((one) => verdict(one, asked, element, isNamed));
  if (inner.includes("deny")) return "deny";
  // What is excepted for clinical research is not thereby permitted for all research.
  if (!isMeant) return inner.some((one) => one !== undefined) ? undefined : "deny";
  if (inner.includes("permit")) return "permit";
  if (rule.effect === "deny") return inner.includes("lets") ? "lets" : "deny";
  return purposes.includes("HRESCH") && !isNamed ? "lets" : "permit";
}

function consentOn(asked: Asked, element: Element): "permit" | "deny" | undefined {
  const all = asked.rows.map((row) =>
    row.kind === "consent" ? verdict(row.rule, asked, element) : undefined,
  );
  return all.includes("deny") ? "deny" : all.includes("permit") ? "permit" : undefined;
}

const holds = (one: { fromMs: number; untilMs?: number | undefined } | undefined, nowMs: number) =>
  one !== undefined && nowMs >= one.fromMs && (one.untilMs === undefined || nowMs < one.untilMs);

/** Whether this one element may be opened, in the words of docs/policies.md. */
function mayOpen(asked: Asked, element: Element): boolean {
  const { principal, purpose, action, nowMs, resource } = asked;
  if (resource.type !== "Data") return false;
  const consent = consentOn(asked, element);
  if (principal.kind === "service") {
    const measured = element.category !== "demographics";
    if (principal.id === "maintenance") {
      return action === "maintain" && purpose === "HSYSADMIN" && asked.log === "appending";
    }
    if (principal.id === "alerting") {
      const isShort =
        asked.standing && asked.standing.untilMs - asked.standing.fromMs <= 86_400_000;
      const does = action === "read" || action === "subscribe";
      const stands = holds(asked.standing, nowMs) && isShort === true;
      return does && purpose === "TREAT" && measured && stands && consent !== "deny";
    }
    const isRelease = action === "aggregate" && purpose === "HRESCH" && measured;
    return isRelease && consent === "permit" && asked.log === "appending";
  }
  const me = principal.references;
  if (principal.suspended || !holds(asked.session, nowMs)) return false;
  const isEmergency = purpose === "ETREAT" || purpose === "BTG";
  if (asked.log === "journal") {
    if (!isEmergency || asked.breakGlass === undefined || !holds(asked.shift, nowMs)) return false;
  }
  const isCarer = principal.role === "nurse" || principal.role === "clinician";
  const looks = action === "read" || action === "search" || action === "subscribe";
  if (isEmergency) {
    const glass = asked.breakGlass;
    if (!isCarer || glass === undefined || !(looks || action === "create")) return false;
    const length = glass.untilMs - glass.fromMs;
    if (length < 3_600_000 || length > 12 * 3_600_000 || glass.reasonCharacters < 10) return false;
    return holds(glass, nowMs);
  }
  const touches = looks || action === "export" || action === "create";
  if (principal.role === "patient" && purpose === "PATRQT" && touches) {
    return principal.patientId === resource.patient.id;
  }
  const isPaused = asked.rows.some(
    (row) =>
      row.kind === "pause" &&
      (row.actors === undefined || row.actors.some((one) => me.includes(one))) &&
      holds(row, nowMs),
  );
  const isOwn = principal.patientId === resource.patient.id;
  if ((isPaused && !isOwn) || consent === "deny") return false;
  if (isCarer && (purpose === "TREAT" || purpose === "COC") && touches) {
    return asked.rows.some(
      (row) => row.kind === "care-team" && me.includes(row.member) && holds(row, nowMs),
    );
  }
  const delegated = (as: "relative" | "guardian") =>
    asked.rows.some(
      (row) =>
        row.kind === "delegation" &&
        row.as === as &&
        me.includes(row.to) &&
        holds(row, nowMs) &&
        isWithin(row, element),
    );
  if (principal.role === "relative" && looks && (purpose === "FAMRQT" || purpose === "SUPNWK")) {
    return delegated("relative");
  }
  const { adultFromMs } = resource.patient;
  const isMinor = adultFromMs !== undefined && nowMs < adultFromMs;
  if (principal.role === "guardian" && touches && (purpose === "FAMRQT" || purpose === "PATRQT")) {
    return isMinor && delegated("guardian");
  }
  return false;
}

/** Two delegations to one person at once contradict each other: nobody knows which was meant. */
function areDelegationsClear({ rows, principal, nowMs }: Asked): boolean {
  const me: readonly string[] = principal.kind === "person" ? principal.references : [];
  const mine = rows.filter(
    (row) => row.kind === "delegation" && me.includes(row.to) && holds(row, nowMs),
  );
  return mine.length <= 1;
}

// What is asked, at random, with the likely more often.
const edge = fc.constantFrom(undefined, undefined, ...EDGES);
const listOf = <T>(...values: T[]) =>
  fc.option(fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 2 }), {
    nil: undefined,
    freq: 1,
  });
const limitsOf = fc.record({
  categories: listOf(...CATEGORIES),
  codes: fc.option(fc.uniqueArray(fc.constantFrom(...CODES), { minLength: 1, maxLength: 2 }), {
    nil: undefined,
    freq: 1,
  }),
  dataFromMs: edge,
  dataUntilMs: edge,
});
const ME = ["Practitioner/me", "Organization/ours"];
const conditions: fc.Arbitrary<Conditions> = fc
  .record({
    limits: limitsOf,
    actors: fc.constantFrom(undefined, undefined, ["Practitioner/me"], ["Practitioner/other"]),
    actions: fc.constantFrom(undefined, undefined, ["access" as const], [
      "use",
      "disclose",
    ] as const),
    purposes: fc.constantFrom(
      undefined,
      undefined,
      ["TREAT"],
      ["PATRQT"],
      ["HRESCH"],
      ["COC"],
      ["CLINTRCH"],
    ),
    fromMs: edge,
    untilMs: edge,
  })
  .map(({ limits, ...rest }) => ({ ...limits, ...rest }) as Conditions);
const ruleOf = (effect: Rule["effect"], depth: number): fc.Arbitrary<Rule> =>
  fc.record({
    effect: fc.constant(effect),
    when: conditions,
    except:
      depth === 0
        ? fc.constant([])
        : fc.array(ruleOf(effect === "permit" ? "deny" : "permit", depth - 1), { maxLength: 2 }),
  });
const consents = fc
  .array(fc.oneof(ruleOf("permit", 2), ruleOf("deny", 2)), { maxLength: 3 })
  .map((rules) =>
    rules.map(
      (rule, i): RowOf<"consent"> => ({
        ...{ kind: "consent", id: `c${i}`, patientId: "p1", about: "patient-privacy", rule },
      }),
    ),
  );
const ALWAYS = { fromMs: 0, untilMs: 1e9 };
const period = fc.oneof(
  { weight: 5, arbitrary: fc.constant(ALWAYS) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      { fromMs: 10, untilMs: 20 },
      { fromMs: 0, untilMs: 10 },
      { fromMs: 20, untilMs: 1e9 },
    ),
  },
);
const member = fc.constantFrom("Practitioner/me", "Practitioner/me", "Practitioner/other");
const other: fc.Arbitrary<PolicyRow> = fc.oneof(
  fc.record({ member, period }).map(
    ({ member, period }): PolicyRow => ({
      ...{ kind: "care-team", id: "t", patientId: "p1", member },
      ...period,
    }),
  ),
  fc.record({ to: member, as: fc.constantFrom("relative", "guardian"), period, limitsOf }).map(
    ({ to, as, period, limitsOf }): PolicyRow => ({
      ...{ kind: "delegation", id: "d", patientId: "p1", as: as as "relative", to },
      ...limitsOf,
      ...period,
    }),
  ),
  fc.record({ to: fc.option(member, { nil: undefined }), edge: fc.constantFrom(...EDGES) }).map(
    ({ to, edge }): PolicyRow => ({
      ...{ kind: "pause", id: "h", patientId: "p1", actors: to && [to] },
      ...{ fromMs: edge, untilMs: edge + 10 },
    }),
  ),
);
const who = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom("nurse", "clinician", "patient", "relative", "guardian"),
  },
  { weight: 2, arbitrary: fc.constantFrom("alerting", "maintenance", "research-release") },
  {
    weight: 1,
    arbitrary: fc.constantFrom("administrator", "researcher", "privacy-officer", "auditor"),
  },
);
const LIKELY: Record<string, readonly [purposes: string[], actions: string[]]> = {
  nurse: [
    ["TREAT", "COC", "ETREAT", "BTG"],
    ["read", "search", "export", "create"],
  ],
  clinician: [
    ["TREAT", "COC", "ETREAT"],
    ["read", "subscribe", "export"],
  ],
  patient: [["PATRQT"], ["read", "export", "create"]],
  relative: [
    ["FAMRQT", "SUPNWK"],
    ["read", "search"],
  ],
  guardian: [
    ["FAMRQT", "PATRQT"],
    ["read", "export"],
  ],
  alerting: [["TREAT"], ["read", "subscribe"]],
  maintenance: [["HSYSADMIN"], ["maintain"]],
  "research-release": [["HRESCH", "HRESCH", "HRESCH", "CLINTRCH"], ["aggregate"]],
};
const pick = (list: readonly string[], at: number) => list[at % list.length] ?? "";

/** The row by which this one may get in at all; without it nearly every answer would be no. */
function helping(who: string, limits: Limits, period: { fromMs: number; untilMs: number }) {
  const row = { id: "help", patientId: "p1" };
  if (who === "nurse" || who === "clinician") {
    return [{ ...row, kind: "care-team", member: "Practitioner/me", ...period }];
  }
  if (who === "relative" || who === "guardian") {
    return [{ ...row, kind: "delegation", as: who, to: "Practitioner/me", ...limits, ...period }];
  }
  const rule = { effect: "permit", when: { ...limits, purposes: ["HRESCH"] }, except: [] };
  return who === "research-release" ? [{ ...row, kind: "consent", about: "research", rule }] : [];
}

const questions: fc.Arbitrary<{ asked: Asked; boxes: Limits[] }> = fc
  .record({
    ...{
      who,
      consents,
      others: fc.array(other, { maxLength: 2 }),
      patientId: fc.constantFrom("p1", "p2"),
    },
    ...{
      isLikely: fc.integer({ min: 0, max: 9 }),
      at: fc.nat(99),
      nowMs: fc.constantFrom(...NOWS),
    },
    ...{ isSuspended: fc.integer({ min: 0, max: 19 }), session: period, shift: period },
    ...{
      standing: period,
      adultFromMs: fc.constantFrom(undefined, 10, 30, 1e9),
      hours: fc.constantFrom(0, 1, 2, 3, 11, 12, 13),
    },
    ...{ words: fc.constantFrom(9, 10, 50, 60, 70), journal: fc.integer({ min: 0, max: 9 }) },
    ...{ helps: fc.integer({ min: 0, max: 9 }), helpLimits: limitsOf, helpPeriod: period },
    boxes: fc.array(limitsOf, { minLength: 1, maxLength: 2 }),
  })
  .map((r) => {
    const services = ["alerting", "maintenance", "research-release"];
    const [purposes, actions] = (r.isLikely > 1 && LIKELY[r.who]) || [
      Object.keys(BROADER),
      Object.keys(FHIR_ACTION),
    ];
    const principal = services.includes(r.who)
      ? { kind: "service", id: r.who }
      : {
          ...{ kind: "person", id: "me", role: r.who, suspended: r.isSuspended === 0 },
          ...{ patientId: r.who === "patient" ? r.patientId : undefined, references: ME },
        };
    const scope = r.boxes.map((box) => scopeOf(box)).reduce(unite, NOTHING);
    const help = r.helps > 1 ? helping(r.who, r.helpLimits, r.helpPeriod) : [];
    const rows = [...r.consents, ...r.others, ...help];
    const asked = {
      ...{ principal, purpose: pick(purposes, r.at), action: pick(actions, r.at >> 2) },
      ...{ nowMs: r.nowMs, log: r.journal === 0 ? "journal" : "appending" },
      resource: { type: "Data", patient: { id: "p1", adultFromMs: r.adultFromMs }, scope },
      ...{ session: r.session, shift: r.shift, rows },
      standing: { ...r.standing, untilMs: Math.min(r.standing.untilMs, 86_400_000 + (r.at % 2)) },
      breakGlass: { fromMs: 10, untilMs: 10 + r.hours * 3_600_000, reasonCharacters: r.words },
    } as unknown as Asked;
    return { asked, boxes: r.boxes };
  });

const codesOf = (element: Element) => (element.code === undefined ? [] : [element.code]);

test("sets of data are united, cut and subtracted as sets are", () => {
  const pair = fc.tuple(fc.array(limitsOf, { maxLength: 3 }), fc.array(limitsOf, { maxLength: 3 }));
  fc.assert(
    fc.property(pair, ([ones, others]) => {
      const one = ones.map((box) => scopeOf(box)).reduce(unite, NOTHING);
      const other = others.map((box) => scopeOf(box)).reduce(unite, NOTHING);
      const results = {
        both: intersect(one, other),
        any: unite(one, other),
        left: without(one, other),
      };
      for (const element of WORLD) {
        const inOne = ones.some((box) => isWithin(box, element));
        const inOther = others.some((box) => isWithin(box, element));
        const has = (scope: typeof one) => covers(scope, { ...element, codes: codesOf(element) });
        assert.equal(has(results.any), inOne || inOther);
        assert.equal(has(results.both), inOne && inOther);
        assert.equal(has(results.left), inOne && !inOther);
      }
      assert.ok(isSame(unite(results.both, results.left), one), "one form for one set");
    }),
    { numRuns: 2_000 },
  );
});

test("consents leave exactly the elements that each rule, read alone, leaves", () => {
  fc.assert(
    fc.property(questions, ({ asked, boxes }) => {
      const references = asked.principal.kind === "person" ? asked.principal.references : [];
      const { purpose, nowMs } = asked;
      const asker = { references, action: asked.action as DataAction, purpose, nowMs };
      const rows = asked.rows.filter((row) => row.kind === "consent");
      const scope = boxes.map((box) => scopeOf(box)).reduce(unite, NOTHING);
      const weighed = weigh(rows, asker, scope);
      for (const element of WORLD) {
        const isAsked = boxes.some((box) => isWithin(box, element));
        const consent = isAsked ? consentOn(asked, element) : undefined;
        const at = { ...element, codes: codesOf(element) };
        assert.equal(covers(weighed.permitted, at), consent === "permit");
        assert.equal(covers(weighed.denied, at), consent === "deny");
      }
    }),
    { numRuns: 3_000 },
  );
});

test("no element is opened that the rules, read one by one, do not open, and none is missing", () => {
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(questions, ({ asked, boxes }) => {
      const decision = decideByPolicy(policies, asked);
      const isClear = areDelegationsClear(asked);
      let opened = 0;
      for (const element of WORLD) {
        const isAsked = boxes.some((box) => isWithin(box, element));
        const expected = isAsked && isClear && mayOpen(asked, element);
        const scope = decision.permitted ? decision.scope : NOTHING;
        assert.equal(covers(scope, { ...element, codes: codesOf(element) }), expected);
        if (expected) opened += 1;
      }
      if (opened > 0) assert.ok(decision.permitted);
      for (const id of opened > 0 ? decision.policies : []) seen.set(id, (seen.get(id) ?? 0) + 1);
    }),
    { numRuns: 1_500 },
  );
  const ofData = [...policies.entries.values()].filter((one) => one.part !== undefined);
  const unseen = ofData.filter(({ id }) => !seen.has(id)).map(({ id }) => id);
  assert.deepEqual(unseen, [], "every policy on data opened something");
});
