/**
 * The one function behind all device doors. In order: size → shape → session → decrypt → number
 * unseen? → plausibility → commit → receipt. It answers only after the durable commit; a refusal is a
 * typed verdict, counted and recorded, and harms nothing else in the same arrival.
 *
 * X never happens here: a measured value is dropped for being odd; a sample waits for an earlier one;
 * anything is opened that was stored.
 */
import type { Clock } from "../clock.ts";
import { counter, diagnostics, histogram } from "../diagnostics.ts";
import { parseUsualEnvelope } from "../envelope/envelope.ts";
import type { PlatformIdentity } from "../envelope/opening.ts";
import { joinPayload, type PayloadItem, splitPayload } from "../envelope/payload.ts";
import { limits } from "../limits.ts";
import { Problem, type ProblemCode } from "../problems.ts";
import type { Registry } from "../registry/registry.ts";
import type { Store } from "../store/store.ts";
import type { Vault } from "../vault/seal.ts";
import { EnvelopeJudge } from "./admit-envelope.ts";
import { BlockKeeper, type StorePermit } from "./blocks.ts";
import { chainRanges, type RangeState } from "./chain.ts";
import { ChainWatch } from "./chain-watch.ts";
import { Committer } from "./committer.ts";
import { countRefusal, createSecurityEvents, type SecurityEvents } from "./events.ts";
import { gapsOf } from "./evidence-tables.ts";
import type { LiveSession } from "./live-session.ts";
import { OpeningJudge } from "./open-session.ts";
import { Opener } from "./opener.ts";
import type { Pending } from "./pending.ts";
import { Prekeys } from "./prekeys.ts";
import { isSigned, type ProofBundle, proofOf, type ReadingName } from "./proof.ts";
import { NumberRanges } from "./ranges.ts";
import { createDeviceRates } from "./rates.ts";
import { ReceiptDesk, type SendDownlink } from "./receipts.ts";
import { currentEpoch, rememberEntry } from "./restore.ts";
import { SessionBook } from "./session-book.ts";
import { Sweeper } from "./sweep.ts";
import { type IngestDatabase, sessionRow } from "./tables.ts";
import { type Admit, type AdmitThen, type Arrival, mayRetry, type Verdict } from "./verdict.ts";

export interface AdmissionOptions {
  readonly database: IngestDatabase;
  readonly registry: Pick<
    Registry,
    "caPem" | "certificate" | "device" | "patientOf" | "quarantine"
  > & { readonly platformIdentity: PlatformIdentity };
  readonly vault: Pick<Vault, "secrets" | "seal" | "open" | "anchor">;
  readonly store: Store;
  readonly clock: Clock;
  /** For rebuilding leaves that a crash took from memory before their block was verified. */
  readonly maintenancePermit?: (patientId: string) => Promise<StorePermit>;
}

export interface Admission {
  readonly admit: Admit;
  /** The same, answered by a call. */
  readonly admitThen: AdmitThen;
  /** Every door says here how it reaches its devices. */
  onDownlink(send: SendDownlink): void;
  /** Fresh signed prekeys (CBOR sequence; may be empty), for an enrolment or a contact. */
  prekeysFor(deviceId: string): Promise<Uint8Array>;
  /** What the console's proof check needs; undefined while no verified block covers the batch.
   * @throws Problem "not-found" like any read. */
  proofOf(permit: StorePermit, of: ReadingName): Promise<ProofBundle | undefined>;
  /** Whether a verified block of the device covers the batch. */
  isSigned(of: ReadingName & { readonly patientId: string }): Promise<boolean>;
  /** The state of a session's numbers as ranges. */
  chainOf(deviceId: string, sessionId: string): Promise<RangeState[]>;
  readonly events: SecurityEvents;
  readonly storeEpoch: number;
  /** Destroys keys that have served, now; else every minute. */
  sweep(): Promise<void>;
  /** Waits for judgements that follow commits: blocks, chains, events. */
  idle(): Promise<void>;
  close(): Promise<void>;
}

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

