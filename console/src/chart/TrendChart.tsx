/**
 * One strip of the trends: all strips of a page share one time axis, one cursor and the same margins. Gaps are gaps,
 * the reference range is a quiet band, blood pressure is bars from diastolic to systolic.
 */
import { useComputedColorScheme } from "@mantine/core";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { SeriesAnswer } from "../../../src/ward/schema.ts";
import { useSettings } from "../look/settings.tsx";
import type { Column } from "../reading/groups.ts";
import { metricsOf, pressurePartners } from "../reading/groups.ts";
import { referenceOf } from "../reading/reference.ts";
import { shownValue, type unitOf } from "../reading/units.ts";
import { axisTime, localTicks, number, type Style } from "../time/format.ts";
import { nearestPoint, type Column as PlotColumn, type Point, plotColumn } from "./plot-series.ts";

const SYNC = "trends";
/** Pointing this many pixels beside a sample still means it. */
const NEAR_PX = 12;
export const TREND_GUTTER_PX = 46;

export interface TrendChartProps {
  column: Column;
  answer: SeriesAnswer;
  label: string;
  onPoint: (point: Point | undefined) => void;
  onChoose: (point: Point) => void;
}

export function TrendChart(props: TrendChartProps) {
  const { t } = useTranslation();
  const { preferences, style } = useSettings();
  const scheme = useComputedColorScheme("light");
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  const latest = useRef(props);
  latest.current = props;
  const { answer, column } = props;
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the scheme changes the colours that are read from the page
  useEffect(() => {
    const element = box.current;
    if (element === null || width === 0) return;
    const made = makePlot(element, { answer, column, width, preferences, style }, latest);
    return () => made.destroy();
  }, [answer, column, width, preferences, style, scheme]);
  const isEmpty = shownMdcs(column).every(
    (mdc) => !answer.series.some((series) => series.mdc === mdc && series.atMs.length > 0),
  );
  return (
    <div className="trend-plot" ref={box} role="img" aria-label={props.label}>
      {isEmpty && <p className="trend-empty">{t("patient.trendEmpty")}</p>}
    </div>
  );
}

/** Every metric a strip shows, diastolic and mean included. */
export function shownMdcs(column: Column): number[] {
  return metricsOf(column).flatMap((metric) => {
    if (column.id !== "bp") return metric.kind === "event" ? [] : [metric.mdc];
    const { diastolic } = pressurePartners(metric);
    return diastolic ? [metric.mdc, diastolic.mdc] : [metric.mdc];
  });
}

interface PlotInput {
  answer: SeriesAnswer;
  column: Column;
  width: number;
  preferences: Parameters<typeof unitOf>[1];
  style: Style;
}

function makePlot(
  element: HTMLElement,
  input: PlotInput,
  latest: { current: TrendChartProps },
): uPlot {
  const colours = getComputedStyle(element);
  const colour = (name: string) => colours.getPropertyValue(name).trim();
  const drawn = input.answer.series.filter(
    (series) => shownMdcs(input.column).includes(series.mdc) && series.atMs.length > 0,
  );
  const columns = drawn.map((series) => {
    const metric = metricsOf(input.column)[0];
    return plotColumn(series, input.answer.fromMs, (value) =>
      metric === undefined ? value : shownValue(metric, value, input.preferences),
    );
  });
  const isPressure = input.column.id === "bp";
  const options: uPlot.Options = {
    width: input.width,
    height: element.clientHeight,
    padding: [8, 12, 0, 0],
    legend: { show: false },
    cursor: {
      sync: { key: SYNC },
      drag: { x: false, y: false },
      points: { show: false },
      y: false,
    },
    scales: {
      x: { time: false, range: [input.answer.fromMs / 1000, input.answer.toMs / 1000] },
      y: { range: (_, low, high) => padded(low, high, leastSpan(input)) },
    },
    axes: axes(input, colour),
    series: [
      {},
      ...drawn.map(
        (_, index): uPlot.Series => ({
          stroke: isPressure ? "transparent" : colour(index === 0 ? "--trace" : "--ink-3"),
          width: 1.25,
          spanGaps: false,
          ...(isPressure ? { points: { show: false } } : { points: { size: 4 } }),
        }),
      ),
    ],
    hooks: {
      drawClear: [(plot) => drawReference(plot, input, colour("--band"))],
      draw: isPressure ? [(plot) => drawPressure(plot, input, { stroke: colour("--trace") })] : [],
      setCursor: [(plot) => latest.current.onPoint(pointUnder(plot, latest.current))],
      ready: [
        (plot) =>
          plot.over.addEventListener("click", () => {
            const point = pointUnder(plot, latest.current);
            if (point) latest.current.onChoose(point);
          }),
      ],
    },
  };
  const table = columns.length === 0 ? [[], []] : joined(columns);
  return new uPlot(options, table as uPlot.AlignedData, element);
}

/** On one time axis. Where one series has a gap it stays one (mode 2), however many samples another has meanwhile. */
function joined(columns: readonly PlotColumn[]): uPlot.AlignedData {
  const keepGaps = columns.map(() => [2, 2] as uPlot.JoinNullMode[]);
  return uPlot.join(columns as unknown as uPlot.AlignedData[], keepGaps);
}

