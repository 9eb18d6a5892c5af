/** An Observation search as asked → what to fetch. What we do not understand is refused, never ignored. */
import {
  type Filter,
  indexSearchParameter,
  parseSearchRequest,
  type SearchRequest,
} from "@medplum/core";
import type { SearchParameter } from "@medplum/fhirtypes";
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import { type Category, METRICS } from "../vitals/metric.ts";
import {
  categoriesOfToken,
  categoryCoding,
  isPanelToken,
  metricsOfToken,
  panelOf,
} from "./codes.ts";
import { dateRange } from "./date.ts";
import { SYSTEM } from "./systems.ts";

export interface ObservationQuery {
  readonly patientId: string;
  /** Metrics that match code and category; undefined: all. */
  readonly mdcs: readonly number[] | undefined;
  /** Whether blood-pressure panels match: by their own code, or by a component's with `combo-code`. */
  readonly wantsPanels: boolean;
  /** `system|code` or `code`, any of them; undefined: all. For Observations that were written by FHIR. */
  readonly codes: readonly string[] | undefined;
  readonly categories: readonly Category[] | undefined;
  /** UTC ms, [from, to). */
  readonly fromMs: number;
  readonly toMs: number;
  readonly newestFirst: boolean;
  readonly count: number;
  readonly countOnly: boolean;
  readonly wantsTotal: boolean;
  readonly cursor: Cursor | undefined;
}

/** Where the last page ended: its time, and how many Observations of that very time it gave. */
export interface Cursor {
  readonly timeMs: number;
  readonly given: number;
}

const PARAMETERS: Readonly<Record<string, SearchParameter["type"]>> = {
  patient: "reference",
  subject: "reference",
  code: "token",
  "combo-code": "token",
  category: "token",
  date: "date",
};
const RESULT_PARAMETERS = new Set(["_sort", "_count", "_summary", "_total", "_cursor", "_format"]);

const TAKEN = [...Object.keys(PARAMETERS), ...RESULT_PARAMETERS].join(", ");

let indexed = false;

/** @throws Problem "search-not-understood" naming the parameter, or those that there are. */
export function parseObservationSearch(queryString: string): ObservationQuery {
  const given = new URLSearchParams(queryString);
  for (const name of given.keys()) {
    // The name comes from outside and may be anybody's words: it is not repeated.
    if (!Object.hasOwn(PARAMETERS, name) && !RESULT_PARAMETERS.has(name)) {
      throw new Problem("search-not-understood", { detail: `Observation takes ${TAKEN}` });
    }
  }
  const request = parsed(queryString);
  const filters = request.filters ?? [];
  const ownCodes = tokensOf(filters, "code");
  const comboCodes = tokensOf(filters, "combo-code");
  if (ownCodes !== undefined && comboCodes !== undefined) {
    throw notUnderstood("combo-code", "does not go with code");
  }
  const codes = ownCodes ?? comboCodes;
  const categoryTokens = tokensOf(filters, "category");
  const categories = categoryTokens?.flatMap(categoriesOfToken);
  const { fromMs, toMs } = timesOf(filters);
  const mdcs = metricsFor(codes, categories);
  const isVitalSigns = categories === undefined || categories.includes("vital-signs");
  const byComponent = comboCodes !== undefined && (mdcs ?? []).some((mdc) => panelOf(mdc));
  return {
    patientId: patientOf(filters),
    mdcs,
    wantsPanels: isVitalSigns && (codes?.some(isPanelToken) !== false || byComponent),
    codes,
    categories,
    fromMs,
    toMs,
    newestFirst: isNewestFirst(request),
    count: countOf(given),
    countOnly: summaryOf(given) === "count",
    wantsTotal: given.get("_total") === "accurate",
    cursor: cursorOf(given.get("_cursor")),
  };
}

function parsed(queryString: string): SearchRequest {
  if (!indexed) {
    for (const [code, type] of Object.entries(PARAMETERS)) {
      indexSearchParameter({
        resourceType: "SearchParameter",
        id: code,
        url: `http://hl7.org/fhir/SearchParameter/Observation-${code}`,
        name: code,
        status: "active",
        description: code,
        code,
        base: ["Observation"],
        type,
        expression: `Observation.${code}`,
      });
    }
    indexed = true;
  }
  try {
    return parseSearchRequest(`Observation?${queryString}`);
  } catch (cause) {
    throw new Problem("search-not-understood", { detail: "the query is not well-formed", cause });
  }
}

