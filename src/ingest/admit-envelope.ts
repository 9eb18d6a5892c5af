/** Judges one sealed envelope and keeps it: session → decrypt → number unseen? → plausibility → commit. */
import { diagnostics } from "../diagnostics.ts";
import { encodeBatch } from "../envelope/batch.ts";
import { batchLeaf, leafSalt } from "../envelope/block.ts";
import type { Content } from "../envelope/content.ts";
import { parseEnvelope } from "../envelope/envelope.ts";
import { envelopeHash } from "../envelope/session.ts";
import { limits } from "../limits.ts";
import { Problem, type ProblemCode } from "../problems.ts";
import type { Registry } from "../registry/registry.ts";
import type { BlockKeeper } from "./blocks.ts";
import type { Committer } from "./committer.ts";
import type { SecurityEvents } from "./events.ts";
import { insertRefusal, isKnownFork } from "./evidence-tables.ts";
import { HASH_BYTES } from "./journal.ts";
import { marksOf, ownerOf, timeSpan } from "./judge.ts";
import type { LiveSession } from "./live-session.ts";
import { Pending } from "./pending.ts";
import type { SessionBook } from "./session-book.ts";
import type { IngestDatabase } from "./tables.ts";
import type { Arrival } from "./verdict.ts";

export interface EnvelopeVerdict {
  readonly outcome: "admitted" | "duplicate" | "refused";
  readonly problem?: ProblemCode;
  readonly session?: LiveSession;
}

export interface EnvelopeJudgeOptions {
  readonly database: IngestDatabase;
  readonly registry: Pick<Registry, "patientOf" | "device">;
  readonly book: SessionBook;
  readonly blocks: BlockKeeper;
  readonly committer: Committer;
  readonly events: SecurityEvents;
}

const NO_SAMPLES = { clockMs: 0, offsetMs: 0, points: [], waveforms: [] };

export class EnvelopeJudge {
  readonly #o: EnvelopeJudgeOptions;

  constructor(o: EnvelopeJudgeOptions) {
    this.#o = o;
  }

  async judge(arrival: Arrival, bytes: Uint8Array): Promise<EnvelopeVerdict> {
    let session: LiveSession | undefined;
    try {
      const { kid } = parseEnvelope(bytes);
      session = this.#o.book.byKid(arrival.deviceId, kid);
      if (session === undefined) return refused("envelope-refused");
      if (session.keys.oldestEpoch > 0) {
        const place = session.keys.locate(bytes);
        if (place?.settled) return await this.#settled(session, place.sequence, bytes);
      }
      const { content } = session.keys.open(bytes);
      session.firstNumber ??= session.keys.firstSequence;
      session.reply = undefined;
      return await this.#numbered(arrival, session, content, envelopeHash(bytes));
    } catch (error) {
      if (!(error instanceof Problem)) {
        diagnostics.error({ err: error }, "an envelope could not be judged");
        return refused("internal-fault", session);
      }
      if (session && error.code === "batch-refused") {
        return this.#refuseForGood(arrival, session, bytes, error.code);
      }
      return refused(error.code, session);
    }
  }

