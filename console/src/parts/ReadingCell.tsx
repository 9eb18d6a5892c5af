/** One current value: number, unit, where it stands, how old, the last hour. Stale is said in words and by hatching. */
import { useTranslation } from "react-i18next";
import { mark, quality } from "../../../src/vitals/quality.ts";
import type { LivePatient } from "../live/board.ts";
import { useSettings } from "../look/settings.tsx";
import { type Current, currentOf } from "../reading/current.ts";
import { type Column, columnOf } from "../reading/groups.ts";
import { referenceOf, standing } from "../reading/reference.ts";
import { pressureText, shownValue, unitOf, valueText } from "../reading/units.ts";
import { number } from "../time/format.ts";
import "./cell.css";
import { Spark } from "./Spark.tsx";
import { ageWords, knownAgainst } from "./words.ts";

/** An age is written out once it is no longer a matter of course. */
const AGE_SHOWN_MS = 10_000;

export function ReadingCell(props: {
  patient: LivePatient;
  column: Column;
  nowMs: number;
  isConnected: boolean;
}) {
  const { t } = useTranslation();
  const current = currentOf(props.patient, props.column, props.nowMs, props.isConnected);
  const id = (current && columnOf(current.metric)?.id) ?? props.column.id;
  const name = t(`metric.${id}`);
  const short = t(`metric.${id}Short`);
  if (current === undefined) {
    return (
      // biome-ignore lint/a11y/useSemanticElements: a fieldset is for fields
      <div className="cell" role="group" aria-label={name} data-freshness="none">
        <span className="cell-name" aria-hidden="true">
          {short}
        </span>
        <span className="cell-main">
          <span className="cell-value" aria-hidden="true">
            –
          </span>
        </span>
        <span className="cell-note">
          <span className="words-only">{t("ward.notMeasured")}</span>
        </span>
      </div>
    );
  }
  return <MeasuredCell {...props} current={current} name={name} short={short} />;
}

function MeasuredCell(props: {
  patient: LivePatient;
  column: Column;
  nowMs: number;
  current: Current;
  name: string;
  short: string;
}) {
  const { current } = props;
  const { metric, reading } = current;
  const text = useReadingText(current);
  const where = standing(metric, reading.mantissa * 10 ** reading.exponent);
  const spark = props.patient.sparks.get(metric.mdc);
  const label = useSparkLabel(current, props.name, spark);
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for fields
    <div
      className="cell"
      role="group"
      aria-label={props.name}
      data-freshness={current.freshness}
      data-standing={current.freshness === "current" ? where : "none"}
    >
      <span className="cell-name" aria-hidden="true">
        {props.short}
      </span>
      <span className="cell-main">
        <span className="cell-value">{text.value}</span>
        <StandingArrow current={current} standing={where} />
        <span className="cell-unit">{text.unit}</span>
      </span>
      {spark && <Spark spark={spark} label={label} />}
      <CellNote current={current} nowMs={props.nowMs} />
    </div>
  );
}

function CellNote(props: { current: Current; nowMs: number }) {
  const { t } = useTranslation();
  const { reading, freshness } = props.current;
  const age = ageWords(t, reading.timeMs, props.nowMs);
  // That it restarts or came late is said once in the row; here it would hide what concerns the value.
  const notes = knownAgainst(
    t,
    reading.quality & ~quality.recordingRestarts,
    reading.marks & ~mark.late,
  );
  if (freshness === "stale") notes.unshift(t("ward.staleSince", { age }));
  else if (props.nowMs - reading.timeMs > AGE_SHOWN_MS) notes.unshift(age);
  const mean = useMeanText(props.current);
  if (mean !== undefined) notes.push(t("metric.mean", { value: mean }));
  return <span className="cell-note numbers">{notes.join(" · ")}</span>;
}

export function StandingArrow(props: { current: Current; standing: ReturnType<typeof standing> }) {
  const { t } = useTranslation();
  const { preferences, style } = useSettings();
  const { metric } = props.current;
  const reference = referenceOf(metric);
  const isOut = props.standing === "above" || props.standing === "below";
  if (!isOut || reference === undefined || props.current.freshness !== "current") return null;
  const bound = (value: number) =>
    number(shownValue(metric, value, preferences), Number.isInteger(value) ? 0 : 1, style);
  const words = t(`range.${props.standing as "above" | "below"}`, {
    low: bound(reference.low),
    high: bound(reference.high),
    unit: unitOf(metric, preferences),
  });
  return (
    <span className="cell-arrow" title={words}>
      <span aria-hidden="true">{props.standing === "above" ? "▲" : "▼"}</span>
      <span className="words-only">{words}</span>
    </span>
  );
}

/** Number and unit of a current reading; blood pressure as systolic/diastolic. */
export function useReadingText(current: Current): { value: string; unit: string } {
  const { preferences, style } = useSettings();
  const { metric, reading, diastolic } = current;
  const parts = diastolic ? [reading, diastolic] : [reading];
  return {
    value: pressureText(metric, parts, preferences, style),
    unit: metric.kind === "event" ? "" : unitOf(metric, preferences),
  };
}

function useMeanText({ metric, mean }: Current): string | undefined {
  const { preferences, style } = useSettings();
  return mean && valueText(metric, mean.mantissa, mean.exponent, preferences, style);
}

function useSparkLabel(
  current: Current,
  name: string,
  spark: { lows: (number | null)[]; highs: (number | null)[]; exponent: number } | undefined,
): string {
  const { t } = useTranslation();
  const { preferences, style } = useSettings();
  const lows = (spark?.lows ?? []).filter((low) => low !== null);
  const highs = (spark?.highs ?? []).filter((high) => high !== null);
  if (spark === undefined || lows.length === 0) return t("ward.sparkEmpty", { metric: name });
  const text = (mantissa: number) =>
    valueText(current.metric, mantissa, spark.exponent, preferences, style);
  return t("ward.sparkLabel", {
    metric: name,
    low: text(Math.min(...lows)),
    high: text(Math.max(...highs)),
    unit: unitOf(current.metric, preferences),
  });
}
