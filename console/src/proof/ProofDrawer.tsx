/** The proof of one reading: what was checked in this browser, and what exactly was signed. */
import { Button, Drawer } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { PROOF_STEPS, type ProofVerdict } from "../../../src/transparency/verify.ts";
import type { Point } from "../chart/plot-series.ts";
import { deviceName } from "../chart/Trends.tsx";
import type { LivePatient } from "../live/board.ts";
import { useSettings } from "../look/settings.tsx";
import { DIALOG_CLASSES, DIALOG_HEADER } from "../parts/dialog.ts";
import { knownAgainst } from "../parts/words.ts";
import { readingText } from "../reading/units.ts";
import { dateTime, zoneName } from "../time/format.ts";
import { checkReading } from "./check.ts";
import "./proof.css";

/** A reading that is not signed yet is asked for again this often. */
const AGAIN_MS = 10_000;

export function ProofDrawer(props: {
  patient: LivePatient;
  point: Point | undefined;
  onClose: () => void;
}) {
  const { t } = useTranslation();
  return (
    <Drawer
      opened={props.point !== undefined}
      onClose={props.onClose}
      title={t("proof.title")}
      position="right"
      size="28rem"
      classNames={DIALOG_CLASSES}
      attributes={DIALOG_HEADER}
      lockScroll={false}
      transitionProps={{ duration: 0 }}
      closeButtonProps={{ "aria-label": t("proof.close") }}
    >
      {props.point && <Proof patient={props.patient} point={props.point} />}
    </Drawer>
  );
}

function Proof(props: { patient: LivePatient; point: Point }) {
  const { t } = useTranslation();
  const { preferences, style } = useSettings();
  const { patient, point } = props;
  const { mdc } = point.metric;
  const query = useQuery({
    queryKey: ["proof", patient.facts.id, mdc, point.sessionId, point.sequence, point.timeMs],
    queryFn: ({ signal }) => checkReading(patient.facts.id, { ...point, mdc }, signal),
    gcTime: 0,
    retry: false,
    refetchInterval: (current) => (current.state.data?.state === "unsigned" ? AGAIN_MS : false),
  });
  const value = readingText(mdc, point.mantissa, point.exponent, preferences, style);
  return (
    <div className="proof">
      <p className="proof-reading">
        <span>{point.metric.display}</span>
        <b className="numbers">{value}</b>
        <span className="numbers">
          {dateTime(point.timeMs, style)} {zoneName(point.timeMs, style)}
        </span>
        {knownAgainst(t, point.quality, point.marks).map((words) => (
          <span className="chip" key={words}>
            {words}
          </span>
        ))}
      </p>
      <div aria-live="polite">
        {query.isPending && <p className="proof-word">{t("proof.checking")}</p>}
        {query.isError && (
          <Word state="bad" title={t("proof.failed")} words={query.error.message}>
            <Button size="xs" onClick={() => void query.refetch()}>
              {t("proof.again")}
            </Button>
          </Word>
        )}
        {query.data?.state === "unsigned" && (
          <Word state="pending" title={t("proof.pending")} words={t("proof.pendingLong")} />
        )}
        {query.data?.state === "checked" && (
          <Verdict verdict={query.data.verdict} tookMs={query.data.tookMs} />
        )}
      </div>
      <Facts
        point={point}
        device={deviceName(patient, point.deviceId)}
        verdict={query.data?.state === "checked" ? query.data.verdict : undefined}
      />
    </div>
  );
}

function Word(props: {
  state: "good" | "bad" | "pending";
  title: string;
  words: string;
  children?: React.ReactNode;
}) {
  const sign = { good: "✓", bad: "✕", pending: "…" }[props.state];
  return (
    <div className="proof-word" data-state={props.state}>
      <h2>
        <span aria-hidden="true">{sign}</span> {props.title}
      </h2>
      <p>{props.words}</p>
      {props.children}
    </div>
  );
}

function Verdict(props: { verdict: ProofVerdict; tookMs: number }) {
  const { t } = useTranslation();
  const { verdict } = props;
  return (
    <>
      {verdict.holds ? (
        <Word state="good" title={t("proof.good")} words={t("proof.goodLong")} />
      ) : (
        <Word state="bad" title={t("proof.bad")} words={t("proof.badLong")} />
      )}
      <h3>{t("proof.checks")}</h3>
      <ol className="proof-steps">
        {PROOF_STEPS.map((step) => (
          <li key={step} data-holds={verdict.steps[step]}>
            <span aria-hidden="true">{verdict.steps[step] ? "✓" : "✕"}</span>
            <span>
              {t(`proof.step.${step}`)}
              <span className="words-only">
                : {verdict.steps[step] ? t("proof.done") : t("proof.notDone")}
              </span>
            </span>
          </li>
        ))}
      </ol>
      <p className="proof-took numbers">
        {t("proof.checkedIn", { ms: Math.max(1, Math.round(props.tookMs)) })}
      </p>
    </>
  );
}

function Facts(props: { point: Point; device: string; verdict: ProofVerdict | undefined }) {
  const { t } = useTranslation();
  const { style } = useSettings();
  const { point, verdict } = props;
  const { block } = verdict ?? {};
  const rows: [string, string | undefined][] = [
    [t("proof.device"), props.device],
    [t("proof.deviceId"), point.deviceId],
    [t("proof.session"), point.sessionId],
    [t("proof.batch"), String(point.sequence)],
    [t("proof.block"), block && t("proof.blockRange", { from: block.from, to: block.to })],
    [
      t("proof.signedAt"),
      block && `${dateTime(block.signedMs, style)} ${zoneName(block.signedMs, style)}`,
    ],
    [t("proof.root"), block?.root],
    [t("proof.algorithm"), verdict?.algorithm],
    [t("proof.certificate"), verdict?.certificateHash],
  ];
  return (
    <>
      <h3>{t("proof.facts")}</h3>
      <dl className="proof-facts">
        {rows.map(
          ([name, value]) =>
            value && (
              <div key={name}>
                <dt>{name}</dt>
                <dd className="numbers">{value}</dd>
              </div>
            ),
        )}
      </dl>
    </>
  );
}
