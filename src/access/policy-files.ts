/**
 * Loads `policies/`: every policy is parsed, checked strictly against the schema, and must say in
 * words what it does. A broken policy stops the start, by file and line. How to change one:
 * docs/policies.md.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  checkParsePolicySet,
  checkParseSchema,
  type DetailedError,
  getValidRequestEnvsPolicy,
  type PolicyJson,
  policySetTextToParts,
  policyToJson,
  preparsePolicySet,
  preparseSchema,
  validate,
} from "@cedar-policy/cedar-wasm/nodejs";
import { StartRefusal } from "../start-refusal.ts";
import { COMPARTMENTS, type Compartment } from "./permit.ts";

/** Which part of the data asked for a permitting policy opens. */
export const PARTS = ["everything", "not-denied", "permitted", "delegated"] as const;
export type Part = (typeof PARTS)[number];

/** What must happen when data are opened by a policy. */
export const DUTIES = ["tell-patient", "second-person-review", "sealed-output-only"] as const;
export type Duty = (typeof DUTIES)[number];

export interface PolicyEntry {
  readonly id: string;
  readonly title: string;
  /** The comment above it, as one text. */
  readonly words: string;
  readonly effect: "permit" | "forbid";
  /** Of permits of patient data only. */
  readonly part: Part | undefined;
  readonly duties: readonly Duty[];
  /** Where it stands: "care.cedar:3". */
  readonly place: string;
}

export interface Policies {
  readonly entries: ReadonlyMap<string, PolicyEntry>;
  /** SHA-256 over schema and policies, hex: which rules a decision was made by. */
  readonly version: string;
  /** Categories that a policy names: only these can be decided otherwise than the rest. */
  readonly namedCategories: readonly Compartment[];
}

const OWN_FOLDER = fileURLToPath(new URL("policies", import.meta.url));
const SCHEMA = "schema.cedarschema";

/** @param folder holds `schema.cedarschema` and `*.cedar`.
 * @throws StartRefusal that names file and line. */
export function loadPolicies(folder: string = OWN_FOLDER): Policies {
  const hash = createHash("sha256");
  const text = (file: string) => {
    const content = readText(folder, file);
    hash.update(`${file}\0${content.length}\0${content}`);
    return content;
  };
  const schema = text(SCHEMA);
  const parsed = checkParseSchema(schema);
  if (parsed.type === "failure") throw refusal(SCHEMA, schema, parsed.errors[0]);
  const entries = new Map<string, PolicyEntry>();
  const policies: Record<string, string> = {};
  const named = new Set<Compartment>();
  for (const file of policyFilesOf(folder)) {
    const content = text(file);
    checkFile(file, content, schema);
    for (const { entry, source, json } of entriesOf(file, content, schema)) {
      const before = entries.get(entry.id);
      if (before !== undefined) {
        throw new StartRefusal(`${entry.place}: the id "${entry.id}" is that of ${before.place}`);
      }
      entries.set(entry.id, entry);
      policies[entry.id] = source;
      for (const category of categoriesNamed(json)) named.add(category);
    }
  }
  if (entries.size === 0) throw new StartRefusal(`${folder}: there is no policy`);
  const version = hash.digest("hex");
  const ready = [
    preparseSchema(version, schema),
    preparsePolicySet(version, { staticPolicies: policies }),
  ];
  if (ready.some((one) => one.type === "failure")) {
    throw new StartRefusal(`${folder}: the policies do not load together`);
  }
  return { entries, version, namedCategories: [...named] };
}

function policyFilesOf(folder: string): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith(".cedar"))
    .sort();
}

function readText(folder: string, file: string): string {
  try {
    return readFileSync(join(folder, file), "utf8");
  } catch (cause) {
    throw new StartRefusal(`${join(folder, file)}: cannot be read`, { cause });
  }
}

function checkFile(file: string, content: string, schema: string): void {
  const parsed = checkParsePolicySet({ staticPolicies: content });
  if (parsed.type === "failure") throw refusal(file, content, parsed.errors[0]);
  const checked = validate({ schema, policies: { staticPolicies: content } });
  if (checked.type === "failure") throw refusal(file, content, checked.errors[0]);
  // A warning is a policy that can never apply: not what its writer meant.
  const [first] = [...checked.validationErrors, ...checked.validationWarnings];
  if (first !== undefined) throw refusal(file, content, first.error);
  const [other] = checked.otherWarnings;
  if (other !== undefined) throw refusal(file, content, other);
}

