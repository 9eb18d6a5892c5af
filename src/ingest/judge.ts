/** The parts of admission that only look: whom a batch measured, and what is to be marked. */
import type { Batch } from "../envelope/batch.ts";
import { limits } from "../limits.ts";
import { mark, quality } from "../vitals/quality.ts";
import type { LiveSession } from "./live-session.ts";

/** UTC of the first and last sample, ms. Where the device's clock was never set: the arrival. */
export function timeSpan(batch: Batch, receivedMs: number): { fromMs: number; toMs: number } {
  let from = Number.POSITIVE_INFINITY;
  let to = Number.NEGATIVE_INFINITY;
  let unset = false;
  for (const column of batch.points) {
    const last = column.timesMs.length - 1;
    from = Math.min(from, column.timesMs[0] as number);
    to = Math.max(to, column.timesMs[last] as number);
    unset ||= ((column.quality[0] as number) & quality.clockUnset) !== 0;
  }
  for (const run of batch.waveforms) {
    const lengthMs = ((run.values.length - 1) * 1_000 * run.rate.denominator) / run.rate.numerator;
    from = Math.min(from, run.startMs);
    to = Math.max(to, run.startMs + lengthMs);
    unset ||= (run.quality & quality.clockUnset) !== 0;
  }
  if (unset || from > to) return { fromMs: receivedMs, toMs: receivedMs };
  return { fromMs: from + batch.offsetMs, toMs: to + batch.offsetMs };
}

/** Marks for every sample of an envelope; implausible values are marked one by one by the store. */
export function marksOf(o: {
  readonly session: LiveSession;
  readonly number: number;
  readonly span: { readonly fromMs: number; readonly toMs: number };
  readonly receivedMs: number;
  readonly isFork: boolean;
  /** The device is in quarantine, or the samples cannot be told apart between two patients. */
  readonly isDoubtful: boolean;
}): number {
  const { usedElsewhere, standing } = o.session;
  const isUsed =
    usedElsewhere !== undefined && o.number > usedElsewhere.after && o.number <= usedElsewhere.upTo;
  let marks: number = mark.none;
  if (o.isFork || isUsed) marks |= mark.fork;
  if (o.isDoubtful || standing === "quarantined") marks |= mark.quarantined;
  if (o.span.toMs > o.receivedMs + limits.futureAfterMs) marks |= mark.futureDated;
  if (o.span.toMs < o.receivedMs - limits.lateAfterMs) marks |= mark.late;
  return marks;
}

export interface Owner {
  readonly patientId: string;
  /** The samples began before, or ended after, this patient had the device. */
  readonly isDoubtful: boolean;
}

/** Whom the batch measured: the patient of its first sample. A batch across a change of assignment
 * cannot be split without breaking its proof; it stays whole, in quarantine.
 * @returns undefined when the device was nobody's at both ends. */
export function ownerOf(
  patientOf: (atMs: number) => string | undefined,
  span: { readonly fromMs: number; readonly toMs: number },
): Owner | undefined {
  const first = patientOf(span.fromMs);
  const last = span.toMs === span.fromMs ? first : patientOf(span.toMs);
  const patientId = first ?? last;
  if (patientId === undefined) return undefined;
  return { patientId, isDoubtful: first !== last };
}
