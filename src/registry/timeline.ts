/** Whom one device measured, from–to, in memory. Pure. */
import { Problem } from "../problems.ts";

export interface Span {
  readonly patientId: string;
  readonly fromMs: number;
  readonly toMs: number | undefined;
}

/** Spans in order of time; they never overlap. */
export type Timeline = readonly Span[];

/** @returns the patient at that instant. A span holds its start and not its end. */
export function patientAt(timeline: Timeline, atMs: number): string | undefined {
  for (let index = timeline.length - 1; index >= 0; index -= 1) {
    const span = timeline[index]!;
    if (atMs >= span.fromMs) {
      return span.toMs === undefined || atMs < span.toMs ? span.patientId : undefined;
    }
  }
  return undefined;
}

/** Ends the running span at `fromMs` and, with a patient, starts the next one.
 * @throws Problem "device-state-conflict" when that would rewrite what was already assigned. */
export function reassigned(
  timeline: Timeline,
  patientId: string | undefined,
  fromMs: number,
): { timeline: Timeline; ended: Span | undefined; begun: Span | undefined } {
  const last = timeline.at(-1);
  const busyUntil = last === undefined ? undefined : (last.toMs ?? last.fromMs);
  if (busyUntil !== undefined && fromMs < busyUntil) {
    throw new Problem("device-state-conflict", { detail: "it was assigned after that time" });
  }
  const isRunning = last !== undefined && last.toMs === undefined;
  if (isRunning && last.patientId === patientId) {
    return { timeline, ended: undefined, begun: undefined };
  }
  if (isRunning && last.fromMs === fromMs) {
    // A span of no length would hide the next one from a look-up.
    throw new Problem("device-state-conflict", { detail: "it was assigned at that very time" });
  }
  const ended = isRunning ? { ...last, toMs: fromMs } : undefined;
  const begun = patientId === undefined ? undefined : { patientId, fromMs, toMs: undefined };
  const kept = ended === undefined ? [...timeline] : [...timeline.slice(0, -1), ended];
  return { timeline: begun === undefined ? kept : [...kept, begun], ended, begun };
}
