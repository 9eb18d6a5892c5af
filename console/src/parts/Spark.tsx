/** The last hour, small: lowest to highest of each minute. A minute without a reading is a gap. */
import { memo } from "react";
import type { Sparkline } from "../../../src/ward/schema.ts";

const WIDTH = 60;
const HEIGHT = 22;

export const Spark = memo(function Spark(props: { spark: Sparkline; label: string }) {
  return (
    <svg
      className="spark"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={props.label}
    >
      <path d={sparkPath(props.spark)} vectorEffect="non-scaling-stroke" />
    </svg>
  );
});

/** One stroke a run of buckets; each bucket goes from its lowest to its highest. */
export function sparkPath(spark: Sparkline): string {
  const lows = spark.lows.filter((low) => low !== null);
  const highs = spark.highs.filter((high) => high !== null);
  if (lows.length === 0) return "";
  const least = Math.min(...lows);
  // A flat line stands in the middle; small wobble is not blown up to full height.
  const range = Math.max(Math.max(...highs) - least, 4 * 10 ** Math.max(0, -spark.exponent));
  const middle = (Math.max(...highs) + least) / 2;
  const y = (value: number) => (HEIGHT / 2 - ((value - middle) / range) * (HEIGHT - 3)).toFixed(1);
  const step = WIDTH / spark.lows.length;
  let path = "";
  let isDrawing = false;
  spark.lows.forEach((low, index) => {
    const high = spark.highs[index];
    if (low === null || high == null) {
      isDrawing = false;
      return;
    }
    const x = ((index + 0.5) * step).toFixed(1);
    path += `${isDrawing ? "L" : "M"}${x} ${y(high)}L${x} ${y(low)}`;
    // A point alone is drawn as a short dash, else it would not be seen.
    if (low === high && !isDrawing) path += `h0.5`;
    isDrawing = true;
  });
  return path;
}
