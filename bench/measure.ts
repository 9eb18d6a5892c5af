/** How benches measure: medians of runs, taken in turns so that a busy moment harms both sides. */

export interface BenchCase {
  case: string;
  value: number;
  unit: string;
  reference: string;
  referenceValue: number;
  /** Times better than the reference: value/reference where more is better, else the inverse. */
  ratio: number;
}

const RUNS = 5;
const RUN_MS = 150;

/** Calls per second of one run. */
function rate(work: () => void): number {
  const start = performance.now();
  let calls = 0;
  for (;;) {
    for (let i = 0; i < 32; i++) work();
    calls += 32;
    const ms = performance.now() - start;
    if (ms >= RUN_MS) return (calls * 1_000) / ms;
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** Both sides' calls per second, medians of five runs in turns; each is warmed up first. */
export function sideBySide(work: () => void, reference: () => void): [number, number] {
  rate(work);
  rate(reference);
  const values: number[] = [];
  const references: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    values.push(rate(work));
    references.push(rate(reference));
  }
  return [median(values), median(references)];
}

/** A case where more calls per second are better. */
export function faster(
  name: string,
  unit: string,
  work: () => void,
  reference: { name: string; work: () => void },
): BenchCase {
  const [value, referenceValue] = sideBySide(work, reference.work);
  return {
    case: name,
    value,
    unit,
    reference: reference.name,
    referenceValue,
    ratio: value / referenceValue,
  };
}
