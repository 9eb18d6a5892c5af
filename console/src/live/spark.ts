/** Moves a sparkline on with live readings: same buckets as the platform made, lowest and highest of each. */
import type { Reading, Sparkline } from "../../../src/ward/schema.ts";

export const SPARK_BUCKETS = 60;
const SPARK_BUCKET_MS = 60_000;

/** An empty hour, for a metric that starts while the page is open. */
export function emptySpark(reading: Reading): Sparkline {
  const endMs = (Math.floor(reading.timeMs / SPARK_BUCKET_MS) + 1) * SPARK_BUCKET_MS;
  return {
    mdc: reading.mdc,
    exponent: reading.exponent,
    fromMs: endMs - SPARK_BUCKETS * SPARK_BUCKET_MS,
    bucketMs: SPARK_BUCKET_MS,
    lows: Array(SPARK_BUCKETS).fill(null),
    highs: Array(SPARK_BUCKETS).fill(null),
  };
}

/** @returns the sparkline with the reading in it; the same object when nothing changed. */
export function withReading(spark: Sparkline, reading: Reading): Sparkline {
  const index = Math.floor((reading.timeMs - spark.fromMs) / spark.bucketMs);
  if (index < 0) return spark;
  const mantissa = rescale(reading.mantissa, reading.exponent, spark.exponent);
  const shift = Math.max(0, index - spark.lows.length + 1);
  const low = spark.lows[index];
  const high = spark.highs[index];
  if (shift === 0 && low != null && high != null && low <= mantissa && mantissa <= high)
    return spark;
  const lows = moved(spark.lows, shift);
  const highs = moved(spark.highs, shift);
  const at = index - shift;
  lows[at] = Math.min(lows[at] ?? mantissa, mantissa);
  highs[at] = Math.max(highs[at] ?? mantissa, mantissa);
  return { ...spark, fromMs: spark.fromMs + shift * spark.bucketMs, lows, highs };
}

function moved(values: (number | null)[], by: number): (number | null)[] {
  if (by >= values.length) return values.map(() => null);
  return [...values.slice(by), ...Array<null>(by).fill(null)];
}

function rescale(mantissa: number, from: number, to: number): number {
  return from === to ? mantissa : Math.round(mantissa * 10 ** (from - to));
}
