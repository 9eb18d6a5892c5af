/** The ward board: who needs someone, since when. Patients of whom nothing is current stand first, then by bed. */
import type { TFunction } from "i18next";
import { memo, useMemo } from "react";
import { useTranslation } from "react-i18next";
import type { WardDevice } from "../../../src/ward/schema.ts";
import type { LivePatient } from "../live/board.ts";
import { useLine, useLive, useNow, usePatient, useWard } from "../live/live.tsx";
import { useSettings } from "../look/settings.tsx";
import { ReadingCell } from "../parts/ReadingCell.tsx";
import { Failure, StateScreen } from "../parts/StateScreen.tsx";
import { ageWords, deviceWords, isDeviceWell, seenWords } from "../parts/words.ts";
import { isSilent, liveWaveformMs, newestMs } from "../reading/current.ts";
import { BOARD_COLUMNS, type Column, metricsOf } from "../reading/groups.ts";
import { clockTime, shortTime } from "../time/format.ts";
import "./ward.css";

export function WardScreen() {
  const { t } = useTranslation();
  const ward = useWard();
  const nowMs = useNow();
  const line = useLine();
  const { board } = useLive();
  const columns = useShownColumns(ward.ids);
  if (ward.ids.length === 0) {
    if (ward.isPending) return <Loading />;
    if (ward.isError) return <Failure error={ward.error} retry={() => void ward.refetch()} />;
    return <StateScreen title={t("ward.emptyTitle")} words={t("ward.empty")} />;
  }
  // Cut off from the platform nobody is current, and nobody can be said to be silent.
  const isLost = line.state === "lost";
  const silent = ward.ids.filter((id) => {
    if (isLost) return false;
    const patient = board.patient(id);
    return patient !== undefined && isSilent(patient, columns, nowMs);
  });
  const current = ward.ids.filter((id) => !silent.includes(id));
  return (
    <>
      <div className="ward-head">
        <h1 className="title">{t("ward.title")}</h1>
        <p>{t("ward.count", { count: ward.ids.length })}</p>
        {(ward.data?.withheld ?? 0) > 0 && (
          <p>{t("ward.withheld", { count: ward.data?.withheld ?? 0 })}</p>
        )}
        <p className="ward-legend">{t("ward.legend")}</p>
      </div>
      <div
        className="panel ward-panel"
        style={{ "--columns": columns.length } as React.CSSProperties}
      >
        <ColumnHeads columns={columns} />
        <Group
          title={t("ward.groupSilent")}
          hint={t("ward.groupSilentHint")}
          ids={silent}
          columns={columns}
        />
        <Group
          title={isLost ? t("ward.groupLost") : t("ward.groupLive")}
          ids={current}
          columns={columns}
        />
      </div>
    </>
  );
}

/** Only columns that somebody on this ward has readings for. */
function useShownColumns(ids: readonly string[]): readonly Column[] {
  const { board } = useLive();
  return useMemo(
    () =>
      BOARD_COLUMNS.filter((column) =>
        metricsOf(column).some((metric) =>
          ids.some((id) => board.patient(id)?.latest.has(metric.mdc)),
        ),
      ),
    [ids, board],
  );
}

function ColumnHeads(props: { columns: readonly Column[] }) {
  const { t } = useTranslation();
  return (
    <div className="ward-columns" aria-hidden="true">
      <span>{t("ward.patient")}</span>
      {props.columns.map((column) => (
        <span key={column.id}>{t(`metric.${column.id}`)}</span>
      ))}
      <span>{t("ward.device")}</span>
    </div>
  );
}

function Group(props: {
  title: string;
  hint?: string;
  ids: readonly string[];
  columns: readonly Column[];
}) {
  if (props.ids.length === 0) return null;
  return (
    <>
      <h2 className="ward-group">
        {props.title} ({props.ids.length}){props.hint && <small> · {props.hint}</small>}
      </h2>
      <ul className="ward-list">
        {props.ids.map((id) => (
          <Row key={id} id={id} columns={props.columns} />
        ))}
      </ul>
    </>
  );
}

