/** The trends of one patient: 1 h, 24 h or 7 d on one axis, as charts or as a table. */
import { Button, SegmentedControl } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import type { SeriesAnswer } from "../../../src/ward/schema.ts";
import { ask } from "../api/client.ts";
import type { LivePatient } from "../live/board.ts";
import { useLive } from "../live/live.tsx";
import { useSettings } from "../look/settings.tsx";
import { Failure } from "../parts/StateScreen.tsx";
import { knownAgainst } from "../parts/words.ts";
import { COLUMNS, type Column, metricsOf } from "../reading/groups.ts";
import { readingText, unitOf } from "../reading/units.ts";
import { dateTime, zonedTime, zoneName } from "../time/format.ts";
import { type Point, rowPoints } from "./plot-series.ts";
import { shownMdcs, TrendChart } from "./TrendChart.tsx";
import "./trends.css";

const HOUR_MS = 3_600_000;
export const SPANS = { "1h": HOUR_MS, "24h": 24 * HOUR_MS, "7d": 7 * 24 * HOUR_MS } as const;
export type Span = keyof typeof SPANS;
/** How often a span is fetched anew: about one pixel of it. */
const FRESH_MS = { "1h": 5_000, "24h": 60_000, "7d": 300_000 } as const;
/** A row of the table for each kind of reading and this much time. */
const ROW_MS = { "1h": 60_000, "24h": 1_800_000, "7d": 4 * HOUR_MS } as const;
const ROWS_SHOWN = 60;

interface TrendsProps {
  patient: LivePatient;
  span: Span;
  onSpan: (span: Span) => void;
  onProof: (point: Point) => void;
}

export function Trends(props: TrendsProps) {
  const { t } = useTranslation();
  const { style } = useSettings();
  const [view, setView] = useState<"chart" | "table">("chart");
  const columns = useColumns(props.patient);
  const query = useSeries(props.patient.facts.id, columns, props.span);
  return (
    <section className="panel trends" aria-label={t("patient.trends")}>
      <div className="trends-head">
        <h2>{t("patient.trends")}</h2>
        <SegmentedControl
          size="xs"
          aria-label={t("patient.range")}
          value={props.span}
          onChange={(value) => props.onSpan(value as Span)}
          data={(["1h", "24h", "7d"] as const).map((value) => ({
            value,
            label: t(`patient.ranges.${value}`),
          }))}
        />
        <SegmentedControl
          size="xs"
          aria-label={t("patient.view")}
          value={view}
          onChange={(value) => setView(value as "chart" | "table")}
          data={[
            { value: "chart", label: t("patient.asChart") },
            { value: "table", label: t("patient.asTable") },
          ]}
        />
        <p className="trends-zone">
          {t("patient.zone", { zone: zoneName(query.data?.toMs ?? Date.now(), style, "long") })}
        </p>
      </div>
      {query.isError && !query.data && (
        <Failure error={query.error} retry={() => void query.refetch()} />
      )}
      {columns.length === 0 && <p className="trends-empty">{t("patient.noTrends")}</p>}
      {query.isPending && columns.length > 0 && <div className="skeleton trend-waiting" />}
      {query.data && <Damaged answer={query.data} />}
      {query.data && view === "chart" && (
        <>
          {columns.map((column) => (
            <TrendRow key={column.id} {...props} column={column} answer={query.data} />
          ))}
          <p className="trends-hint">{t("patient.hoverHint")}</p>
        </>
      )}
      {query.data && view === "table" && (
        <TrendTable {...props} columns={columns} answer={query.data} />
      )}
    </section>
  );
}

function useColumns(patient: LivePatient): Column[] {
  const key = COLUMNS.filter((column) =>
    metricsOf(column).some((metric) => metric.kind === "numeric" && patient.latest.has(metric.mdc)),
  )
    .map((column) => column.id)
    .join();
  return useMemo(() => COLUMNS.filter((column) => key.split(",").includes(column.id)), [key]);
}

function useSeries(patientId: string, columns: readonly Column[], span: Span) {
  const { line } = useLive();
  const mdcs = columns.flatMap(shownMdcs);
  return useQuery({
    queryKey: ["series", patientId, mdcs.join(), span],
    enabled: mdcs.length > 0,
    placeholderData: keepPreviousData,
    refetchInterval: FRESH_MS[span],
    queryFn: ({ signal }) => {
      const toMs = Date.now() + line.state.offsetMs;
      const query = new URLSearchParams({
        mdc: mdcs.join(),
        from: String(Math.floor(toMs - SPANS[span])),
        to: String(Math.ceil(toMs)),
        width: String(Math.min(1_200, Math.max(300, innerWidth - 100))),
      });
      return ask<SeriesAnswer>(`/api/patients/${patientId}/series?${query}`, { signal });
    },
  });
}

