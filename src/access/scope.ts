/**
 * What of a patient's data is meant: a set of elements (category × code × time), exactly. Sets can be
 * united, cut and taken from each other without approximation, so a narrowed scope is neither more
 * nor less than what was permitted. Pure.
 */
import { COMPARTMENTS, type Compartment } from "./permit.ts";

/** UTC milliseconds, from the first until just before the second; −∞ and ∞ are allowed. */
export type Interval = readonly [fromMs: number, untilMs: number];
/** Sorted, apart from each other, none empty. */
export type Intervals = readonly Interval[];

/** The times meant of one category: of the codes that are named, and of all others. A code is the
 * MDC code of a metric in decimal. What has no code is among the others. */
export interface CategoryScope {
  readonly others: Intervals;
  readonly codes: ReadonlyMap<string, Intervals>;
}
/** A category that is not there has nothing in scope. */
export type Scope = ReadonlyMap<Compartment, CategoryScope>;

/** Categories whose records have neither time nor code: open whole or not at all. A limit of time or
 * code does not speak of them, as a rule for March says nothing of a name. */
export const UNTIMED: ReadonlySet<Compartment> = new Set(["demographics"]);

export const ALWAYS: Intervals = [[-Infinity, Infinity]];
export const NOTHING: Scope = new Map();

/** What a box of a scope may be limited by; undefined = no limit. */
export interface Limits {
  readonly categories?: readonly Compartment[] | undefined;
  readonly codes?: readonly string[] | undefined;
  readonly dataFromMs?: number | undefined;
  readonly dataUntilMs?: number | undefined;
}

/** All elements that the limits speak of. */
export function scopeOf(limits: Limits = {}): Scope {
  const from = limits.dataFromMs ?? -Infinity;
  const until = limits.dataUntilMs ?? Infinity;
  const times: Intervals = from < until ? [[from, until]] : [];
  const part: CategoryScope =
    limits.codes === undefined
      ? { others: times, codes: new Map() }
      : { others: [], codes: new Map(limits.codes.map((code) => [code, times])) };
  const isLimited = limits.codes !== undefined || from !== -Infinity || until !== Infinity;
  const categories = (limits.categories ?? COMPARTMENTS).filter(
    (category) => !(isLimited && UNTIMED.has(category)),
  );
  return tidy(new Map(categories.map((category) => [category, part])));
}

export function unite(one: Scope, other: Scope): Scope {
  return combine(one, other, (a, b) => a || b);
}
/** The same of many, by halves: hundreds of small sets cost no more than a few large ones. */
export function uniteAll(scopes: readonly Scope[]): Scope {
  if (scopes.length <= 1) return scopes[0] ?? NOTHING;
  const middle = scopes.length >> 1;
  return unite(uniteAll(scopes.slice(0, middle)), uniteAll(scopes.slice(middle)));
}
export function intersect(one: Scope, other: Scope): Scope {
  return combine(one, other, (a, b) => a && b);
}
/** What is in one and not in the other. */
export function without(one: Scope, other: Scope): Scope {
  return combine(one, other, (a, b) => a && !b);
}

export function isNothing(scope: Scope): boolean {
  return scope.size === 0;
}

export function isSame(one: Scope, other: Scope): boolean {
  return isNothing(combine(one, other, (a, b) => a !== b));
}

/** The scope's part of these categories. */
export function ofCategories(scope: Scope, categories: readonly Compartment[]): Scope {
  return new Map([...scope].filter(([category]) => categories.includes(category)));
}

/** What a question of this scope means: of untimed categories all or nothing, whatever its times. */
export function asAsked(scope: Scope): Scope {
  const whole: CategoryScope = { others: ALWAYS, codes: new Map() };
  return tidy(new Map([...scope].map(([one, part]) => [one, UNTIMED.has(one) ? whole : part])));
}

/** True when the element is in scope. An element with several codes is when each of them is: a
 * denial by one of them is enough to keep it closed.
 * @param codes its MDC codes; none for an element without. */
export function covers(
  scope: Scope,
  element: { category: Compartment; codes: readonly string[]; timeMs: number },
): boolean {
  const part = scope.get(element.category);
  if (part === undefined) return false;
  const all =
    element.codes.length === 0
      ? [part.others]
      : element.codes.map((code) => part.codes.get(code) ?? part.others);
  const timeMs = UNTIMED.has(element.category) ? 0 : element.timeMs;
  return all.every((times) => times.some(([from, until]) => from <= timeMs && timeMs < until));
}

type Keep = (isInOne: boolean, isInOther: boolean) => boolean;

function combine(one: Scope, other: Scope, keep: Keep): Scope {
  const result = new Map<Compartment, CategoryScope>();
  for (const category of COMPARTMENTS) {
    const a = one.get(category);
    const b = other.get(category);
    if (a === undefined && b === undefined) continue;
    const codes = new Map<string, Intervals>();
    for (const code of new Set([...(a?.codes.keys() ?? []), ...(b?.codes.keys() ?? [])])) {
      codes.set(code, combineTimes(timesOf(a, code), timesOf(b, code), keep));
    }
    result.set(category, { others: combineTimes(a?.others ?? [], b?.others ?? [], keep), codes });
  }
  return tidy(result);
}

function timesOf(part: CategoryScope | undefined, code: string): Intervals {
  return part?.codes.get(code) ?? part?.others ?? [];
}

/** Walks over both lists once: a hostile consent may have many periods. */
function combineTimes(one: Intervals, other: Intervals, keep: Keep): Intervals {
  const edges = [...new Set([...one.flat(), ...other.flat()])].sort((a, b) => a - b);
  const inOne = walker(one);
  const inOther = walker(other);
  const result: [number, number][] = [];
  for (let i = 0; i + 1 < edges.length; i++) {
    const [from, until] = [edges[i] as number, edges[i + 1] as number];
    // Both walkers must see every edge.
    const [isInOne, isInOther] = [inOne(from), inOther(from)];
    if (!keep(isInOne, isInOther)) continue;
    const last = result.at(-1);
    if (last !== undefined && last[1] === from) last[1] = until;
    else result.push([from, until]);
  }
  return result;
}

/** Whether times hold at an instant, for instants that only grow. */
function walker(times: Intervals): (ms: number) => boolean {
  let at = 0;
  return (ms) => {
    while (at < times.length && (times[at] as Interval)[1] <= ms) at += 1;
    const interval = times[at];
    return interval !== undefined && interval[0] <= ms;
  };
}

/** The one form of a set: no category without elements, no code that is as all others. */
function tidy(scope: Scope): Scope {
  const result = new Map<Compartment, CategoryScope>();
  for (const [category, { others, codes }] of scope) {
    const own = new Map([...codes].filter(([, times]) => !isSameTimes(times, others)));
    if (others.length > 0 || own.size > 0) result.set(category, { others, codes: own });
  }
  return result;
}

function isSameTimes(one: Intervals, other: Intervals): boolean {
  return (
    one.length === other.length &&
    one.every(([from, until], i) => from === other[i]?.[0] && until === other[i]?.[1])
  );
}
