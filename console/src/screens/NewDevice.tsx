/** A new device: what it is, then its claim code and the commands that enrol it. The code is shown here and nowhere else. */
import { Button, Modal, NativeSelect, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { ask, Refusal } from "../api/client.ts";
import { useSettings } from "../look/settings.tsx";
import { CopyLine } from "../parts/CopyLine.tsx";
import { DIALOG_CLASSES, DIALOG_HEADER } from "../parts/dialog.ts";
import { dateTime, zoneName } from "../time/format.ts";

/** What a device can be; the platform takes any such word. */
const KINDS = [
  "patient-monitor",
  "pulse-oximeter",
  "ecg-recorder",
  "blood-pressure-monitor",
  "thermometer",
  "glucose-sensor",
  "wearable",
  "scale",
  "other",
] as const;

interface Claim {
  deviceId: string;
  claimCode: string;
  expiresMs: number;
  /** The HTTPS device door. */
  doorUrl: string;
}
interface Asked {
  label: string;
  kind: (typeof KINDS)[number];
  /** The patient's id, or an address that holds it. */
  patient: string;
  /** Local time as the field gives it: "2026-11-24T14:05"; empty: from enrolment on. */
  from: string;
}

/** @param props.device a known one that gets another code; undefined: a new one. */
export function NewDevice(props: {
  device: { id: string; label: string } | undefined;
  onClose: () => void;
}) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const [label, setLabel] = useState(props.device?.label ?? "");
  const claiming = useMutation({
    mutationFn: (asked: Asked | undefined) =>
      asked === undefined
        ? ask<Claim>(`/api/devices/${props.device?.id}/claim`, { method: "POST" })
        : ask<Claim>("/api/devices", { method: "POST", body: bodyOf(asked) }),
    onSuccess: () => client.invalidateQueries({ queryKey: ["devices"] }),
  });
  const claim = claiming.data;
  const title =
    claim === undefined && props.device === undefined
      ? t("newDevice.title")
      : t("newDevice.claimTitle", { name: label });
  return (
    <Modal
      attributes={DIALOG_HEADER}
      classNames={DIALOG_CLASSES}
      opened
      onClose={props.onClose}
      title={title}
      size="lg"
      lockScroll={false}
      // A slip of the mouse must not take the code away.
      closeOnClickOutside={false}
      transitionProps={{ duration: 0 }}
      closeButtonProps={{ "aria-label": t("proof.close") }}
    >
      {claim !== undefined ? (
        <ClaimCode claim={claim} onClose={props.onClose} />
      ) : (
        <>
          {claiming.isError && (
            <p className="lost" role="alert">
              {t("newDevice.failed", { reason: reasonOf(claiming.error) })}
            </p>
          )}
          {props.device === undefined ? (
            <Form
              isBusy={claiming.isPending}
              onCancel={props.onClose}
              onAsk={(asked) => {
                setLabel(asked.label.trim());
                claiming.mutate(asked);
              }}
            />
          ) : (
            <>
              <p>{t("newDevice.againHint")}</p>
              <Buttons isBusy={claiming.isPending} onCancel={props.onClose}>
                <Button loading={claiming.isPending} onClick={() => claiming.mutate(undefined)}>
                  {t("newDevice.submit")}
                </Button>
              </Buttons>
            </>
          )}
        </>
      )}
    </Modal>
  );
}

function reasonOf(error: unknown): string {
  return error instanceof Refusal ? error.message : "";
}

const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/i;

function bodyOf({ label, kind, patient, from }: Asked) {
  const patientId = UUID.exec(patient)?.[0].toLowerCase();
  const assignedFromMs = new Date(from).getTime();
  return {
    label: label.trim(),
    kind,
    ...(patientId === undefined ? {} : { patientId }),
    ...(patientId === undefined || Number.isNaN(assignedFromMs) ? {} : { assignedFromMs }),
  };
}

