/**
 * The one function behind all device doors. In order: size → shape → session → decrypt → number
 * unseen? → plausibility → commit → receipt. It answers only after the durable commit; a refusal is a
 * typed verdict, counted and recorded, and harms nothing else in the same arrival.
 *
 * X never happens here: a measured value is dropped for being odd; a sample waits for an earlier one;
 * anything is opened that was stored.
 */
import type { Clock } from "../clock.ts";
import { diagnostics } from "../diagnostics.ts";
import { parseUsualEnvelope } from "../envelope/envelope.ts";
import type { PlatformIdentity } from "../envelope/opening.ts";
import { type PayloadItem, splitPayload } from "../envelope/payload.ts";
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
import { afterCommit, concluded, type ItemVerdict, noteRefusal } from "./concluding.ts";
import { createSecurityEvents, type SecurityEvents } from "./events.ts";
import { gapsOf } from "./evidence-tables.ts";
import { OpeningJudge } from "./open-session.ts";
import { Opener } from "./opener.ts";
import { Prekeys } from "./prekeys.ts";
import { isSigned, type ProofBundle, proofOf, type ReadingName } from "./proof.ts";
import { NumberRanges } from "./ranges.ts";
import { createDeviceRates } from "./rates.ts";
import { ReceiptDesk, type SendDownlink } from "./receipts.ts";
import { currentEpoch, rememberEntry } from "./restore.ts";
import { SessionBook } from "./session-book.ts";
import { Sweeper } from "./sweep.ts";
import { type IngestDatabase, sessionRow } from "./tables.ts";
import type { Admit, AdmitThen, Arrival, Verdict } from "./verdict.ts";

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
