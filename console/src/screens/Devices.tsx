/** Every device, for administrators: its state, when it was last seen, a new one, suspending and revoking. Nothing here
 * is about a patient. */
import { Button, Modal } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { ask, isPassing } from "../api/client.ts";
import { useLine, useNow } from "../live/live.tsx";
import { useSettings } from "../look/settings.tsx";
import { DIALOG_CLASSES, DIALOG_HEADER } from "../parts/dialog.ts";
import { Failure, StateScreen } from "../parts/StateScreen.tsx";
import { agoWords, sinceWords } from "../parts/words.ts";
import { dateTime, zoneName } from "../time/format.ts";
import "./devices.css";
import { NewDevice } from "./NewDevice.tsx";

interface DeviceRow {
  id: string;
  label: string;
  kind: string;
  note: string;
  state: "claimed" | "enrolled" | "suspended" | "quarantined" | "revoked";
  certificateHashes: string[];
  enrolledMs?: number;
  connectedSinceMs: number | null;
  disconnectedMs: number | null;
  lastSeenMs: number | null;
  assignments: { patientId: string; fromMs: number; toMs?: number }[];
}
type Change = "suspend" | "resume" | "revoke";
const COLUMNS = [
  "name",
  "state",
  "lastSeen",
  "enrolled",
  "certificate",
  "patient",
  "actions",
] as const;

export function DevicesScreen() {
  const [claimed, setClaimed] = useState<{ device: DeviceRow | undefined }>();
  // Beside the list, whatever becomes of that: a code that is on the screen must stay there.
  return (
    <>
      <Devices claim={(device) => setClaimed({ device })} />
      {claimed && <NewDevice device={claimed.device} onClose={() => setClaimed(undefined)} />}
    </>
  );
}

function Devices(props: { claim: (device: DeviceRow | undefined) => void }) {
  const { t } = useTranslation();
  const query = useQuery({
    queryKey: ["devices"],
    queryFn: ({ signal }) => ask<DeviceRow[]>("/api/devices", { signal }),
    refetchInterval: 5_000,
  });
  const add = <Button onClick={() => props.claim(undefined)}>{t("devices.add")}</Button>;
  // Cut off for a while the list stays; the bar above says since when it is not current.
  if (query.isError && (query.data === undefined || !isPassing(query.error))) {
    return <Failure error={query.error} retry={() => void query.refetch()} />;
  }
  if (query.data === undefined) {
    return <StateScreen title={t("devices.title")} words={t("devices.loading")} />;
  }
  if (query.data.length === 0) {
    return (
      <StateScreen title={t("devices.title")} words={t("devices.empty")}>
        {add}
      </StateScreen>
    );
  }
  return <List devices={query.data} add={add} claim={props.claim} />;
}

