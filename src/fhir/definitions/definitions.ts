/** The FHIR R4 definitions that incoming resources are checked with: HL7's own, cut down (`extract.ts`). */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import type { StructureDefinition } from "@medplum/fhirtypes";

export interface Definitions {
  /** Observation, Patient, Device, Bundle and every data type they use. */
  readonly structures: readonly StructureDefinition[];
  /** Canonical URL of a required value set (no version) → its codes. */
  readonly valueSets: Readonly<Record<string, readonly string[]>>;
}

let loaded: Definitions | undefined;

/** Reads the definitions once. */
export function definitions(): Definitions {
  loaded ??= JSON.parse(
    gunzipSync(readFileSync(new URL("r4.json.gz", import.meta.url))).toString("utf8"),
  ) as Definitions;
  return loaded;
}
