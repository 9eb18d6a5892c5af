/**
 * The shape of a resource by R4's own definitions: which fields there are, and which are lists. The
 * library takes `"category": ""` for a list, and repeats names that callers made up.
 */
import { definitions } from "./definitions/definitions.ts";
import type { Issue } from "./outcome.ts";

interface Field {
  readonly isList: boolean;
  /** What it is in JSON. */
  readonly json: "string" | "number" | "boolean" | "object";
  /** Where the definitions of its own fields are: "Observation.component", "Quantity"; none for primitives. */
  readonly inside: string | undefined;
}

interface Shapes {
  /** "Observation.category" → what it is. */
  readonly fields: ReadonlyMap<string, Field>;
  readonly names: ReadonlySet<string>;
}

const DEPTH_MAX = 32;
let loaded: Shapes | undefined;

/** @param expression "Patient.contact[0].surprise" @returns it up to the first name that R4 does not
 * know, "Patient.contact[0]": a field's name may be anybody's words. */
export function knownPlace(expression: string): string {
  loaded ??= load();
  const { names } = loaded;
  const parts = expression.split(".");
  const end = parts.findIndex((part) => {
    const name = /^_?([A-Za-z]{1,64})(?:\[\d{1,6}\])?$/.exec(part)?.[1];
    return name === undefined || !names.has(name);
  });
  return (end < 0 ? parts : parts.slice(0, end)).join(".") || "the resource";
}

/** Every field that is no list and should be one, or the other way round, or of another JSON type. */
export function shapeFaults(resource: object, type: string): Issue[] {
  loaded ??= load();
  const faults: Issue[] = [];
  walk(resource, { inside: type, place: type, depth: 0 }, loaded.fields, faults);
  return faults;
}

function walk(
  node: object,
  at: { inside: string; place: string; depth: number },
  fields: Shapes["fields"],
  faults: Issue[],
): void {
  for (const [name, value] of Object.entries(node)) {
    const field = fields.get(`${at.inside}.${name}`);
    if (field === undefined) continue; // the library names it, or it is an extension of a primitive
    const place = `${at.place}.${name}`;
    const fault = (text: string) =>
      faults.push({ code: "structure", expression: place, text: `this is ${text}` });
    if (Array.isArray(value) !== field.isList) {
      fault(field.isList ? "a list" : "not a list");
      continue;
    }
    for (const [i, item] of (field.isList ? value : [value]).entries()) {
      if (item === null && field.json !== "object") continue; // it has an extension instead, or none
      if (typeof item !== field.json || item === null || Array.isArray(item)) {
        fault(`${field.json === "object" ? "an" : "a"} ${field.json}`);
      } else if (field.inside === undefined) continue;
      else if (at.depth >= DEPTH_MAX) fault("nested too deeply");
      else {
        const inner = field.isList ? `${place}[${i}]` : place;
        walk(
          item,
          { inside: kindOf(item, field), place: inner, depth: at.depth + 1 },
          fields,
          faults,
        );
      }
    }
  }
}

/** A contained resource says itself what it is. */
function kindOf(item: object, field: Field): string {
  const said = (item as { resourceType?: unknown }).resourceType;
  return field.inside === "Resource" && typeof said === "string" ? said : (field.inside ?? "");
}

function load(): Shapes {
  const fields = new Map<string, Field>();
  const names = new Set<string>();
  for (const { name: structure, snapshot } of definitions().structures) {
    names.add(structure ?? "");
    for (const { path, max, type, contentReference } of snapshot?.element ?? []) {
      const isList = max !== "0" && max !== "1";
      const kinds = contentReference === undefined ? (type ?? []) : [{ code: "Element" }];
      for (const { code = "" } of kinds) {
        const full = path.endsWith("[x]") ? `${path.slice(0, -3)}${capital(code)}` : path;
        const home = contentReference?.split("#").at(-1) ?? full;
        const inside = insideOf(code, home);
        fields.set(full, { isList, inside, json: inside === undefined ? jsonOf(code) : "object" });
        names.add(full.split(".").at(-1) ?? "");
      }
    }
  }
  return { fields, names };
}

/** FHIR R4 §2.6.2. */
function jsonOf(primitive: string): Field["json"] {
  if (primitive === "boolean") return "boolean";
  return /^(integer|decimal|positiveInt|unsignedInt)$/.test(primitive) ? "number" : "string";
}

/** Primitives begin with a small letter (FHIR R4 §2.24). */
function insideOf(code: string, path: string): string | undefined {
  if (code === "Element" || code === "BackboneElement") return path;
  return /^[A-Z]/.test(code) ? code : undefined;
}

/** "value" of the type quantity → "valueQuantity" (FHIR R4 §2.6.1.2). */
function capital(type: string): string {
  return `${type.slice(0, 1).toUpperCase()}${type.slice(1)}`;
}
