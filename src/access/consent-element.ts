/**
 * Reads a Consent element by element. What nobody asked for by name when the element ends is refused:
 * a part that was not understood may change what the rest means.
 */
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";

interface Coding {
  readonly system: string;
  readonly code: string;
}

/** @throws Problem "resource-invalid". The words are ours alone: nothing that was sent is repeated. */
export function refuse(path: string, why: string): never {
  throw new Problem("resource-invalid", { detail: `${path} ${why}` });
}

export class ConsentElement {
  readonly path: string;
  readonly #zone: string;
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #left: Set<string>;

  constructor(value: unknown, path: string, timeZone: string) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      refuse(path, "is not an element");
    }
    this.path = path;
    this.#zone = timeZone;
    this.#fields = value as Record<string, unknown>;
    this.#left = new Set(Object.keys(this.#fields));
  }

  /** To be called when all was read. Names of elements are repeated only if FHIR knows them. */
  end(): void {
    // An id of an element is there to point at and says nothing.
    if (this.path !== "Consent") this.#left.delete("id");
    for (const name of this.#left) {
      const isName = KNOWN_ELEMENTS.has(name);
      refuse(isName ? `${this.path}.${name}` : this.path, "cannot be said exactly here");
    }
  }

  /** Leaves out what does not change the rules. */
  ignore(name: string): void {
    this.#left.delete(name);
  }

  optionalText(name: string): string | undefined {
    const value = this.#take(name);
    if (value === undefined) return undefined;
    if (typeof value !== "string" || value === "") refuse(this.#at(name), "is not a text");
    return value as string;
  }

  text(name: string): string {
    return this.optionalText(name) ?? refuse(this.#at(name), "is missing");
  }

  matching(name: string, form: RegExp): string {
    const value = this.text(name);
    return form.test(value) ? value : refuse(this.#at(name), "is not of its form");
  }

  flag(name: string): boolean {
    const value = this.#take(name);
    return typeof value === "boolean" ? value : refuse(this.#at(name), "is neither true nor false");
  }

  optional(name: string): ConsentElement | undefined {
    const value = this.#take(name);
    return value === undefined ? undefined : this.#element(value, this.#at(name));
  }

  list(name: string, min: 0 | 1): ConsentElement[] {
    const value = this.#take(name);
    const entries: unknown = value === undefined && min === 0 ? [] : value;
    if (!Array.isArray(entries)) return refuse(this.#at(name), "is not a list");
    // FHIR has no empty lists (R4 §2.6.2), and a rule for nobody would read as a rule for everybody.
    if (value !== undefined && entries.length === 0) refuse(this.#at(name), "is empty");
    if (entries.length > limits.consentListMax) refuse(this.#at(name), "is too long");
    return entries.map((entry, i) => this.#element(entry, `${this.#at(name)}[${i}]`));
  }

  /** A concept that is said by one coding. */
  concept(name: string): Coding {
    const element = this.optional(name) ?? refuse(this.#at(name), "is missing");
    return single(element.conceptCodings(), this.#at(name));
  }

  concepts(name: string, min: 0 | 1): Coding[] {
    return this.list(name, min).map((one) => single(one.conceptCodings(), one.path));
  }

  /** Concepts that may be said in several systems. */
  conceptLists(name: string): Coding[][] {
    return this.list(name, 0).map((one) => one.conceptCodings());
  }

  codings(name: string): Coding[] {
    return this.list(name, 0).map((one) => one.coding());
  }

  /** This element as a CodeableConcept. */
  conceptCodings(): Coding[] {
    const codings = this.list("coding", 1).map((one) => one.coding());
    this.ignore("text");
    this.end();
    return codings;
  }

  /** This element as a Coding. */
  coding(): Coding {
    const coding = { system: this.text("system"), code: this.text("code") };
    this.ignore("display");
    this.ignore("userSelected");
    this.end();
    return coding;
  }

  /** A reference to a resource of ours, "Type/id". */
  reference(name: string): string {
    const element = this.optional(name) ?? refuse(this.#at(name), "is missing");
    const reference = element.matching("reference", /^[A-Z][A-Za-z]{1,40}\/[A-Za-z0-9.-]{1,64}$/);
    const type = element.optionalText("type");
    if (type !== undefined && type !== reference.split("/")[0])
      refuse(element.path, "is of two types");
    element.ignore("display");
    element.end();
    return reference;
  }

  /** UTC ms, until just before the second; a side that is not there is open. */
  period(name: string): { fromMs: number | undefined; untilMs: number | undefined } {
    const element = this.optional(name);
    if (element === undefined) return { fromMs: undefined, untilMs: undefined };
    const at = (side: "start" | "end") => {
      const value = element.optionalText(side);
      return value === undefined
        ? undefined
        : instants(value, this.#zone, `${element.path}.${side}`);
    };
    const fromMs = at("start")?.fromMs;
    // FHIR R4 §2.24.0.11: the end of a Period is within it, to the precision in which it is given.
    const untilMs = at("end")?.untilMs;
    element.end();
    if (fromMs === undefined && untilMs === undefined) refuse(element.path, "is empty");
    if (fromMs !== undefined && untilMs !== undefined && fromMs >= untilMs) {
      refuse(element.path, "ends before it begins");
    }
    return { fromMs, untilMs };
  }

  #take(name: string): unknown {
    this.#left.delete(name);
    if (!Object.hasOwn(this.#fields, name)) return undefined;
    const value = this.#fields[name];
    return value === null ? refuse(this.#at(name), "is null") : value;
  }

  #element(value: unknown, path: string): ConsentElement {
    return new ConsentElement(value, path, this.#zone);
  }

  #at(name: string): string {
    return `${this.path}.${name}`;
  }
}

/** Elements of R4's Consent and its data types that we may name in a refusal. */
const KNOWN_ELEMENTS: ReadonlySet<string> = new Set([
  ...["implicitRules", "contained", "extension", "modifierExtension", "policy", "sourceAttachment"],
  ...["securityLabel", "data", "version", "identifier", "value", "valueCodeableConcept", "_status"],
]);

function single(codings: readonly Coding[], path: string): Coding {
  const [coding] = codings;
  return codings.length === 1 && coding !== undefined
    ? coding
    : refuse(path, "has several codings");
}

const DATE_TIME =
  /^(\d{4})(?:-(\d{2})(?:-(\d{2})(T\d{2}:\d{2}:\d{2}(?:\.(\d{1,3}))?(?:Z|[+-]\d{2}:\d{2}))?)?)?$/;

/** The instants a FHIR dateTime stands for (R4 §2.24.0.8): a year is all of it, a second its thousand ms. */
function instants(value: string, zone: string, path: string): { fromMs: number; untilMs: number } {
  const match = DATE_TIME.exec(value);
  if (match === null) return refuse(path, "is no date and time that is understood here");
  const [, year = "", month, day, time, fraction] = match;
  try {
    if (time !== undefined) {
      const fromMs = Temporal.Instant.from(value).epochMilliseconds;
      const seconds = Number(time.slice(7, 9));
      if (seconds > 59) refuse(path, "names a leap second");
      return { fromMs, untilMs: fromMs + 10 ** (3 - (fraction?.length ?? 0)) };
    }
    const first = Temporal.PlainDate.from(`${year}-${month ?? "01"}-${day ?? "01"}`);
    const unit = day !== undefined ? "days" : month !== undefined ? "months" : "years";
    const begin = (date: Temporal.PlainDate) => date.toZonedDateTime(zone).epochMilliseconds;
    return { fromMs: begin(first), untilMs: begin(first.add({ [unit]: 1 })) };
  } catch (cause) {
    if (cause instanceof Problem) throw cause;
    return refuse(path, "is no date and time");
  }
}