/** File, line and the engine's words; policies hold no secret. */
function refusal(file: string, content: string, error: DetailedError | undefined): StartRefusal {
  const start = error?.sourceLocations?.[0]?.start;
  const place = start === undefined ? file : `${file}:${lineAt(content, start)}`;
  const label = error?.sourceLocations?.[0]?.label;
  const words = [error?.message ?? "does not load", label, error?.help].filter(Boolean).join("; ");
  return new StartRefusal(`policies/${place}: ${words.replaceAll("`", '"')}`);
}

/** @param byte offset in UTF-8. @returns from 1. */
function lineAt(content: string, byte: number): number {
  return Buffer.from(content).subarray(0, byte).toString("utf8").split("\n").length;
}

interface Found {
  readonly entry: PolicyEntry;
  readonly source: string;
  readonly json: PolicyJson;
}

function entriesOf(file: string, content: string, schema: string): Found[] {
  const parts = policySetTextToParts(content);
  if (parts.type === "failure") throw refusal(file, content, parts.errors[0]);
  if (parts.policy_templates.length > 0) {
    throw new StartRefusal(`policies/${file}: a template is not a policy`);
  }
  return parts.policies.map((source) => entryOf({ file, content, schema }, source));
}

function entryOf(o: { file: string; content: string; schema: string }, source: string): Found {
  const { file, content, schema } = o;
  const at = content.indexOf(source);
  const line = content.slice(0, at).split("\n").length;
  const place = `policies/${file}:${line}`;
  const asJson = policyToJson(source);
  if (asJson.type === "failure") throw refusal(file, content, asJson.errors[0]);
  const { json } = asJson;
  const annotations = json.annotations ?? {};
  const id = annotations.id ?? "";
  if (!/^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(id)) {
    throw new StartRefusal(`${place}: the policy lacks an @id of lower-case words and hyphens`);
  }
  const title = annotations.title ?? "";
  if (title === "") throw new StartRefusal(`${place}: "${id}" lacks a @title`);
  const words = commentAbove(content, at);
  if (words === "")
    throw new StartRefusal(`${place}: "${id}" lacks a comment above it in plain words`);
  const entry: PolicyEntry = {
    ...{ id, title, words, place, effect: json.effect },
    part: partOf(json, isOfData(source, schema), `${place}: "${id}"`),
    duties: dutiesOf(annotations.duties, `${place}: "${id}"`),
  };
  const unknown = Object.keys(annotations).find(
    (name) => !["id", "title", "part", "duties"].includes(name),
  );
  if (unknown !== undefined) throw new StartRefusal(`${place}: "${id}" has an unknown @${unknown}`);
  return { entry, source, json };
}

/** Whether a policy can apply to a patient's data, as the schema has it. */
function isOfData(source: string, schema: string): boolean {
  const found = getValidRequestEnvsPolicy(source, schema);
  return found.type === "failure" || found.resources.includes("Data");
}

/** Permits of data say which part they open; nothing else does. */
function partOf(json: PolicyJson, isOfData: boolean, place: string): Part | undefined {
  const said = json.annotations?.part;
  if (json.effect !== "permit" || !isOfData) {
    if (said !== undefined) throw new StartRefusal(`${place} opens no data and has a @part`);
    return undefined;
  }
  const part = PARTS.find((one) => one === said);
  if (part === undefined) throw new StartRefusal(`${place} needs a @part: ${PARTS.join(", ")}`);
  return part;
}

function dutiesOf(said: string | undefined, place: string): Duty[] {
  return (said?.split(" ") ?? []).map((word) => {
    const duty = DUTIES.find((one) => one === word);
    if (duty === undefined)
      throw new StartRefusal(`${place} has a duty other than ${DUTIES.join(", ")}`);
    return duty;
  });
}

/** The lines of comment directly above, as one text. */
function commentAbove(content: string, at: number): string {
  const lines = content.slice(0, at).split("\n").slice(0, -1);
  const first = lines.findLastIndex((line) => !line.startsWith("//")) + 1;
  return lines
    .slice(first)
    .map((line) => line.replace(/^\/\/ ?/, ""))
    .join(" ")
    .trim();
}

function categoriesNamed(json: PolicyJson): Compartment[] {
  const text = JSON.stringify(json);
  return COMPARTMENTS.filter((one) => text.includes(`{"type":"Category","id":"${one}"}`));
}