function List(props: {
  devices: readonly DeviceRow[];
  add: ReactNode;
  claim: (device: DeviceRow) => void;
}) {
  const { t } = useTranslation();
  const { style } = useSettings();
  const nowMs = useNow(5_000);
  const [asked, setAsked] = useState<{ device: DeviceRow; change: Change }>();
  const [said, setSaid] = useState("");
  return (
    <>
      <div className="ward-head">
        <h1 className="title">{t("devices.title")}</h1>
        <p aria-live="polite">{said}</p>
        <p className="ward-legend">{t("patient.zone", { zone: zoneName(nowMs, style, "long") })}</p>
        {props.add}
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard */}
      <section className="panel trend-table devices" tabIndex={0} aria-label={t("devices.title")}>
        <table>
          <thead>
            <tr>
              {COLUMNS.map((column) => (
                <th key={column} scope="col">
                  {t(`devices.${column}`)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {props.devices.map((device) => (
              <Row
                key={device.id}
                device={device}
                nowMs={nowMs}
                ask={(change) => setAsked({ device, change })}
                claim={() => props.claim(device)}
              />
            ))}
          </tbody>
        </table>
      </section>
      {asked && (
        <Confirm
          {...asked}
          onClose={() => setAsked(undefined)}
          onDone={(state) => setSaid(t("devices.done", { name: asked.device.label, state }))}
        />
      )}
    </>
  );
}

function Row(props: {
  device: DeviceRow;
  nowMs: number;
  ask: (change: Change) => void;
  claim: () => void;
}) {
  const { t } = useTranslation();
  const { style } = useSettings();
  const { device } = props;
  const isAssigned = device.assignments.some(
    ({ fromMs, toMs }) => fromMs <= props.nowMs && (toMs === undefined || props.nowMs < toMs),
  );
  const tone = {
    enrolled: "good",
    quarantined: "out",
    suspended: "out",
    revoked: "bad",
    claimed: "",
  };
  return (
    <tr>
      <th scope="row">
        {device.label} {device.note && <span className="chip">{device.note}</span>}
        <span className="device-id">{device.id}</span>
      </th>
      <td>
        <span className={`chip chip-${tone[device.state]}`}>
          {t(`device.state.${device.state}`)}
        </span>
      </td>
      <td>
        <LastSeen device={device} nowMs={props.nowMs} />
      </td>
      <td>
        {device.enrolledMs === undefined ? t("devices.never") : dateTime(device.enrolledMs, style)}
      </td>
      <td>
        <code title={device.certificateHashes.at(-1)}>
          {device.certificateHashes.at(-1)?.slice(0, 16) ?? "–"}
        </code>
      </td>
      <td>{isAssigned ? t("devices.assigned") : t("devices.unassigned")}</td>
      <td>
        <Actions {...props} />
      </td>
    </tr>
  );
}

/** How long ago, and what the doors know of its connection. */
function LastSeen(props: { device: DeviceRow; nowMs: number }) {
  const { t } = useTranslation();
  const { style } = useSettings();
  const isLost = useLine().state === "lost";
  const { connectedSinceMs, disconnectedMs, lastSeenMs } = props.device;
  if (lastSeenMs === null) return t("devices.never");
  // This page's clock goes by steps; the answer may be newer.
  const nowMs = Math.max(props.nowMs, lastSeenMs);
  return (
    <>
      <span title={dateTime(lastSeenMs, style)}>{agoWords(t, lastSeenMs, nowMs)}</span>
      <span className="device-line">
        {isLost
          ? t("device.notKnown")
          : connectedSinceMs !== null
            ? t("device.connected")
            : disconnectedMs !== null &&
              t("device.lost", { time: sinceWords(disconnectedMs, nowMs, style) })}
      </span>
    </>
  );
}

function Actions(props: {
  device: DeviceRow;
  ask: (change: Change) => void;
  claim: () => void;
}): ReactNode {
  const { t } = useTranslation();
  const { device, ask: askFor } = props;
  const name = `${device.label} ${device.id.slice(-6)}`;
  const isSuspended = device.state === "suspended";
  return (
    <div className="device-actions">
      {device.state === "claimed" ? (
        <Button
          size="compact-sm"
          variant="default"
          onClick={props.claim}
          aria-label={t("devices.claimFor", { name })}
        >
          {t("devices.claim")}
        </Button>
      ) : (
        <Button
          size="compact-sm"
          variant="default"
          disabled={device.state === "revoked"}
          onClick={() => askFor(isSuspended ? "resume" : "suspend")}
          aria-label={
            isSuspended ? t("devices.resumeFor", { name }) : t("devices.suspendFor", { name })
          }
        >
          {isSuspended ? t("devices.resume") : t("devices.suspend")}
        </Button>
      )}
      <Button
        size="compact-sm"
        variant="default"
        className="device-revoke"
        disabled={device.state === "revoked"}
        onClick={() => askFor("revoke")}
        aria-label={t("devices.revokeFor", { name })}
      >
        {t("devices.revoke")}
      </Button>
    </div>
  );
}

const STATE_AFTER = { suspend: "suspended", resume: "enrolled", revoke: "revoked" } as const;

function Confirm(props: {
  device: DeviceRow;
  change: Change;
  onClose: () => void;
  onDone: (state: string) => void;
}) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const { device, change } = props;
  const changing = useMutation({
    mutationFn: () => ask<unknown>(`/api/devices/${device.id}/${change}`, { method: "POST" }),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["devices"] });
      props.onDone(t(`device.state.${STATE_AFTER[change]}`));
      props.onClose();
    },
  });
  const words = {
    suspend: {
      title: t("devices.confirmSuspend", { name: device.label }),
      hint: t("devices.suspendHint"),
    },
    resume: {
      title: t("devices.confirmResume", { name: device.label }),
      hint: t("devices.resumeHint"),
    },
    revoke: {
      title: t("devices.confirmRevoke", { name: device.label }),
      hint: t("devices.revokeHint"),
    },
  }[change];
  return (
    <Modal
      attributes={DIALOG_HEADER}
      classNames={DIALOG_CLASSES}
      opened
      onClose={props.onClose}
      title={words.title}
      lockScroll={false}
      transitionProps={{ duration: 0 }}
      closeButtonProps={{ "aria-label": t("proof.close") }}
    >
      <p>{words.hint}</p>
      {changing.isError && (
        <p className="lost" role="alert">
          {t("devices.failed")}
        </p>
      )}
      <div className="device-actions">
        <Button variant="default" onClick={props.onClose} data-autofocus>
          {t("devices.cancel")}
        </Button>
        <Button loading={changing.isPending} onClick={() => changing.mutate()}>
          {t(`devices.${change}`)}
        </Button>
      </div>
    </Modal>
  );
}