function Form(props: { isBusy: boolean; onCancel: () => void; onAsk: (asked: Asked) => void }) {
  const { t } = useTranslation();
  const { style } = useSettings();
  const [asked, setAsked] = useState<Asked>({
    ...{ label: "", kind: "patient-monitor", patient: "", from: "" },
  });
  const [isTried, setTried] = useState(false);
  const set = (change: Partial<Asked>) => setAsked({ ...asked, ...change });
  const hasPatient = asked.patient.trim() !== "";
  const wrongLabel = asked.label.trim() === "";
  const wrongPatient = hasPatient && !UUID.test(asked.patient);
  return (
    <form
      className="new-device"
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        setTried(true);
        if (!wrongLabel && !wrongPatient) props.onAsk(asked);
      }}
    >
      <TextInput
        data-autofocus
        required
        label={t("newDevice.label")}
        description={t("newDevice.labelHint")}
        error={isTried && wrongLabel ? t("newDevice.labelMissing") : undefined}
        maxLength={200}
        value={asked.label}
        onChange={(event) => set({ label: event.currentTarget.value })}
      />
      <NativeSelect
        label={t("newDevice.kind")}
        value={asked.kind}
        onChange={(event) => set({ kind: event.currentTarget.value as Asked["kind"] })}
        data={KINDS.map((value) => ({ value, label: t(`newDevice.kinds.${value}`) }))}
      />
      <TextInput
        label={t("newDevice.patient")}
        description={t("newDevice.patientHint")}
        error={isTried && wrongPatient ? t("newDevice.patientWrong") : undefined}
        maxLength={300}
        value={asked.patient}
        onChange={(event) => set({ patient: event.currentTarget.value })}
      />
      {hasPatient && (
        <TextInput
          type="datetime-local"
          label={t("newDevice.from", { zone: zoneName(Date.now(), style, "long") })}
          description={t("newDevice.fromHint")}
          value={asked.from}
          onChange={(event) => set({ from: event.currentTarget.value })}
        />
      )}
      <Buttons isBusy={props.isBusy} onCancel={props.onCancel}>
        <Button type="submit" loading={props.isBusy}>
          {t("newDevice.submit")}
        </Button>
      </Buttons>
    </form>
  );
}

function Buttons(props: { isBusy: boolean; onCancel: () => void; children: ReactNode }) {
  const { t } = useTranslation();
  return (
    <div className="device-actions">
      <Button variant="default" disabled={props.isBusy} onClick={props.onCancel}>
        {t("devices.cancel")}
      </Button>
      {props.children}
    </div>
  );
}

/** The commands are those of docs/device-engineer.md, with this platform's address and this code in them. */
function ClaimCode(props: { claim: Claim; onClose: () => void }) {
  const { t } = useTranslation();
  const { style } = useSettings();
  const { deviceId, claimCode, expiresMs, doorUrl } = props.claim;
  const folder = `"$HOME/device-${deviceId.slice(-6)}"`;
  const enrol = `npx vitalward device enrol --url ${doorUrl} --claim ${claimCode} --out ${folder}`;
  const until = `${dateTime(expiresMs, style)} ${zoneName(expiresMs, style)}`;
  return (
    <div className="new-device">
      <p>{t("newDevice.once", { until })}</p>
      <div className="new-device-code">
        <CopyLine what={t("newDevice.code")} text={claimCode} />
      </div>
      <h2>{t("newDevice.here")}</h2>
      <p>{t("newDevice.hereHint")}</p>
      <CopyLine what={t("newDevice.here")} text={enrol} />
      <h2>{t("newDevice.elsewhere")}</h2>
      <p>{t("newDevice.elsewhereHint")}</p>
      <CopyLine what={t("newDevice.elsewhere")} text={`${enrol} --ca ca.pem`} />
      <h2>{t("newDevice.try")}</h2>
      <CopyLine what={t("newDevice.try")} text={`npx vitalward device send --identity ${folder}`} />
      <p>{t("newDevice.goesOn")}</p>
      <Enrolled deviceId={deviceId} />
      <div className="device-actions">
        <Button onClick={props.onClose}>{t("newDevice.close")}</Button>
      </div>
    </div>
  );
}

const ASK_EVERY_MS = 2_000;

/** Says by itself when the device has used the code. */
function Enrolled(props: { deviceId: string }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const query = useQuery({
    queryKey: ["device", props.deviceId],
    queryFn: ({ signal }) =>
      ask<{ state: string; enrolledMs?: number }>(`/api/devices/${props.deviceId}`, { signal }),
    refetchInterval: (asked) => (asked.state.data?.enrolledMs === undefined ? ASK_EVERY_MS : false),
  });
  const isEnrolled = query.data?.enrolledMs !== undefined;
  useEffect(() => {
    if (isEnrolled) void client.invalidateQueries({ queryKey: ["devices"] });
  }, [isEnrolled, client]);
  return (
    <p className="new-device-state" data-done={isEnrolled} role="status">
      {isEnrolled ? t("newDevice.enrolled") : t("newDevice.waiting")}
    </p>
  );
}
