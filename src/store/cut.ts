/** Cuts one admitted envelope into the lanes its samples belong to: category × month (UTC). */
import type { WaveformRun } from "../envelope/batch.ts";
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import type { Category } from "../vitals/metric.ts";
import type { ArrivalPart, PointSlice } from "./arrivals.ts";
import { categoryOf, monthIndexOf } from "./series.ts";
import type { AdmittedEnvelope } from "./store.ts";

/** One envelope's share of one lane. */
export interface LanePart {
  readonly category: Category;
  readonly monthIndex: number;
  readonly part: ArrivalPart;
}

/** About the year 73,000: beyond it sums of times are no longer exact. */
const TIME_MAX = 2 ** 51;

/** @throws Problem "batch-refused" for times no calendar knows, or a run longer than a day. */
export function cutEnvelope(envelope: AdmittedEnvelope): LanePart[] {
  const { batch } = envelope;
  const lanes: {
    category: Category;
    monthIndex: number;
    points: PointSlice[];
    waveforms: WaveformRun[];
  }[] = [];
  let units = batch.waveforms.length;
  const laneOf = (category: Category, monthIndex: number) => {
    for (const lane of lanes) {
      if (lane.category === category && lane.monthIndex === monthIndex) return lane;
    }
    const made = { category, monthIndex, points: [], waveforms: [] };
    lanes.push(made);
    return made;
  };
  bounded(batch.clockMs);
  bounded(batch.offsetMs);
  for (const column of batch.points) {
    const { timesMs } = column;
    units += timesMs.length;
    const category = categoryOf(column.mdc);
    for (let from = 0; from < timesMs.length; ) {
      const month = monthIndexOf(bounded(timesMs[from]! + batch.offsetMs));
      let to = timesMs.length;
      if (monthIndexOf(bounded(timesMs[to - 1]! + batch.offsetMs)) !== month) {
        to = from + 1;
        while (monthIndexOf(timesMs[to]! + batch.offsetMs) === month) to += 1;
      }
      laneOf(category, month).points.push({ column, from, to });
      from = to;
    }
  }
  for (const run of batch.waveforms) {
    const lastsMs = (run.values.length * 1_000 * run.rate.denominator) / run.rate.numerator;
    if (lastsMs > limits.waveformRunMaxMs) throw tooFar();
    const month = monthIndexOf(bounded(run.startMs + batch.offsetMs));
    laneOf(categoryOf(run.mdc), month).waveforms.push(run);
  }
  return lanes.map(({ category, monthIndex, points, waveforms }) => ({
    category,
    monthIndex,
    part: { envelope, units, points, waveforms },
  }));
}

function bounded(timeMs: number): number {
  if (!(Math.abs(timeMs) <= TIME_MAX)) throw tooFar();
  return timeMs;
}

const tooFar = () => new Problem("batch-refused", { detail: "times out of bounds" });
