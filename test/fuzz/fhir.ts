/**
 * Fuzzes what people's programs send to the FHIR door: any resource and any search string is taken or
 * refused by name, and no refusal repeats a value that came.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { systemClock } from "../../src/clock.ts";
import { dateRange } from "../../src/fhir/date.ts";
import { FhirRefusal, refusalOutcome } from "../../src/fhir/outcome.ts";
import { parsePatientSearch, searchValuesOf } from "../../src/fhir/patients.ts";
import { parseObservationSearch } from "../../src/fhir/search.ts";
import { validateObservation, validatePatient } from "../../src/fhir/validate.ts";
import { subjectOf, toWrite } from "../../src/fhir/written.ts";
import { Problem, type ProblemCode } from "../../src/problems.ts";
import { generator } from "./mutate.ts";

/** Stands for a name or a value; any six letters of it in a refusal are a leak. */
const MARKER = "Zorbatrixia";
const PIECE = 6;
const pieces = Array.from({ length: MARKER.length - PIECE + 1 }, (_, i) =>
  MARKER.slice(i, i + PIECE).toLowerCase(),
);

const folder = new URL("../vectors/fhir-r4/", import.meta.url);
const observations = readdirSync(folder)
  .filter((name) => /^Observation-.*\.json$/.test(name))
  .map((name) => readFileSync(new URL(name, folder), "utf8"));
const patient = JSON.stringify({
  resourceType: "Patient",
  name: [{ family: MARKER, given: ["Test"] }],
  identifier: [{ system: "urn:oid:2.999", value: MARKER }],
  birthDate: "1970-01-01",
  gender: "other",
  contact: [{ name: { text: MARKER }, telecom: [{ system: "phone", value: "1" }] }],
});
const id = "0190a0b0-0000-7000-8000-000000000001";
const searches = [
  `patient=${id}&code=http://loinc.org|8867-4,${MARKER}&date=ge2026-01-01&date=lt2027&_sort=-date`,
  `patient=Patient/${id}&category=vital-signs&_count=20&_summary=count&_total=accurate`,
  `subject=${MARKER}&combo-code=8480-6&_cursor=abc`,
  `identifier=urn:oid:2.999|${MARKER}&family=${MARKER}&birthdate=1970-01-01&_count=5`,
];

export const seeds: readonly Uint8Array[] = [...observations, patient, ...searches].map((text) =>
  Buffer.from(text),
);

const REFUSALS: ReadonlySet<ProblemCode> = new Set(["resource-invalid", "search-not-understood"]);

export function run(bytes: Uint8Array): void {
  const text = Buffer.from(bytes).toString();
  for (const resource of resourcesOf(bytes, text)) {
    refusedInWords(() => {
      const observation = validateObservation(resource);
      toWrite(observation, subjectOf(observation), systemClock);
    });
    refusedInWords(() => searchValuesOf(validatePatient(resource)));
  }
  refusedInWords(() => {
    const query = parseObservationSearch(text);
    assert.ok(query.count >= 0 && !Number.isNaN(query.fromMs) && !Number.isNaN(query.toMs));
  });
  refusedInWords(() => parsePatientSearch(text));
  const range = dateRange(text);
  if (range) assert.ok(range.fromMs <= range.toMs);
}

/** What the bytes say as JSON; and, as that is seldom anything, a true resource spoilt as they say. */
function resourcesOf(bytes: Uint8Array, text: string): unknown[] {
  const random = generator(createHash("sha256").update(bytes).digest().readUInt32BE());
  const seed = [...observations, patient][random(observations.length + 1)] as string;
  const spoilt = JSON.parse(seed) as Record<string, unknown>;
  for (let times = 1 + random(3); times > 0; times--) spoil(spoilt, random);
  try {
    return [JSON.parse(text), spoilt];
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return [spoilt];
  }
}

const odd: readonly unknown[] = [
  null,
  "",
  MARKER,
  -1,
  1e308,
  true,
  [],
  {},
  [null],
  [MARKER],
  { [MARKER]: MARKER },
  { reference: MARKER },
  "9".repeat(400),
  "\u0000",
];

/** Walks to a random place and puts something odd there, takes it away, or adds an odd field. */
function spoil(node: object, random: (below: number) => number): void {
  const fields = Object.keys(node);
  const field = fields[random(Math.max(1, fields.length))];
  if (field === undefined) return;
  const holder = node as Record<string, unknown>;
  const inner = holder[field];
  if (typeof inner === "object" && inner !== null && random(3) > 0) spoil(inner, random);
  else {
    const name = [field, field, field, `_${field}`, `${MARKER}${random(3)}`][random(5)] as string;
    if (random(5) === 0) delete holder[name];
    else holder[name] = structuredClone(odd[random(odd.length)]);
  }
}

function refusedInWords(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof Problem && REFUSALS.has(error.code))) throw error;
    const outcome = error instanceof FhirRefusal ? JSON.stringify(refusalOutcome(error)) : "";
    const said = `${error.message} ${error.detail ?? ""} ${outcome}`.toLowerCase();
    for (const piece of pieces) assert.ok(!said.includes(piece), `a refusal repeats it: ${said}`);
  }
}
