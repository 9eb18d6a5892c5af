import assert from "node:assert/strict";
import { test } from "node:test";
import { definitions } from "./definitions.ts";
import { extractDefinitions } from "./extract.ts";

test("the definitions we validate with are HL7's, cut down and not changed", () => {
  assert.deepEqual(definitions(), JSON.parse(JSON.stringify(extractDefinitions())));
  assert.deepEqual(
    definitions().valueSets["http://hl7.org/fhir/ValueSet/observation-status"]?.length,
    8,
  );
});