/** Redrawn for its own patient and its own clock, not whenever the board looks for who fell silent. */
const Row = memo(function Row(props: { id: string; columns: readonly Column[] }) {
  const { t } = useTranslation();
  const patient = usePatient(props.id);
  const nowMs = useNow();
  const line = useLine();
  if (patient === undefined) return null;
  const { facts } = patient;
  const isConnected = line.state !== "lost";
  return (
    <li className="ward-row">
      <div className="ward-patient">
        <span className="ward-bed" aria-hidden="true">
          {facts.bed}
        </span>
        <a className="ward-name" href={`#/patients/${props.id}`}>
          {facts.name}
          <span className="words-only">, {t("person.bed", { bed: facts.bed })}</span>
        </a>
        <span className="ward-who">
          {facts.ward && <span className="ward-place">{facts.ward}</span>}
          <span>
            {t("person.years", { count: facts.ageYears })}{" "}
            <span aria-hidden="true">{t(`person.sexShort.${facts.sex}`)}</span>
            <span className="words-only">{t(`person.sex.${facts.sex}`)}</span>
          </span>
          <Notes id={props.id} />
        </span>
      </div>
      {props.columns.map((column) => (
        <ReadingCell
          key={column.id}
          patient={patient}
          column={column}
          nowMs={nowMs}
          isConnected={isConnected}
        />
      ))}
      <NewestAndDevice id={props.id} nowMs={nowMs} isConnected={isConnected} />
    </li>
  );
});

/** "×60" and "recording restarts": what every reader of these numbers must know. */
export function Notes(props: { id: string }) {
  const { t } = useTranslation();
  const { style } = useSettings();
  const patient = usePatient(props.id);
  if (patient === undefined) return null;
  const notes = [...new Set(patient.devices.map((device) => device.note).filter(Boolean))];
  const { restartedMs } = patient.facts;
  return (
    <>
      {notes.map((note) => (
        <span className="chip" key={note}>
          {note}
        </span>
      ))}
      {restartedMs !== null && (
        <span
          className="chip"
          title={t("ward.restartedAt", { time: clockTime(restartedMs, style) })}
        >
          <span className="words-only">{t("ward.recording")} </span>
          {t("ward.restartedShort", { time: shortTime(restartedMs, style) })}
        </span>
      )}
    </>
  );
}

function NewestAndDevice(props: { id: string; nowMs: number; isConnected: boolean }) {
  const { t } = useTranslation();
  const patient = usePatient(props.id);
  if (patient === undefined) return null;
  const newest = newestMs(patient);
  return (
    <div className="ward-device">
      <span className="ward-age">
        <span className="words-only">{t("ward.device")}: </span>
        {newest === undefined ? t("ward.noData") : ageWords(t, newest, props.nowMs)}
      </span>
      {props.isConnected ? (
        <DeviceLines patient={patient} nowMs={props.nowMs} />
      ) : (
        <span className="ward-device-bad">{t("device.notKnown")}</span>
      )}
    </div>
  );
}

/** What there is to say of the patient's devices; of those that are well, one word. */
function DeviceLines(props: { patient: LivePatient; nowMs: number }) {
  const { t } = useTranslation();
  const { style } = useSettings();
  const { patient, nowMs } = props;
  const isWaveformOnly = patient.latest.size === 0 && liveWaveformMs(patient) !== undefined;
  const unwell = patient.devices.filter((device) => !isDeviceWell(device));
  return (
    <>
      {isWaveformOnly && <span>{t("ward.waveformOnly")}</span>}
      {patient.devices.length === 0 && <span>{t("device.none")}</span>}
      {unwell.length === 0 && patient.devices.length > 0 && !isWaveformOnly && (
        <span>{wellWords(t, patient.devices, nowMs)}</span>
      )}
      {[...new Set(unwell.map((device) => deviceWords(t, device, nowMs, style)))].map((words) => (
        <span className="ward-device-bad" key={words}>
          {patient.devices.length > 1 &&
            `${unwell
              .filter((device) => deviceWords(t, device, nowMs, style) === words)
              .map((device) => device.name)
              .join(", ")}: `}
          {words}
        </span>
      ))}
    </>
  );
}

/** "connected" while one holds a connection; of devices that come by requests, when the newest was here. */
function wellWords(t: TFunction, devices: readonly WardDevice[], nowMs: number): string {
  if (devices.some((device) => device.connectedSinceMs !== null)) return t("device.connected");
  return seenWords(t, Math.max(...devices.map((device) => device.lastSeenMs ?? 0)), nowMs);
}

function Loading() {
  const { t } = useTranslation();
  return (
    <div className="panel" role="status" aria-busy="true">
      <p className="ward-group">{t("ward.loading")}</p>
      {Array.from({ length: 8 }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: eight equal bars that never move
        <div className="skeleton ward-skeleton" key={row} />
      ))}
    </div>
  );
}
