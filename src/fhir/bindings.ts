/** Required bindings: the library validates structure and invariants, and lets any code through. */
import type { ElementDefinition, StructureDefinition } from "@medplum/fhirtypes";
import { definitions } from "./definitions/definitions.ts";

/** A code that its required value set does not hold. */
export interface BindingFault {
  /** FHIRPath-like place, "Observation.status". */
  readonly expression: string;
  readonly valueSet: string;
}

interface Field {
  readonly element: ElementDefinition;
  /** The data type to walk into; undefined for children listed in the same structure. */
  readonly type: string | undefined;
}

let tables: Map<string, Map<string, Field>> | undefined;

/** Finds every code outside of its required value set (FHIR R4 §4.1.5.1), anywhere in the resource. */
export function bindingFaults(resource: { readonly resourceType?: unknown }): BindingFault[] {
  tables ??= new Map(definitions().structures.map((one) => [one.name, fieldsOf(one)]));
  const faults: BindingFault[] = [];
  walk(resource, String(resource.resourceType), "", String(resource.resourceType), faults);
  return faults;
}

/** The fields of one structure by path below its root: "code", "component.code", "valueQuantity". */
function fieldsOf(structure: StructureDefinition): Map<string, Field> {
  const fields = new Map<string, Field>();
  for (const element of structure.snapshot?.element ?? []) {
    const path = (element.path ?? "").split(".").slice(1).join(".");
    if (path === "") continue;
    for (const type of element.type ?? [{ code: undefined }]) {
      const code = type.code;
      const name = path.endsWith("[x]")
        ? `${path.slice(0, -3)}${(code ?? "").charAt(0).toUpperCase()}${(code ?? "").slice(1)}`
        : path;
      const isInline = code === "BackboneElement" || code === "Element";
      fields.set(name, { element, type: isInline ? undefined : code });
    }
  }
  return fields;
}

function walk(
  value: unknown,
  structure: string,
  prefix: string,
  expression: string,
  faults: BindingFault[],
): void {
  if (Array.isArray(value)) {
    for (const [at, one] of value.entries()) {
      walk(one, structure, prefix, `${expression}[${at}]`, faults);
    }
    return;
  }
  if (typeof value !== "object" || value === null) return;
  const fields = tables?.get(structure);
  if (fields === undefined) return;
  for (const [name, child] of Object.entries(value)) {
    const path = prefix === "" ? name : `${prefix}.${name}`;
    const field = fields.get(path);
    if (field === undefined) continue; // an unknown field is the library's refusal
    const place = `${expression}.${name}`;
    checkCode(child, field.element, place, faults);
    if (field.type === undefined) walk(child, structure, path, place, faults);
    else walk(child, resourceTypeOf(child) ?? field.type, "", place, faults);
  }
}

/** A contained or bundled resource says itself what it is. */
function resourceTypeOf(value: unknown): string | undefined {
  const type = (value as { resourceType?: unknown } | null)?.resourceType;
  return typeof type === "string" ? type : undefined;
}

function checkCode(
  value: unknown,
  element: ElementDefinition,
  expression: string,
  faults: BindingFault[],
): void {
  const { binding } = element;
  if (binding?.strength !== "required") return;
  const url = (binding.valueSet ?? "").split("|")[0] ?? "";
  const codes = definitions().valueSets[url];
  if (codes === undefined) return;
  for (const one of Array.isArray(value) ? value : [value]) {
    if (typeof one === "string" && !codes.includes(one)) faults.push({ expression, valueSet: url });
  }
}