function Damaged(props: { answer: SeriesAnswer }) {
  const { t } = useTranslation();
  if (props.answer.unreadable.length === 0) return null;
  return (
    <p className="lost" role="alert">
      {t("patient.unreadable", { count: props.answer.unreadable.length })}
    </p>
  );
}

function TrendRow(props: TrendsProps & { column: Column; answer: SeriesAnswer }) {
  const { t } = useTranslation();
  const { preferences, style } = useSettings();
  const [point, setPoint] = useState<Point>();
  const metric = metricsOf(props.column)[0];
  const name = t(`metric.${props.column.id}`);
  if (metric === undefined) return null;
  const thinned = props.answer.series.find(
    (series) => shownMdcs(props.column).includes(series.mdc) && series.thinnedToMs !== null,
  );
  return (
    <div className="trend">
      <div className="trend-head">
        <h3>{name}</h3>
        <span className="trend-unit">{unitOf(metric, preferences)}</span>
        <span className="trend-point numbers" aria-hidden="true">
          {point && (
            <>
              <b>
                {readingText(point.metric.mdc, point.mantissa, point.exponent, preferences, style)}
              </b>{" "}
              {point.metric.display} · {deviceName(props.patient, point.deviceId)} ·{" "}
              {dateTime(point.timeMs, style)} {zoneName(point.timeMs, style)} ·{" "}
              {t("patient.timeSource")}
              {knownAgainst(t, point.quality, point.marks).map((words) => ` · ${words}`)}
            </>
          )}
        </span>
        {!point && thinned && (
          <span className="trend-thinned">
            {t("patient.thinned", {
              samples: thinned.samples.toLocaleString(style.locale),
              bucket: bucketWords(thinned.thinnedToMs ?? 0),
            })}
          </span>
        )}
      </div>
      <TrendChart
        column={props.column}
        answer={props.answer}
        label={t("patient.trendLabel", { metric: name, span: t(`patient.ranges.${props.span}`) })}
        onPoint={setPoint}
        onChoose={props.onProof}
      />
    </div>
  );
}

function bucketWords(ms: number): string {
  if (ms < 60_000) return `${(ms / 1000).toFixed(0)} s`;
  return ms < HOUR_MS ? `${(ms / 60_000).toFixed(0)} min` : `${(ms / HOUR_MS).toFixed(0)} h`;
}

export function deviceName(patient: LivePatient, deviceId: string): string {
  return patient.devices.find((device) => device.id === deviceId)?.name ?? deviceId.slice(0, 8);
}

function TrendTable(props: TrendsProps & { columns: readonly Column[]; answer: SeriesAnswer }) {
  const { t } = useTranslation();
  const { preferences, style } = useSettings();
  const [shown, setShown] = useState(ROWS_SHOWN);
  const all = rowPoints(props.answer, props.columns.flatMap(shownMdcs), ROW_MS[props.span]);
  const points = all.slice(0, shown);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard
    <section className="trend-table" tabIndex={0} aria-label={t("patient.tableLabel")}>
      <table>
        <caption>{t("patient.rows", { bucket: bucketWords(ROW_MS[props.span]) })}</caption>
        <thead>
          <tr>
            <th scope="col">{t("patient.columnTime")}</th>
            <th scope="col">{t("patient.columnMetric")}</th>
            <th scope="col">{t("patient.columnValue")}</th>
            <th scope="col">{t("patient.columnDevice")}</th>
            <th scope="col">{t("patient.columnKnown")}</th>
            <th scope="col">{t("patient.columnProof")}</th>
          </tr>
        </thead>
        <tbody>
          {points.map((point) => {
            const value = readingText(
              point.metric.mdc,
              point.mantissa,
              point.exponent,
              preferences,
              style,
            );
            return (
              <tr key={`${point.metric.mdc} ${point.timeMs} ${point.sequence} ${point.sessionId}`}>
                <td>
                  {dateTime(point.timeMs, style)} {zoneName(point.timeMs, style)}
                </td>
                <td>{point.metric.display}</td>
                <td>
                  <b>{value}</b>
                </td>
                <td>{deviceName(props.patient, point.deviceId)}</td>
                <td>{knownAgainst(t, point.quality, point.marks).join(", ")}</td>
                <td>
                  <Button
                    size="compact-xs"
                    variant="default"
                    onClick={() => props.onProof(point)}
                    aria-label={t("proof.openFor", {
                      metric: point.metric.display,
                      value,
                      time: zonedTime(point.timeMs, style),
                    })}
                  >
                    {t("proof.open")}
                  </Button>
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {shown < all.length && (
        <Button
          className="trend-older"
          size="compact-sm"
          variant="default"
          onClick={() => setShown(shown + ROWS_SHOWN)}
        >
          {t("patient.older")}
        </Button>
      )}
    </section>
  );
}