function notUnderstood(name: string, words: string): Problem {
  return new Problem("search-not-understood", { detail: `${name} ${words}` });
}

function patientOf(filters: readonly Filter[]): string {
  const asked = filters.filter(({ code }) => code === "patient" || code === "subject");
  const [one] = asked;
  if (one === undefined) throw notUnderstood("patient", "is required: one search, one patient");
  const id = /^(?:Patient\/)?([0-9a-f-]{36})$/.exec(one.value)?.[1];
  if (asked.length > 1 || one.operator !== "eq" || id === undefined) {
    throw notUnderstood("patient", "takes one Patient/id");
  }
  return id;
}

function tokensOf(filters: readonly Filter[], name: string): string[] | undefined {
  const asked = filters.filter(({ code }) => code === name);
  if (asked.length === 0) return undefined;
  if (asked.length > 1) throw notUnderstood(name, "may stand once; separate choices by commas");
  const [one] = asked;
  if (one === undefined || one.operator !== "eq")
    throw notUnderstood(name, "takes no modifier here");
  const choices = one.value.split(",").filter((choice) => choice !== "");
  if (choices.length === 0 || choices.length > limits.searchChoicesMax) {
    throw notUnderstood(name, `takes 1 to ${limits.searchChoicesMax} choices`);
  }
  return choices;
}

function timesOf(filters: readonly Filter[]): { fromMs: number; toMs: number } {
  let fromMs = 0;
  let toMs: number = limits.timeMsMax;
  for (const { operator, value } of filters.filter(({ code }) => code === "date")) {
    const range = dateRange(value);
    if (range === undefined) throw notUnderstood("date", "takes a FHIR date or dateTime");
    if (operator === "eq" || operator === "ge") fromMs = Math.max(fromMs, range.fromMs);
    else if (operator === "gt" || operator === "sa") fromMs = Math.max(fromMs, range.toMs);
    else if (operator !== "le" && operator !== "lt" && operator !== "eb") {
      throw notUnderstood("date", "takes the prefixes eq, ge, gt, sa, le, lt, eb");
    }
    if (operator === "eq" || operator === "le") toMs = Math.min(toMs, range.toMs);
    else if (operator === "lt" || operator === "eb") toMs = Math.min(toMs, range.fromMs);
  }
  return { fromMs, toMs };
}

function metricsFor(
  codes: readonly string[] | undefined,
  categories: readonly Category[] | undefined,
): number[] | undefined {
  if (codes === undefined && categories === undefined) return undefined;
  const byCode = codes === undefined ? METRICS : [...new Set(codes.flatMap(metricsOfToken))];
  return byCode
    .filter((metric) => categories === undefined || categories.includes(metric.category))
    .map((metric) => metric.mdc);
}

function isNewestFirst(request: SearchRequest): boolean {
  const rules = request.sortRules ?? [];
  if (rules.length === 0) return true;
  const [rule] = rules;
  if (rules.length > 1 || rule?.code !== "date")
    throw notUnderstood("_sort", "takes date or -date");
  return rule.descending === true;
}

function countOf(given: URLSearchParams): number {
  const asked = given.get("_count");
  if (asked === null) return limits.searchPageDefault;
  if (!/^\d{1,6}$/.test(asked)) throw notUnderstood("_count", "takes a whole number");
  return Math.min(Number(asked), limits.searchPageMax);
}

function summaryOf(given: URLSearchParams): string {
  const asked = given.get("_summary") ?? "false";
  if (asked !== "count" && asked !== "false")
    throw notUnderstood("_summary", "takes count or false");
  return asked;
}

export function encodeCursor(cursor: Cursor): string {
  return Buffer.from(`${cursor.timeMs}.${cursor.given}`).toString("base64url");
}

function cursorOf(text: string | null): Cursor | undefined {
  if (text === null) return undefined;
  const match = /^(\d{1,15})\.(\d{1,9})$/.exec(Buffer.from(text, "base64url").toString("latin1"));
  if (match === null) throw notUnderstood("_cursor", "takes what a next link gave");
  return { timeMs: Number(match[1]), given: Number(match[2]) };
}

/** The `category` tokens under which an Observation of that category is found. */
export function categoryToken(category: Category): string {
  const { system, code } = categoryCoding(category);
  return `${system ?? SYSTEM.observationCategory}|${code}`;
}
