/**
 * Evidence of clones and rollbacks. Each session's first envelope names the last number and the head
 * of the session before; from these links come verdicts, after the commit, that never refuse a sample.
 *
 * *Older than known*: the new session continues from a state that the device had already left: it was
 * restored from an old copy, or there are two of it. If the branch it forgot stays silent it was
 * rolled back; if that branch goes on, a clone is suspected.
 */
import type { Previous, Standing } from "./tables.ts";

export interface ChainSession {
  readonly sessionId: string;
  readonly openedMs: number;
  readonly firstNumber: number | undefined;
  readonly lastNumber: number | undefined;
  readonly previous: Previous | undefined;
  readonly standing: Standing;
}

export type LinkVerdict =
  | { readonly kind: "regular" }
  /** The session before is not known here (yet): nothing can be said. */
  | { readonly kind: "unlinked" }
  | {
      readonly kind: "older-than-known";
      /** Sessions of the branch it forgot. */
      readonly forgotten: readonly string[];
      /** Numbers above this and up to the next bound were used by the forgotten branch. */
      readonly usedAfter: number;
      readonly usedUpTo: number;
    };

/** Judges the link of a session whose first envelope was just admitted.
 * @param known the device's other sessions, as far as they are remembered.
 * @param headFits whether the named head is the hash of the named last envelope; undefined where
 *   that is not known any more. */
export function judgeLink(
  known: readonly ChainSession[],
  fresh: ChainSession,
  headFits: boolean | undefined,
): LinkVerdict {
  const others = known.filter(
    (session) => session.sessionId !== fresh.sessionId && session.lastNumber !== undefined,
  );
  const { previous } = fresh;
  if (previous === undefined) {
    const before = others.filter((session) => session.openedMs <= fresh.openedMs);
    return before.length === 0 ? { kind: "regular" } : older(before, 0);
  }
  const parent = others.find((session) => session.sessionId === previous.sessionId);
  if (parent === undefined) return { kind: "unlinked" };
  const siblings = others.filter(
    (session) =>
      session.previous?.sessionId === parent.sessionId && session.openedMs <= fresh.openedMs,
  );
  const forgotten = siblings.flatMap((sibling) => withDescendants(others, sibling));
  const parentLast = parent.lastNumber as number;
  const parentWentOn = parentLast > previous.lastSequence;
  const headDiffers = parentLast === previous.lastSequence && headFits === false;
  if (parentWentOn || headDiffers) forgotten.push(parent);
  if (forgotten.length === 0) return { kind: "regular" };
  return older(forgotten, previous.lastSequence);
}

function older(forgotten: readonly ChainSession[], usedAfter: number): LinkVerdict {
  return {
    kind: "older-than-known",
    forgotten: [...new Set(forgotten.map((session) => session.sessionId))],
    usedAfter,
    usedUpTo: Math.max(...forgotten.map((session) => session.lastNumber as number)),
  };
}

function withDescendants(all: readonly ChainSession[], root: ChainSession): ChainSession[] {
  const found = [root];
  for (let i = 0; i < found.length; i++) {
    for (const session of all) {
      if (session.previous?.sessionId === found[i]?.sessionId && !found.includes(session)) {
        found.push(session);
      }
    }
  }
  return found;
}

export interface RangeState {
  readonly from: number;
  readonly to: number;
  readonly state: "contiguous" | "open gap" | "closed gap";
  /** Of a closed gap: what the device, or a restore, gave as reason. */
  readonly reason?: string;
}

/** The chain's state as ranges, ascending.
 * @param admitted ascending, disjoint. @param gaps as stated; may overlap. */
export function chainRanges(
  admitted: Iterable<readonly [number, number]>,
  first: number,
  gaps: readonly { readonly from: number; readonly to: number; readonly reason: string }[],
): RangeState[] {
  const states: RangeState[] = [];
  let next = first;
  for (const [from, to] of admitted) {
    if (to < next) continue;
    if (from > next) states.push(...gapRanges(next, from - 1, gaps));
    states.push({ from: Math.max(from, next), to, state: "contiguous" });
    next = to + 1;
  }
  return states;
}

function gapRanges(
  from: number,
  to: number,
  gaps: readonly { readonly from: number; readonly to: number; readonly reason: string }[],
): RangeState[] {
  const states: RangeState[] = [];
  let next = from;
  for (const gap of [...gaps].sort((a, b) => a.from - b.from)) {
    const low = Math.max(gap.from, next);
    const high = Math.min(gap.to, to);
    if (low > high) continue;
    if (low > next) states.push({ from: next, to: low - 1, state: "open gap" });
    states.push({ from: low, to: high, state: "closed gap", reason: gap.reason });
    next = high + 1;
  }
  if (next <= to) states.push({ from: next, to, state: "open gap" });
  return states;
}