interface ItemVerdict {
  readonly outcome: Verdict["outcome"];
  readonly problem?: ProblemCode;
  readonly session?: LiveSession;
  readonly downlink?: readonly Uint8Array[];
}

type Parts = Awaited<ReturnType<typeof openParts>>;

/** Everything admission is made of, with what the database and the keystore remember. */
async function openParts(o: AdmissionOptions) {
  const { database, registry, vault, store, clock } = o;
  const { secrets } = vault;
  const identity = registry.platformIdentity;
  const events = createSecurityEvents({ database, clock });
  const book = new SessionBook({ database, secrets, clock });
  const { epoch, newestEntry } = await currentEpoch({ database, vault, clock, events });
  const { entries } = await book.load();
  const rates = createDeviceRates(() => clock.monotonicMs());
  const receipts = new ReceiptDesk({ storeEpoch: () => epoch });
  const prekeys = new Prekeys({ secrets, identity, clock });
  const { maintenancePermit } = o;
  const blocks = new BlockKeeper({
    ...{ database, registry, store, events, maintenancePermit },
    sealer: vault,
  });
  const chains = new ChainWatch({ database, book, events, registry });
  const committer = new Committer({
    database,
    store,
    nextEntry: Math.max(newestEntry, ...entries) + 1,
    applied: entries,
    admitted: (pending) => afterCommit(pending, { blocks, chains, receipts, book }),
    writeBlock: (client, pending) => blocks.write(client, pending),
    dirtySessions: () => book.dirty(),
    folded: async (newest, sessions) => {
      for (const session of sessions) {
        session.keys.settledBefore(session.contiguous + 1 - limits.settledLagNumbers);
      }
      await book.save(sessions.filter((session) => session.keys.changed));
      rememberEntry(vault, newest);
      book.trimPages();
    },
  });
  await committer.fold();
  await chains.restore();
  for (const session of book.all()) blocks.settle(session);
  const storeEpoch = () => epoch;
  const openings = new OpeningJudge({
    ...{ database, registry, book, prekeys, identity, rates, clock, storeEpoch },
  });
  const opener = new Opener();
  const judge = new EnvelopeJudge({
    ...{ database, registry, book, blocks, committer, events, opener },
  });
  const sweeper = new Sweeper({ book, prekeys, committer, clock });
  const judges = { openings, judge, sweeper };
  return {
    ...o,
    ...judges,
    events,
    book,
    epoch,
    rates,
    receipts,
    prekeys,
    blocks,
    chains,
    committer,
    opener,
  };
}

export async function createAdmission(o: AdmissionOptions): Promise<Admission> {
  const parts = await openParts(o);
  const { database, book, events, receipts, prekeys, blocks, chains, committer, sweeper } = parts;
  const idle = async () => {
    await blocks.idle();
    await chains.idle();
  };
  return {
    admit: (arrival) => new Promise((resolve) => admitThen(parts, arrival, resolve)),
    admitThen: (arrival, answer) => admitThen(parts, arrival, answer),
    onDownlink: (send) => receipts.onDownlink(send),
    prekeysFor: (deviceId) => prekeys.handOut(deviceId),
    proofOf: (permit, of) => proofOf(parts, permit, of),
    isSigned: (of) => isSigned(database, of),
    chainOf: (deviceId, sessionId) => chainState({ database, book }, deviceId, sessionId),
    events,
    storeEpoch: parts.epoch,
    sweep: () => sweeper.sweep(),
    idle,
    async close() {
      receipts.flush();
      receipts.close();
      sweeper.close();
      await parts.opener.close();
      await idle();
      await committer.close();
      await events.close();
    },
  };
}

