/** One patient: what is now, the waveforms, the trends, and the proof of any reading. */
import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import type { TFunction } from "i18next";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { metricByMdc } from "../../../src/vitals/metric.ts";
import type { WardPatient } from "../../../src/ward/schema.ts";
import { ask } from "../api/client.ts";
import type { Point } from "../chart/plot-series.ts";
import { SPANS, type Span, Trends } from "../chart/Trends.tsx";
import { WaveStrip } from "../chart/WaveStrip.tsx";
import type { LivePatient } from "../live/board.ts";
import { useLine, useLive, useNow, usePatient } from "../live/live.tsx";
import { useSettings } from "../look/settings.tsx";
import { StandingArrow, useReadingText } from "../parts/ReadingCell.tsx";
import { Failure, StateScreen } from "../parts/StateScreen.tsx";
import { ageWords, deviceWords, isDeviceWell, knownAgainst, placeWords } from "../parts/words.ts";
import { ProofDrawer } from "../proof/ProofDrawer.tsx";
import { type Current, currentOf } from "../reading/current.ts";
import { COLUMNS, type Column } from "../reading/groups.ts";
import { standing } from "../reading/reference.ts";
import { zonedTime } from "../time/format.ts";
import "./patient.css";
import { Notes } from "./Ward.tsx";

export function PatientScreen() {
  const { t } = useTranslation();
  const { id } = useParams({ from: "/patients/$id" });
  const { board, line } = useLive();
  const query = useQuery({
    queryKey: ["patient", id],
    queryFn: async ({ signal }) => {
      board.takeOne(await ask<WardPatient>(`/api/patients/${id}`, { signal }));
      return true;
    },
  });
  const patient = usePatient(id);
  useEffect(() => {
    line.open(id);
    return () => line.open(null);
  }, [line, id]);
  if (patient?.isWithdrawn) {
    return (
      <StateScreen title={t("state.withdrawnTitle")} words={t("state.withdrawn")} role="alert" />
    );
  }
  if (query.isError && (patient === undefined || !isAway(query.error))) {
    return <Failure error={query.error} retry={() => void query.refetch()} />;
  }
  if (patient === undefined) return <Loading />;
  return <PatientPage patient={patient} />;
}

function isAway(error: unknown): boolean {
  return (error as { status?: number }).status === 0;
}

/** That a waveform was left out stands there this long. */
const SKIPPED_SAID_MS = 30_000;

function PatientPage(props: { patient: LivePatient }) {
  const { t } = useTranslation();
  const { facts } = props.patient;
  const search = useSearch({ from: "/patients/$id" });
  const navigate = useNavigate();
  const [proofOf, setProofOf] = useState<Point>();
  const nowMs = useNow(5_000);
  const isSkipping = nowMs - (props.patient.skippedMs ?? 0) < SKIPPED_SAID_MS;
  const waveforms = facts.waveforms.flatMap((mdc) => metricByMdc(mdc) ?? []);
  return (
    <>
      <Head patient={props.patient} />
      <div className="patient-top" data-waves={waveforms.length > 0}>
        <Tiles patient={props.patient} onProof={setProofOf} />
        {waveforms.length > 0 && (
          <section className="panel patient-waves" aria-label={t("patient.waveforms")}>
            {waveforms.map((metric) => (
              <WaveStrip key={metric.mdc} patientId={facts.id} metric={metric} />
            ))}
            <p className="patient-scale">
              {t("patient.waveformScale")}
              {isSkipping && <span className="strip-stopped"> · {t("live.skipped")}</span>}
            </p>
          </section>
        )}
      </div>
      <Trends
        patient={props.patient}
        span={search.span}
        onSpan={(span: Span) =>
          void navigate({ to: "/patients/$id", params: { id: facts.id }, search: { span } })
        }
        onProof={setProofOf}
      />
      <ProofDrawer patient={props.patient} point={proofOf} onClose={() => setProofOf(undefined)} />
    </>
  );
}

/** Only spans the page knows; anything else in the address means the last hour. */
export function parseSpan(search: Record<string, unknown>): { span: Span } {
  const { span } = search;
  return { span: typeof span === "string" && span in SPANS ? (span as Span) : "1h" };
}

