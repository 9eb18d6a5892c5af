/** What follows a judgement: the one answer to an arrival, receipts, counters and security events. */
import type { Clock } from "../clock.ts";
import { counter, diagnostics, histogram } from "../diagnostics.ts";
import { joinPayload } from "../envelope/payload.ts";
import { limits } from "../limits.ts";
import type { ProblemCode } from "../problems.ts";
import type { BlockKeeper } from "./blocks.ts";
import type { ChainWatch } from "./chain-watch.ts";
import { countRefusal, type SecurityEvents } from "./events.ts";
import type { LiveSession } from "./live-session.ts";
import type { Pending } from "./pending.ts";
import type { ReceiptDesk } from "./receipts.ts";
import type { SessionBook } from "./session-book.ts";
import { type Arrival, mayRetry, type Verdict } from "./verdict.ts";

const envelopes = counter("vitalward_envelopes_total", "envelopes, by what became of them", [
  "outcome",
] as const);
const admittedEnvelopes = envelopes.labels("admitted");
const forkedEnvelopes = envelopes.labels("forked");
const samples = counter("vitalward_samples_admitted_total", "samples durably stored");
const latency = histogram(
  "vitalward_admission_seconds",
  "from arrival at a door to the durable commit",
  [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
);

const ADMITTED: Verdict = { outcome: "admitted", downlink: [] };

/** What became of one item of an arrival. */
export interface ItemVerdict {
  readonly outcome: Verdict["outcome"];
  readonly problem?: ProblemCode;
  readonly session?: LiveSession;
  readonly downlink?: readonly Uint8Array[];
}

interface Desk {
  readonly events: SecurityEvents;
  readonly receipts: ReceiptDesk;
  readonly book: SessionBook;
  readonly clock: Clock;
}

/** What follows each durable commit; nothing here can refuse any more. */
export function afterCommit(
  pending: Pending,
  o: { blocks: BlockKeeper; chains: ChainWatch; receipts: ReceiptDesk; book: SessionBook },
): void {
  const { session, content, number } = pending;
  (pending.fork ? forkedEnvelopes : admittedEnvelopes).inc();
  samples.inc(sampleCount(pending));
  if (!pending.fork) {
    if (content.gaps) {
      for (const gap of content.gaps) {
        for (const one of o.book.ofDevice(session.deviceId)) one.gaps.addRange(gap.from, gap.to);
      }
    }
    if (number === session.keys.firstSequence) {
      session.previous = content.previous;
      o.chains.linked(session);
    }
    if (pending.closes) session.closedAt = number;
    o.chains.admitted(session, number);
    o.blocks.admitted(pending);
  }
  o.receipts.owe(session);
}

function sampleCount(pending: Pending): number {
  let count = 0;
  for (const column of pending.batch.points) count += column.timesMs.length;
  for (const run of pending.batch.waveforms) count += run.values.length;
  return count;
}

/** Counts what became of an arrival. @returns the one verdict on all of it. */
export function concluded(
  parts: Desk,
  arrival: Arrival,
  startMs: number,
  verdicts: readonly ItemVerdict[],
): Verdict {
  for (const verdict of verdicts) {
    if (verdict.problem) noteRefusal(parts.events, arrival, verdict.problem, verdict.session);
    else if (verdict.outcome === "duplicate") envelopes.inc({ outcome: "duplicate" });
  }
  latency.observe((parts.clock.monotonicMs() - startMs) / 1_000);
  return verdictOf(arrival, verdicts, parts);
}

/** One verdict for the arrival: what must be sent again outweighs what is final. */
function verdictOf(
  arrival: Arrival,
  verdicts: readonly ItemVerdict[],
  o: { receipts: ReceiptDesk; book: SessionBook },
): Verdict {
  const [sole] = verdicts;
  if (verdicts.length === 1 && sole?.outcome === "admitted" && arrival.door === "mqtt") {
    // The receipt was owed at the commit and goes its own way.
    if (sole.downlink === undefined) return ADMITTED;
  }
  const downlink = verdicts.flatMap((verdict) => verdict.downlink ?? []);
  const touched = new Set(verdicts.flatMap((verdict) => verdict.session ?? []));
  for (const verdict of verdicts) {
    if (verdict.outcome === "admitted" && verdict.downlink && verdict.session) {
      downlink.push(...olderReceipts(verdict.session, o));
    }
  }
  for (const session of touched) {
    if (arrival.door === "https") {
      const receipt = o.receipts.take(session);
      if (receipt) downlink.push(receipt);
    } else o.receipts.owe(session);
  }
  const sealed = downlink.length > 0 ? [joinPayload(downlink)] : [];
  const problems = verdicts.flatMap((verdict) => verdict.problem ?? []);
  const problem = problems.find(mayRetry) ?? problems[0];
  if (problem) {
    // Something of it may be unknown to the device's receipts: say again what is kept.
    for (const session of o.book.ofDevice(arrival.deviceId)) o.receipts.owe(session);
    return { outcome: "refused", problem, downlink: sealed };
  }
  const isNew = verdicts.some((verdict) => verdict.outcome === "admitted");
  return { outcome: isNew ? "admitted" : "duplicate", downlink: sealed };
}

/** A new session's first answer tells what is kept of the device's older ones. */
function olderReceipts(
  fresh: LiveSession,
  o: { receipts: ReceiptDesk; book: SessionBook },
): Uint8Array[] {
  return o.book
    .ofDevice(fresh.deviceId)
    .filter((session) => session !== fresh)
    .slice(0, limits.olderReceiptsMax)
    .flatMap((older) => o.receipts.about(older, fresh) ?? []);
}

/** Counts and records a refusal. */
export function noteRefusal(
  events: SecurityEvents,
  arrival: Arrival,
  problem: ProblemCode,
  session?: LiveSession,
): void {
  envelopes.inc({ outcome: "refused" });
  countRefusal(problem);
  events.note(problem, arrival.deviceId, {
    door: arrival.door,
    ...(session ? { session: session.sessionId } : {}),
  });
  diagnostics.debug({ problem, door: arrival.door }, "an arrival was refused");
}