/** A flat line stays flat: small wobble is not blown up to the height of the strip. In the shown unit. */
function leastSpan(input: PlotInput): number {
  const metric = metricsOf(input.column)[0];
  const reference = metric && referenceOf(metric);
  if (metric === undefined || reference === undefined) return 0;
  const y = (value: number) => shownValue(metric, value, input.preferences);
  return y(reference.high) - y(reference.low);
}

function padded(low: number | null, high: number | null, least: number): [number, number] {
  if (low === null || high === null || !Number.isFinite(low) || !Number.isFinite(high)) {
    return [0, 1];
  }
  const middle = (low + high) / 2;
  const half = Math.max(((high - low) / 2) * 1.25, least / 2, Math.abs(middle) * 0.02, 0.5);
  return [middle - half, middle + half];
}

function pointUnder(plot: uPlot, props: TrendChartProps): Point | undefined {
  const left = plot.cursor.left ?? -1;
  if (left < 0) return undefined;
  const at = (px: number) => plot.posToVal(px, "x") * 1000;
  return nearestPoint(
    props.answer,
    shownMdcs(props.column),
    at(left),
    Math.abs(at(left + NEAR_PX) - at(left)),
  );
}

function axes(input: PlotInput, colour: (name: string) => string): uPlot.Axis[] {
  const spanMs = input.answer.toMs - input.answer.fromMs;
  const everyMs = tickEvery(spanMs, input.width);
  const line = { stroke: colour("--line"), width: 1 };
  const text = { stroke: colour("--ink-3"), font: '11px Inter, "Segoe UI", system-ui, sans-serif' };
  return [
    {
      ...text,
      grid: line,
      ticks: { show: false },
      size: 20,
      gap: 4,
      splits: () =>
        localTicks(input.answer.fromMs, input.answer.toMs, everyMs, input.style).map(
          (ms) => ms / 1000,
        ),
      values: (_, splits) => splits.map((s) => axisTime(s * 1000, everyMs, input.style)),
    },
    {
      ...text,
      grid: line,
      ticks: { show: false },
      size: TREND_GUTTER_PX,
      gap: 6,
      space: 28,
      values: (_, splits) => splits.map((value) => number(value, decimals(splits), input.style)),
    },
  ];
}

function decimals(splits: readonly number[]): number {
  return splits.every((value) => Number.isInteger(value)) ? 0 : 1;
}

/** Steps that people count time in; the finest whose labels have 64 px each. */
function tickEvery(spanMs: number, width: number): number {
  const minute = 60_000;
  const steps = [5, 10, 15, 30, 60, 120, 180, 360, 720, 1_440, 2_880].map((n) => n * minute);
  return steps.find((step) => (width * step) / spanMs >= 64) ?? 2_880 * minute;
}

function drawReference(plot: uPlot, input: PlotInput, fill: string): void {
  const metric = metricsOf(input.column)[0];
  const reference = metric && referenceOf(metric);
  if (metric === undefined || reference === undefined) return;
  const y = (value: number) =>
    plot.valToPos(shownValue(metric, value, input.preferences), "y", true);
  const { left, top, width, height } = plot.bbox;
  const high = Math.max(top, y(reference.high));
  const low = Math.min(top + height, y(reference.low));
  if (low <= high) return;
  plot.ctx.fillStyle = fill;
  plot.ctx.fillRect(left, high, width, low - high);
}

/** A bar from diastolic to systolic of the same instant; a pressure without its partner is a dot. */
function drawPressure(plot: uPlot, input: PlotInput, o: { stroke: string }): void {
  const context = plot.ctx;
  context.save();
  context.beginPath();
  context.rect(plot.bbox.left, plot.bbox.top, plot.bbox.width, plot.bbox.height);
  context.clip();
  context.strokeStyle = o.stroke;
  context.fillStyle = o.stroke;
  const ratio = devicePixelRatio;
  context.lineWidth = 1.5 * ratio;
  context.beginPath();
  for (const metric of metricsOf(input.column)) {
    const systolic = input.answer.series.find((series) => series.mdc === metric.mdc);
    if (systolic === undefined) continue;
    const partner = pressurePartners(metric).diastolic?.mdc;
    const diastolic = input.answer.series.find((series) => series.mdc === partner);
    const lows = new Map(diastolic?.atMs.map((at, i) => [at, valueAt(diastolic, i)]));
    systolic.atMs.forEach((at, index) => {
      const x = plot.valToPos((input.answer.fromMs + at) / 1000, "x", true);
      const top = plot.valToPos(valueAt(systolic, index), "y", true);
      const low = lows.get(at);
      if (low === undefined) {
        context.fillRect(x - ratio, top - ratio, 2 * ratio, 2 * ratio);
        return;
      }
      const bottom = plot.valToPos(low, "y", true);
      context.moveTo(x, top);
      context.lineTo(x, bottom);
    });
  }
  context.stroke();
  context.restore();
}

/** Systolic and diastolic may have come with different exponents. */
function valueAt(
  series: { readonly mantissas: readonly (number | null)[]; readonly exponent: number },
  index: number,
): number {
  return (series.mantissas[index] ?? 0) * 10 ** series.exponent;
}