function Head(props: { patient: LivePatient }) {
  const { t } = useTranslation();
  const { style } = useSettings();
  const isConnected = useLine().state !== "lost";
  const nowMs = useNow(5_000);
  const { facts, devices } = props.patient;
  return (
    <header className="patient-head">
      <a className="patient-back" href="#/ward">
        <span aria-hidden="true">←</span> {t("patient.back")}
      </a>
      <h1 className="title">
        {facts.name} <span className="patient-bed">{placeWords(t, facts)}</span>
      </h1>
      <p className="patient-who">
        {t("person.yearsLong", { count: facts.ageYears })}, {t(`person.sex.${facts.sex}`)}
      </p>
      <Notes id={facts.id} />
      <ul className="patient-devices" aria-label={t("patient.devices")}>
        {devices.map((device) => (
          <li key={device.id} data-well={isConnected && isDeviceWell(device)}>
            {device.name}:{" "}
            {isConnected ? deviceWords(t, device, nowMs, style) : t("device.notKnown")}
          </li>
        ))}
      </ul>
    </header>
  );
}

/** What the tile's number is: of a blood pressure both parts are, with where it was taken. */
function tileName(t: TFunction, column: Column, current: Current): string {
  const { display } = current.metric;
  if (current.diastolic === undefined) return display;
  return `${t(`metric.${column.id}`)} ${/\(.*\)$/.exec(display)?.[0] ?? ""}`;
}

function Tiles(props: { patient: LivePatient; onProof: (point: Point) => void }) {
  const { t } = useTranslation();
  const nowMs = useNow();
  const line = useLine();
  const shown = COLUMNS.flatMap((column) => {
    const current = currentOf(props.patient, column, nowMs, line.state !== "lost");
    return current ? [{ column, current }] : [];
  });
  return (
    <section className="patient-tiles" aria-label={t("patient.now")}>
      {shown.map(({ column, current }) => (
        <Tile
          key={column.id}
          column={column}
          current={current}
          nowMs={nowMs}
          onProof={props.onProof}
        />
      ))}
    </section>
  );
}

function Tile(props: {
  column: Column;
  current: Current;
  nowMs: number;
  onProof: (point: Point) => void;
}) {
  const { t } = useTranslation();
  const { style } = useSettings();
  const { current } = props;
  const { metric, reading } = current;
  const text = useReadingText(current);
  const where = standing(metric, reading.mantissa * 10 ** reading.exponent);
  const age = ageWords(t, reading.timeMs, props.nowMs);
  const notes = knownAgainst(t, reading.quality, reading.marks);
  const isStale = current.freshness === "stale";
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for fields
    <div
      className="panel tile"
      role="group"
      aria-label={t(`metric.${props.column.id}`)}
      data-freshness={current.freshness}
      data-standing={isStale ? "none" : where}
      data-long={text.value.length > 4}
    >
      <p className="tile-name">{tileName(t, props.column, current)}</p>
      <p className="tile-main">
        <span className="tile-value">{text.value}</span>
        <StandingArrow current={current} standing={where} />
        <span className="cell-unit">{text.unit}</span>
      </p>
      <p className="tile-note numbers">
        {[isStale ? t("ward.staleSince", { age }) : age, ...notes].join(" · ")}
      </p>
      <div className="tile-proof">
        <span className="chip">{reading.signed ? t("patient.signed") : t("patient.unsigned")}</span>
        <Button
          size="compact-xs"
          variant="default"
          onClick={() => props.onProof({ ...reading, metric })}
          aria-label={t("proof.openFor", {
            metric: metric.display,
            value: `${text.value} ${text.unit}`,
            time: zonedTime(reading.timeMs, style),
          })}
        >
          {t("proof.open")}
        </Button>
      </div>
    </div>
  );
}

function Loading() {
  const { t } = useTranslation();
  return (
    <div className="panel" role="status" aria-busy="true">
      <p className="ward-group">{t("patient.loading")}</p>
      <div className="skeleton trend-waiting" />
      <div className="skeleton trend-waiting" />
    </div>
  );
}