function admitThen(parts: Parts, arrival: Arrival, answer: (verdict: Verdict) => void): void {
  const startMs = parts.clock.monotonicMs();
  const sole = parseUsualEnvelope(arrival.bytes);
  const items = mayCome(parts, arrival, startMs) ?? (sole ? [] : itemsOf(parts, arrival, startMs));
  if (typeof items === "string") {
    noteRefusal(parts.events, arrival, items);
    answer({ outcome: "refused", problem: items, downlink: [] });
    return;
  }
  if (sole) {
    const judged = (verdict: ItemVerdict) => answer(concluded(parts, arrival, startMs, [verdict]));
    parts.judge.judge(arrival, arrival.bytes, judged, sole);
    return;
  }
  judgeInTurn(parts, arrival, items).then(
    (verdicts) => answer(concluded(parts, arrival, startMs, verdicts)),
    (error) => {
      diagnostics.error({ err: error }, "an arrival could not be judged");
      answer({ outcome: "refused", problem: "internal-fault", downlink: [] });
    },
  );
}

/** What is asked before anything is looked at. @returns why nothing is. */
function mayCome(parts: Parts, arrival: Arrival, nowMs: number): ProblemCode | undefined {
  const { deviceId, bytes } = arrival;
  if (bytes.length > limits.arrivalBytesMax) return "envelope-too-large";
  const barred = barredBy(parts.registry, arrival);
  if (barred) return barred;
  return parts.rates.allow(deviceId, 1, bytes.length, nowMs) ? undefined : "rate-limited";
}

/** @returns the items of an arrival, or why none is opened. */
function itemsOf(parts: Parts, arrival: Arrival, nowMs: number): PayloadItem[] | ProblemCode {
  const { rates } = parts;
  const { deviceId, bytes } = arrival;
  let items: PayloadItem[];
  try {
    items = splitPayload(bytes);
  } catch (error) {
    if (error instanceof Problem) return error.code;
    throw error;
  }
  if (items.length === 0) return "envelope-malformed";
  if (items.length === 1 || rates.allow(deviceId, items.length - 1, 0, nowMs)) return items;
  return "rate-limited";
}

/** Counts what became of an arrival. @returns the one verdict on all of it. */
function concluded(
  parts: Parts,
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

function judgeItem(parts: Parts, arrival: Arrival, item: PayloadItem): Promise<ItemVerdict> {
  if (item.kind === "envelope") {
    return new Promise((resolve) => parts.judge.judge(arrival, item.bytes, resolve));
  }
  if (item.kind === "opening") return parts.openings.judge(arrival.deviceId, item.bytes);
  return Promise.resolve({ outcome: "refused", problem: "envelope-malformed" });
}

/** May the holder of this certificate speak now? The door asked once, when it connected. */
function barredBy(
  registry: Pick<Registry, "certificate" | "device">,
  arrival: Arrival,
): ProblemCode | undefined {
  const certificate = registry.certificate(arrival.certificateHash);
  if (certificate?.deviceId !== arrival.deviceId) return "certificate-unknown";
  if (arrival.receivedMs >= certificate.notAfterMs) return "certificate-expired";
  const state = registry.device(arrival.deviceId)?.state;
  if (state === "suspended") return "device-suspended";
  if (state === "revoked") return "device-revoked";
  return state === "enrolled" || state === "quarantined" ? undefined : "certificate-unknown";
}

/** Openings first finish, since what follows them is sealed in their session; the rest goes together. */
async function judgeInTurn(
  parts: Parts,
  arrival: Arrival,
  items: readonly PayloadItem[],
): Promise<ItemVerdict[]> {
  const under: Promise<ItemVerdict>[] = [];
  for (const item of items) {
    const verdict = judgeItem(parts, arrival, item);
    under.push(verdict);
    if (item.kind === "opening") await verdict;
  }
  return Promise.all(under);
}

/** What follows each durable commit; nothing here can refuse any more. */
function afterCommit(
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

function noteRefusal(
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

async function chainState(
  o: { database: IngestDatabase; book: SessionBook },
  deviceId: string,
  sessionId: string,
): Promise<RangeState[]> {
  const live = o.book.get(sessionId);
  const row = live ? undefined : await sessionRow(o.database, deviceId, sessionId);
  const ranges = live?.ranges ?? (row && NumberRanges.decode(row.ranges));
  const first = live?.firstNumber ?? row?.firstNumber;
  if (!ranges || first === undefined || (live && live.deviceId !== deviceId)) return [];
  return chainRanges(ranges, first, await gapsOf(o.database, deviceId));
}
