import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { Problem } from "../problems.ts";
import { dateRange } from "./date.ts";
import { encodeCursor, parseObservationSearch } from "./search.ts";

const patient = randomUUID();
const parse = (query: string) => parseObservationSearch(`patient=${patient}&${query}`);

test("a date means the whole stretch that it names", () => {
  const cases: [string, string, string][] = [
    ["2026", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"],
    ["2026-12", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"],
    ["2024-02-29", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"],
    ["2026-11-23T10:05", "2026-11-23T10:05:00Z", "2026-11-23T10:06:00Z"],
    ["2026-11-23T10:05:06+02:00", "2026-11-23T08:05:06Z", "2026-11-23T08:05:07Z"],
    ["2026-11-23T10:05:06.250Z", "2026-11-23T10:05:06.250Z", "2026-11-23T10:05:06.251Z"],
  ];
  for (const [text, from, to] of cases) {
    assert.deepEqual(dateRange(text), { fromMs: Date.parse(from), toMs: Date.parse(to) }, text);
  }
  for (const text of [
    "",
    "26",
    "2026-13",
    "2026-02-30",
    "2026-11-23T",
    "2026-11-23T25:00",
    "now",
  ]) {
    assert.equal(dateRange(text), undefined, text);
  }
});

test("prefixes bound the time as FHIR says", () => {
  const day = Date.parse("2026-11-23T00:00:00Z");
  const next = day + 86_400_000;
  const cases: [string, number, number][] = [
    ["date=2026-11-23", day, next],
    ["date=ge2026-11-23&date=lt2026-11-24", day, next],
    ["date=gt2026-11-22&date=le2026-11-23", day, next],
    ["date=sa2026-11-22&date=eb2026-11-24", day, next],
  ];
  for (const [query, fromMs, toMs] of cases) {
    const parsed = parse(query);
    assert.deepEqual([parsed.fromMs, parsed.toMs], [fromMs, toMs], query);
  }
});

test("codes are found by LOINC or MDC, with or without their system; two metrics may share one", () => {
  assert.deepEqual(parse("code=http://loinc.org|8310-5").mdcs, [150364]);
  assert.ok((parse("code=8867-4").mdcs?.length ?? 0) > 1);
  assert.deepEqual(parse("code=urn:iso:std:iso:11073:10101|147842").mdcs, [147842]);
  assert.deepEqual(parse("code=nothing").mdcs, []);
  assert.equal(parse("code=nothing").wantsPanels, false);
  assert.equal(parse("code=85354-9").wantsPanels, true);
  assert.equal(parse("combo-code=8480-6").wantsPanels, true);
  assert.equal(parse("category=laboratory").wantsPanels, false);
});

test("what is not understood is refused, with what is taken, never ignored", () => {
  const cases: [string, RegExp][] = [
    ["date=zz2020", /./],
    ["date=ne2020", /date/],
    ["value-quantity=7", /Observation takes patient/],
    ["_sort=code", /_sort/],
    ["_count=many", /_count/],
    ["_summary=text", /_summary/],
    ["_cursor=!!", /_cursor/],
    ["code:not=8867-4", /Observation takes patient/],
    ["patient=x", /patient/],
    [`subject=${patient}`, /patient/],
  ];
  for (const [query, words] of cases) {
    assert.throws(
      () => parse(query),
      (error: unknown) =>
        error instanceof Problem &&
        error.code === "search-not-understood" &&
        words.test(error.message),
      query,
    );
  }
  assert.throws(() => parseObservationSearch("code=8867-4"), /patient is required/);
});

test("a cursor comes back as it was given", () => {
  const cursor = { timeMs: 1_795_000_000_123, given: 3 };
  assert.deepEqual(parse(`_cursor=${encodeCursor(cursor)}`).cursor, cursor);
});

test("a parameter that is not known is refused without repeating its name, JavaScript's own words too", () => {
  for (const name of ["Mary", "mary-example", "constructor", "toString", "__proto__"]) {
    assert.throws(
      () => parse(`${name}=1`),
      (error) =>
        error instanceof Problem &&
        error.code === "search-not-understood" &&
        !error.message.includes(name),
    );
  }
});