  /** Its key is forgotten, so it was settled: it can only be a repetition, or nothing of ours. */
  async #settled(
    session: LiveSession,
    number: number | undefined,
    bytes: Uint8Array,
  ): Promise<EnvelopeVerdict> {
    if (number === undefined) return refused("envelope-refused", session);
    await this.#o.book.ensurePage(session, number);
    const hash = envelopeHash(bytes).subarray(0, HASH_BYTES);
    return session.pages.hasHash(number, hash)
      ? { outcome: "duplicate", session }
      : refused("envelope-refused", session);
  }

  /** Number unseen? Then on to the commit; a repetition waits for the first one's commit. */
  async #numbered(
    arrival: Arrival,
    session: LiveSession,
    content: Content,
    hash: Uint8Array,
  ): Promise<EnvelopeVerdict> {
    const number = content.sequence;
    if (session.needsPage(number)) await this.#o.book.ensurePage(session, number);
    const short = hash.subarray(0, HASH_BYTES);
    const flying = session.inFlight.get(number);
    if (flying) {
      const isSame = Buffer.compare(flying.envelopeHash, hash) === 0;
      // The first one's end may be unknown just now: then nobody may say "kept" yet.
      if (!(await flying.settled)) return refused("storage-unavailable", session);
      return isSame
        ? { outcome: "duplicate", session }
        : this.#keep(arrival, session, content, hash, true);
    }
    if (!session.ranges.has(number)) return this.#keep(arrival, session, content, hash, false);
    if (session.pages.hasHash(number, short)) return { outcome: "duplicate", session };
    const refusal = session.refused.find((one) => one.sequence === number);
    if (refusal) return refused(refusal.problem, session);
    const { deviceId, sessionId } = session;
    const known = await isKnownFork(this.#o.database, { deviceId, sessionId, number, hash: short });
    if (known) return { outcome: "duplicate", session };
    return this.#keep(arrival, session, content, hash, true);
  }

  async #keep(
    arrival: Arrival,
    session: LiveSession,
    content: Content,
    hash: Uint8Array,
    isFork: boolean,
  ): Promise<EnvelopeVerdict> {
    if (session.inFlight.size >= limits.deviceInFlightMax) return refused("rate-limited", session);
    const { deviceId, sessionId } = session;
    if (isFork) {
      this.#o.events.note("sequence-forked", deviceId, {
        session: sessionId,
        number: content.sequence,
      });
    }
    const { receivedMs } = arrival;
    const span = content.batch ? timeSpan(content.batch, receivedMs) : noTime(receivedMs);
    const owner = this.#ownerOf(deviceId, content, span);
    if (owner === undefined) return refused("device-unassigned", session);
    if (owner.isDoubtful) {
      this.#o.events.note("assignment-straddled", deviceId, { number: content.sequence });
    }
    const isBarred = this.#o.registry.device(deviceId)?.state === "quarantined";
    const pending = new Pending({
      session,
      content,
      patientId: owner.patientId,
      batch: content.batch ?? { sequence: content.sequence, ...NO_SAMPLES },
      marks: marksOf({
        session,
        number: content.sequence,
        span,
        receivedMs,
        isFork,
        isDoubtful: owner.isDoubtful || isBarred,
      }),
      receivedMs,
      envelopeHash: hash,
      fork: isFork,
      block: content.block && this.#o.blocks.judge(session, content.block),
      leaf: isFork ? undefined : this.#leaf(session, content),
    });
    if (content.batch) session.patientId = owner.patientId;
    const bringsSalt = content.saltKey !== undefined && session.saltKey === undefined && !isFork;
    const problem = await (bringsSalt
      ? this.#commitWithSalt(session, content.saltKey as Uint8Array, pending)
      : this.#o.committer.commit(pending));
    if (problem) return refused(problem, session);
    return { outcome: "admitted", session };
  }

  #ownerOf(
    deviceId: string,
    content: Content,
    span: { readonly fromMs: number; readonly toMs: number },
  ) {
    const owner = ownerOf((atMs) => this.#o.registry.patientOf(deviceId, atMs), span);
    if (owner || content.batch) return owner;
    // Blocks, gaps and closes have no samples: they are taken from a device that is nobody's, too.
    return { patientId: this.#o.database.tenantId, isDoubtful: false };
  }

  #leaf(session: LiveSession, content: Content): Uint8Array | undefined {
    const { batch, sequence } = content;
    if (batch === undefined) return undefined;
    if (session.saltOf) return batchLeaf(session.saltOf(sequence), encodeBatch(batch));
    if (content.saltKey) return batchLeaf(leafSalt(content.saltKey, sequence), encodeBatch(batch));
    if (session.unsalted.size < limits.unsaltedBatchesMax) {
      session.unsalted.set(sequence, encodeBatch(batch));
    }
    return undefined;
  }

  /** The salt key must be durable before the envelope that brought it is acknowledged. */
  #commitWithSalt(
    session: LiveSession,
    saltKey: Uint8Array,
    pending: Pending,
  ): Promise<ProblemCode | undefined> {
    // Held like any number under way, so that a repetition waits for both steps.
    session.inFlight.set(pending.number, pending);
    const outcome = this.#learnSalt(session, saltKey).then(
      () => this.#o.committer.commit(pending),
      (error: unknown) => {
        diagnostics.warn({ err: error }, "a salt key could not be kept");
        session.inFlight.delete(pending.number);
        return "storage-unavailable" as const;
      },
    );
    pending.settled = outcome.then((problem) => problem === undefined);
    return outcome;
  }

  async #learnSalt(session: LiveSession, saltKey: Uint8Array): Promise<void> {
    session.saltKey = saltKey;
    try {
      await this.#o.book.save([session]);
    } catch (error) {
      session.saltKey = undefined;
      throw error;
    }
    for (const [number, batch] of session.unsalted) {
      await this.#o.book.ensurePage(session, number);
      session.pages.addLeaf(number, batchLeaf(leafSalt(saltKey, number), batch));
    }
    session.unsalted.clear();
    session.dirty = true;
  }

  /** It opened, so it is the device's own, but what it holds can never be taken. */
  async #refuseForGood(
    arrival: Arrival,
    session: LiveSession,
    bytes: Uint8Array,
    problem: ProblemCode,
  ): Promise<EnvelopeVerdict> {
    const number = session.keys.locate(bytes)?.sequence;
    if (number === undefined || session.ranges.has(number) || session.inFlight.has(number)) {
      return refused(problem, session);
    }
    const { deviceId, sessionId } = session;
    try {
      await insertRefusal(this.#o.database, {
        deviceId,
        sessionId,
        number,
        problem,
        envelopeHash: envelopeHash(bytes),
        receivedMs: arrival.receivedMs,
      });
    } catch {
      return refused("storage-unavailable", session); // refused again when it comes again
    }
    session.ranges.add(number);
    session.remember({ sequence: number, problem }, limits.receiptRefusedMax);
    session.dirty = true;
    return refused(problem, session);
  }
}

function noTime(receivedMs: number) {
  return { fromMs: receivedMs, toMs: receivedMs };
}

function refused(problem: ProblemCode, session?: LiveSession): EnvelopeVerdict {
  return session ? { outcome: "refused", problem, session } : { outcome: "refused", problem };
}
