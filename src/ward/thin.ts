/**
 * Thinning for charts, honestly: every kept point is a stored sample; of each column of pixels the lowest and the
 * highest stay, in time order, with first and last beside a gap. Nothing is averaged or made up. One pass, bounded
 * memory: a week at 1 Hz never stands in memory.
 */
import type { SeriesChunk } from "../store/chunk.ts";
import { readingAt } from "./readings.ts";
import type { Reading, Series } from "./schema.ts";

export interface ThinOptions {
  readonly mdc: number;
  readonly fromMs: number;
  readonly toMs: number;
  /** Columns of the chart. */
  readonly width: number;
  /** A longer silence than this is a gap. */
  readonly gapMs: number;
}

interface Bucket {
  index: number;
  low: Reading;
  high: Reading;
  first: Reading;
  last: Reading;
}

/** One metric of one answer. Chunks must come in time order; several devices are interleaved by `series`. */
export class Thinner {
  readonly #o: ThinOptions;
  readonly #bucketMs: number;
  readonly #kept: { reading: Reading; gapAfter: boolean }[] = [];
  /** All samples while they are few enough to be sent whole. */
  #whole: { reading: Reading; gapAfter: boolean }[] | undefined = [];
  #bucket: Bucket | undefined;
  #last: Reading | undefined;
  #samples = 0;

  constructor(o: ThinOptions) {
    this.#o = o;
    this.#bucketMs = Math.max(1, (o.toMs - o.fromMs) / o.width);
  }

  take(chunk: SeriesChunk): void {
    for (let index = 0; index < chunk.timesMs.length; index += 1) {
      this.#add(readingAt(chunk, index));
    }
  }

  #add(reading: Reading): void {
    const { fromMs, toMs, width, gapMs } = this.#o;
    if (reading.timeMs < fromMs || reading.timeMs >= toMs) return;
    this.#samples += 1;
    const isGap = this.#last !== undefined && reading.timeMs - this.#last.timeMs > gapMs;
    if (isGap) this.#closeBucket(true);
    this.#last = reading;
    if (this.#whole !== undefined) {
      const before = this.#whole.at(-1);
      if (isGap && before !== undefined) before.gapAfter = true;
      this.#whole.push({ reading, gapAfter: false });
      if (this.#whole.length > 2 * width) this.#whole = undefined;
    }
    const index = Math.floor((reading.timeMs - fromMs) / this.#bucketMs);
    const bucket = this.#bucket;
    if (bucket === undefined || bucket.index !== index) {
      this.#closeBucket(false);
      this.#bucket = { index, low: reading, high: reading, first: reading, last: reading };
      return;
    }
    if (scaled(reading) < scaled(bucket.low)) bucket.low = reading;
    if (scaled(reading) > scaled(bucket.high)) bucket.high = reading;
    bucket.last = reading;
  }

  #closeBucket(gapAfter: boolean): void {
    const bucket = this.#bucket;
    this.#bucket = undefined;
    if (bucket === undefined) {
      const before = this.#kept.at(-1);
      if (gapAfter && before !== undefined) before.gapAfter = true;
      return;
    }
    const kept = new Set([bucket.low, bucket.high]);
    // Beside a gap the line ends where measuring ended, not at the nearest extreme.
    if (gapAfter) kept.add(bucket.last);
    if (this.#kept.at(-1)?.gapAfter ?? true) kept.add(bucket.first);
    const inOrder = [...kept].sort((a, b) => a.timeMs - b.timeMs);
    for (const reading of inOrder) this.#kept.push({ reading, gapAfter: false });
    const last = this.#kept.at(-1);
    if (gapAfter && last !== undefined) last.gapAfter = true;
  }

  series(): Series {
    this.#closeBucket(false);
    const points = this.#whole ?? this.#kept;
    const exponent = Math.min(0, ...points.map(({ reading }) => reading.exponent));
    const sources: Series["sources"] = [];
    const sourceOf = new Map<string, number>();
    const source = (reading: Reading) => {
      const key = `${reading.deviceId} ${reading.sessionId}`;
      const known = sourceOf.get(key);
      if (known !== undefined) return known;
      sourceOf.set(key, sources.length);
      return sources.push({ deviceId: reading.deviceId, sessionId: reading.sessionId }) - 1;
    };
    return {
      mdc: this.#o.mdc,
      exponent,
      atMs: points.map(({ reading }) => reading.timeMs - this.#o.fromMs),
      mantissas: points.map(
        ({ reading }) => reading.mantissa * 10 ** (reading.exponent - exponent),
      ),
      quality: points.map(({ reading }) => reading.quality),
      marks: points.map(({ reading }) => reading.marks),
      source: points.map(({ reading }) => source(reading)),
      sequences: points.map(({ reading }) => reading.sequence),
      sources,
      gapsAfter: points.flatMap(({ gapAfter }, index) => (gapAfter ? [index] : [])),
      samples: this.#samples,
      thinnedToMs: this.#whole === undefined ? this.#bucketMs : null,
    };
  }
}

function scaled(reading: Reading): number {
  return reading.mantissa * 10 ** reading.exponent;
}
