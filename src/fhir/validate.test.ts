import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { FhirRefusal } from "./outcome.ts";
import { validateObservation, validatePatient } from "./validate.ts";

const folder = new URL("../../test/vectors/fhir-r4/", import.meta.url);
const example = (name: string) =>
  JSON.parse(readFileSync(new URL(`Observation-${name}.json`, folder), "utf8"));

// biome-ignore lint/suspicious/noExplicitAny: a test that spoils JSON at any place
type Loose = Record<string, any>;

function refused(resource: unknown): string[] {
  try {
    validateObservation(resource);
  } catch (error) {
    assert.ok(error instanceof FhirRefusal, String(error));
    return error.issues.map((issue) => `${issue.code} ${issue.expression}`);
  }
  return [];
}

test("HL7's own vital-signs examples are taken", () => {
  const names = readdirSync(folder).filter((name) => name.endsWith(".json"));
  assert.equal(names.length, 20);
  const taken = names.filter((name) => {
    const resource = JSON.parse(readFileSync(new URL(name, folder), "utf8"));
    return refused(resource).length === 0;
  });
  assert.deepEqual(taken, names);
});

test("each way to be wrong is refused at its own place", () => {
  const wrong: [string, (o: Loose) => void, string][] = [
    ["heart-rate", (o) => (o.status = "bogus"), "code-invalid Observation.status"],
    ["heart-rate", (o) => delete o.status, "structure Observation.status"],
    ["heart-rate", (o) => (o.surprise = 1), "structure Observation"],
    [
      "heart-rate",
      (o) => (o.valueQuantity.code = "bpm"),
      "invariant Observation.valueQuantity.code",
    ],
    [
      "heart-rate",
      (o) => (o.valueQuantity.system = "x:y"),
      "invariant Observation.valueQuantity.system",
    ],
    [
      "heart-rate",
      (o) => (o.valueQuantity.comparator = "~"),
      "code-invalid Observation.valueQuantity.comparator",
    ],
    ["heart-rate", (o) => delete o.valueQuantity, "invariant Observation.value[x]"],
    ["heart-rate", (o) => (o.category = []), "invariant Observation.category"],
    [
      "heart-rate",
      (o) => (o.category[0].coding[0].code = "survey"),
      "invariant Observation.category",
    ],
    ["heart-rate", (o) => delete o.subject, "invariant Observation.subject"],
    [
      "heart-rate",
      (o) => (o.effectiveDateTime = "2020"),
      "invariant Observation.effectiveDateTime",
    ],
    ["heart-rate", (o) => delete o.effectiveDateTime, "invariant Observation.effective[x]"],
    [
      "body-temperature",
      (o) => (o.valueQuantity.code = "K"),
      "invariant Observation.valueQuantity.code",
    ],
    ["blood-pressure", (o) => o.component.pop(), "invariant Observation.component"],
    [
      "blood-pressure",
      (o) => (o.component[0].valueQuantity.code = "kPa"),
      "invariant Observation.component[0].valueQuantity.code",
    ],
  ];
  for (const [name, spoil, expected] of wrong) {
    const resource = example(name);
    spoil(resource);
    assert.ok(refused(resource).includes(expected), `${expected}: ${refused(resource)}`);
  }
  for (const other of [undefined, null, 7, "x", [], {}, { resourceType: "Patient" }]) {
    assert.deepEqual(refused(other), ["structure Observation"]);
  }
});

test("a refusal never repeats the value that was wrong", () => {
  const marker = "CANARY-7f3a";
  for (const spoil of [
    (o: Loose) => (o.status = marker),
    (o: Loose) => (o.valueQuantity.value = marker),
    (o: Loose) => (o.valueQuantity.code = marker),
    (o: Loose) => (o.effectiveDateTime = marker),
    (o: Loose) => (o.subject = { reference: { x: marker } }),
  ]) {
    const resource = example("heart-rate");
    spoil(resource);
    try {
      validateObservation(resource);
      assert.fail("taken");
    } catch (error) {
      assert.ok(error instanceof FhirRefusal, String(error));
      assert.ok(!JSON.stringify([error.message, error.issues]).includes(marker), error.message);
    }
  }
});

test("a field that FHIR does not know is refused without repeating its name", () => {
  for (const name of ["Mary Example", "Mary.Example", 'Mary"Example']) {
    const resources = [
      { resourceType: "Patient", [name]: 1 },
      { resourceType: "Patient", contact: [{ [name]: "x" }] },
    ];
    for (const resource of resources) {
      assert.throws(
        () => validatePatient(resource),
        (error) =>
          error instanceof FhirRefusal &&
          !JSON.stringify([error.issues, error.message]).includes("Mary") &&
          error.issues.some((issue) => issue.text.includes("does not know")),
      );
    }
  }
});

test("a list where R4 has one value, one value where it has a list, and a word for an object are refused", () => {
  for (const [name, spoil] of [
    ["heart-rate", (o: Loose) => (o.category = "")],
    ["heart-rate", (o: Loose) => (o.category = [""])],
    ["heart-rate", (o: Loose) => (o.status = ["final"])],
    ["heart-rate", (o: Loose) => (o._status = "x")],
    ["blood-pressure", (o: Loose) => (o.component[0].valueQuantity = "")],
  ] as const) {
    const resource = example(name);
    spoil(resource);
    assert.ok(refused(resource).length > 0, JSON.stringify(resource));
  }
});

test("a resource nested beyond any use is refused, not choked on", () => {
  for (const [field, wrap] of [
    ["extension", (inner: unknown) => [{ url: "x:y", extension: inner }]],
    ["contained", (inner: unknown) => [{ resourceType: "Patient", contained: inner }]],
  ] as const) {
    let nested: unknown = [];
    for (let depth = 0; depth < 20_000; depth++) nested = wrap(nested);
    assert.ok(refused({ ...example("heart-rate"), [field]: nested }).length > 0);
  }
});
