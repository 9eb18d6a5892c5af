/** Series and waveforms for the charts of one patient. */
import type { Permit } from "../access/permit.ts";
import type { Principal } from "../access/principal.ts";
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import { metricByMdc } from "../vitals/metric.ts";
import { BOARD_COMPARTMENTS, type WardParts } from "./board.ts";
import { DeviceWatch, gapMs, isPointMetric, waveRuns } from "./readings.ts";
import type { SeriesAnswer, WaveRun } from "./schema.ts";
import { Thinner } from "./thin.ts";

interface SeriesRequest {
  readonly mdcs: readonly number[];
  readonly fromMs: number;
  readonly toMs: number;
  readonly width: number;
}

/** One series a metric and device. @throws Problem "bad-request", "not-found", "permit-ended". */
export async function seriesOf(
  parts: WardParts,
  principal: Principal,
  patientId: string,
  request: SeriesRequest,
): Promise<SeriesAnswer> {
  checkSpan(request, limits.chartSpanMs);
  const mdcs = request.mdcs.filter((mdc) => {
    const metric = metricByMdc(mdc);
    return metric !== undefined && isPointMetric(metric);
  });
  if (mdcs.length === 0) throw new Problem("bad-request", { detail: "query.mdc: no such metric" });
  const permit = await parts.access.permit({
    principal,
    patientId,
    purpose: "TREAT",
    categories: BOARD_COMPARTMENTS,
    action: "read",
  });
  try {
    return await readSeries(parts, permit, { ...request, mdcs });
  } finally {
    parts.access.release(permit);
  }
}

async function readSeries(
  parts: WardParts,
  permit: Permit,
  request: SeriesRequest,
): Promise<SeriesAnswer> {
  const { fromMs, toMs, mdcs, width } = request;
  const devices = new DeviceWatch().devicesOf(parts, permit.patientId, parts.clock.nowMs());
  const thinners = new Map<string, Thinner>();
  const unreadable: SeriesAnswer["unreadable"] = [];
  for await (const chunk of parts.store.read(permit, { mdcs, fromMs, toMs })) {
    if (chunk.unreadable !== undefined) {
      const { unreadable: part, mdc } = chunk;
      unreadable.push({ mdc, fromMs: Math.floor(part.fromMs), toMs: Math.ceil(part.toMs) });
      continue;
    }
    if (chunk.kind !== "points") continue;
    const key = `${chunk.mdc} ${chunk.deviceId}`;
    const rowMs = devices.find((device) => device.id === chunk.deviceId)?.rowMs ?? null;
    const thinner =
      thinners.get(key) ??
      new Thinner({ mdc: chunk.mdc, fromMs, toMs, width, gapMs: gapMs(chunk.mdc, rowMs) });
    thinners.set(key, thinner);
    thinner.take(chunk);
  }
  const series = [...thinners.values()].map((thinner) => thinner.series());
  return { fromMs, toMs, series: series.filter((one) => one.atMs.length > 0), unreadable };
}

/** Stored waveform runs in a range, as sampled. */
export async function waveformOf(
  parts: WardParts,
  principal: Principal,
  patientId: string,
  request: { readonly mdc: number; readonly fromMs: number; readonly toMs: number },
): Promise<WaveRun[]> {
  checkSpan(request, limits.waveformSpanMs);
  const permit = await parts.access.permit({
    principal,
    patientId,
    purpose: "TREAT",
    categories: ["waveform"],
    action: "read",
  });
  try {
    const runs: WaveRun[] = [];
    const range = { mdcs: [request.mdc], fromMs: request.fromMs, toMs: request.toMs };
    for await (const chunk of parts.store.read(permit, range)) runs.push(...waveRuns(chunk));
    return runs;
  } finally {
    parts.access.release(permit);
  }
}

function checkSpan(o: { readonly fromMs: number; readonly toMs: number }, mostMs: number): void {
  if (o.toMs > o.fromMs && o.toMs - o.fromMs <= mostMs) return;
  throw new Problem("bad-request", { detail: "query.to: must be after from, and not too far" });
}
