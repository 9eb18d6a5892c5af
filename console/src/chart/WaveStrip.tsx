/** One live waveform of one patient. The canvas is driven outside of React; React only says its words. */
import { useComputedColorScheme } from "@mantine/core";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Metric } from "../../../src/vitals/metric.ts";
import type { WaveRun } from "../../../src/ward/schema.ts";
import { ask } from "../api/client.ts";
import { useLine, useLive } from "../live/live.tsx";
import { useSettings } from "../look/settings.tsx";
import { clockTime } from "../time/format.ts";
import { Strip, type StripColours } from "./strip.ts";
import "./strip.css";

/** After this long without a newer run the strip says that it stands still. */
const STOPPED_AFTER_MS = 12_000;
const WORDS_EVERY_MS = 1_000;

export function WaveStrip(props: { patientId: string; metric: Metric }) {
  const { t } = useTranslation();
  const { style } = useSettings();
  const { canvas, newestMs, gain, isStopped } = useStrip(props.patientId, props.metric);
  const label = t("patient.waveformLabel", { metric: props.metric.display });
  return (
    <figure className="strip" data-stopped={isStopped}>
      <figcaption>
        <b>{props.metric.display}</b>
        <span>{gain !== undefined && `${gain} mm/mV`}</span>
        {newestMs === undefined && <span>{t("patient.waveformWaiting")}</span>}
        {isStopped && newestMs !== undefined && (
          <span className="strip-stopped">
            {t("patient.waveformStopped", { time: clockTime(newestMs, style) })}
          </span>
        )}
      </figcaption>
      <canvas ref={canvas} role="img" aria-label={label} />
    </figure>
  );
}

function useStrip(patientId: string, metric: Metric) {
  const { board, line } = useLive();
  const lineState = useLine();
  const scheme = useComputedColorScheme("light");
  const canvas = useRef<HTMLCanvasElement>(null);
  const strip = useRef<Strip>(undefined);
  const [words, setWords] = useState<{ newestMs?: number | undefined; gain?: number | undefined }>(
    {},
  );
  const [nowMs, setNowMs] = useState(0);
  useEffect(() => {
    const element = canvas.current;
    if (element === null) return;
    const made = new Strip(element, { unit: metric.unit, colours: coloursOf(element) });
    strip.current = made;
    const now = () => Date.now() + line.state.offsetMs;
    const leaving = new AbortController();
    const fill = () =>
      fetchPast(patientId, metric, now(), leaving.signal).then(
        (runs) => made.takePast(runs),
        // Live runs fill the strip all the same; a refusal is told by the page's own question.
        (error: unknown) => {
          if (!leaving.signal.aborted) console.warn("stored waveform not shown", error);
        },
      );
    void fill();
    let isLive = false;
    const stop = board.onWave(patientId, (run) => {
      if (run.mdc !== metric.mdc) return;
      made.take(run, now());
      // What was stored between the first answer and the first live run would be missing.
      if (!isLive) void fill();
      isLive = true;
    });
    const observer = new ResizeObserver(() => {
      made.resize(element.clientWidth, element.clientHeight, devicePixelRatio);
    });
    observer.observe(element);
    let frame = requestAnimationFrame(function draw() {
      made.frame(now());
      frame = requestAnimationFrame(draw);
    });
    const timer = setInterval(() => {
      setWords({ newestMs: made.newestMs, gain: made.gain });
      setNowMs(now());
    }, WORDS_EVERY_MS);
    return () => {
      leaving.abort();
      stop();
      observer.disconnect();
      cancelAnimationFrame(frame);
      clearInterval(timer);
    };
  }, [board, line, patientId, metric]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours are read from the page, which the scheme has changed
  useEffect(() => {
    if (canvas.current !== null) strip.current?.recolour(coloursOf(canvas.current));
  }, [scheme]);
  const isStopped =
    lineState.state === "lost" ||
    (words.newestMs !== undefined && nowMs - words.newestMs > STOPPED_AFTER_MS);
  return { canvas, ...words, isStopped };
}

/** What the strip shows at first: as much as a wide screen holds. */
const PAST_MS = 20_000;

async function fetchPast(
  patientId: string,
  metric: Metric,
  nowMs: number,
  signal: AbortSignal,
): Promise<WaveRun[]> {
  const query = new URLSearchParams({
    mdc: String(metric.mdc),
    from: String(Math.floor(nowMs - PAST_MS)),
    to: String(Math.ceil(nowMs)),
  });
  const path = `/api/patients/${patientId}/waveform?${query}`;
  return (await ask<{ runs: WaveRun[] }>(path, { signal })).runs;
}

function coloursOf(element: HTMLElement): StripColours {
  const style = getComputedStyle(element);
  return {
    trace: style.getPropertyValue("--trace").trim(),
    doubted: style.getPropertyValue("--line-strong").trim(),
  };
}
