/** Judges one sealed envelope and keeps it: session → decrypt → number unseen? → plausibility → commit. */
import { diagnostics } from "../diagnostics.ts";
import { batchLeaf, leafSalt } from "../envelope/block.ts";
import type { ReadContent } from "../envelope/content.ts";
import { type EnvelopeParts, hex, parseEnvelope } from "../envelope/envelope.ts";
import { type EnvelopeLock, envelopeHash } from "../envelope/session.ts";
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
import type { Opener } from "./opener.ts";
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
  readonly opener: Opener;
}

type Done = (verdict: EnvelopeVerdict) => void;

const NO_SAMPLES = { clockMs: 0, offsetMs: 0, points: [], waveforms: [] };

export class EnvelopeJudge {
  readonly #o: EnvelopeJudgeOptions;
  /** Forks on their way, by session, number and hash: each is stored once. */
  readonly #forks = new Map<string, Promise<EnvelopeVerdict>>();

  constructor(o: EnvelopeJudgeOptions) {
    this.#o = o;
  }

  /** Answers by `done`, once, after the durable commit; it must not throw. What is usual needs no
   * promise on its way to the commit: there are tens of thousands a second.
   * @param known the envelope taken apart, where the caller did that. */
  judge(arrival: Arrival, bytes: Uint8Array, done: Done, known?: EnvelopeParts): void {
    let session: LiveSession | undefined;
    let verdict: EnvelopeVerdict | Promise<EnvelopeVerdict> | undefined;
    try {
      const parts = known ?? parseEnvelope(bytes);
      session = this.#o.book.byKid(arrival.deviceId, parts.kid);
      const hasPast = session !== undefined && session.keys.oldestEpoch > 0;
      const place = hasPast ? session?.keys.place(parts) : undefined;
      if (session === undefined) verdict = refused("envelope-refused");
      else if (place?.settled) verdict = this.#settled(session, place.sequence, bytes);
      else {
        const from = session;
        const lock = session.keys.lockOf(parts);
        this.#o.opener.open(lock, bytes, parts.sealed, (plaintext, hash) =>
          this.#opened({ arrival, session: from, bytes, lock, plaintext, hash, done }),
        );
      }
    } catch (error) {
      verdict = this.#failed(arrival, session, bytes, error);
    }
    this.#conclude(arrival, session, bytes, verdict, done);
  }

  /** Goes on with what the opener found. Others may have come before it meanwhile. */
  #opened(o: {
    readonly arrival: Arrival;
    readonly session: LiveSession;
    readonly bytes: Uint8Array;
    readonly lock: EnvelopeLock;
    readonly plaintext: Uint8Array | undefined;
    readonly hash: Uint8Array;
    readonly done: Done;
  }): void {
    const { arrival, session, bytes, hash, done } = o;
    let verdict: EnvelopeVerdict | Promise<EnvelopeVerdict> | undefined;
    try {
      // Its keys were destroyed meanwhile: it came too late.
      if (session.ended) throw new Problem("envelope-refused");
      const read = session.keys.accept(o.lock, o.plaintext);
      session.firstNumber ??= session.keys.firstSequence;
      session.reply = undefined;
      verdict = isUsual(session, read)
        ? this.#keep(arrival, session, read, hash, false, done)
        : this.#numbered(arrival, session, read, hash);
    } catch (error) {
      verdict = this.#failed(arrival, session, bytes, error);
    }
    this.#conclude(arrival, session, bytes, verdict, done);
  }

  #conclude(
    arrival: Arrival,
    session: LiveSession | undefined,
    bytes: Uint8Array,
    verdict: EnvelopeVerdict | Promise<EnvelopeVerdict> | undefined,
    done: Done,
  ): void {
    if (verdict instanceof Promise) {
      verdict.catch((error) => this.#failed(arrival, session, bytes, error)).then(done);
    } else if (verdict) done(verdict);
  }

  #failed(
    arrival: Arrival,
    session: LiveSession | undefined,
    bytes: Uint8Array,
    error: unknown,
  ): EnvelopeVerdict | Promise<EnvelopeVerdict> {
    if (!(error instanceof Problem)) {
      diagnostics.error({ err: error }, "an envelope could not be judged");
      return refused("internal-fault", session);
    }
    if (session && error.code === "batch-refused") {
      return this.#refuseForGood(arrival, session, bytes, error.code);
    }
    return refused(error.code, session);
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
    read: ReadContent,
    hash: Uint8Array,
  ): Promise<EnvelopeVerdict> {
    const number = read.content.sequence;
    const keep = (isFork: boolean) =>
      new Promise<EnvelopeVerdict>((resolve) => {
        const verdict = this.#keep(arrival, session, read, hash, isFork, resolve);
        if (verdict) resolve(verdict);
      });
    if (session.needsPage(number)) await this.#o.book.ensurePage(session, number);
    const short = hash.subarray(0, HASH_BYTES);
    const flying = session.inFlight.get(number);
    if (flying) {
      const isSame = Buffer.compare(flying.envelopeHash, hash) === 0;
      // The first one's end may be unknown just now: then nobody may say "kept" yet.
      if (!(await flying.outcome())) return refused("storage-unavailable", session);
      return isSame
        ? { outcome: "duplicate", session }
        : this.#once(session, number, hash, () => keep(true));
    }
    if (!session.ranges.has(number)) return keep(false);
    if (session.pages.hasHash(number, short)) return { outcome: "duplicate", session };
    const refusal = session.refused.find((one) => one.sequence === number);
    if (refusal) return refused(refusal.problem, session);
    return this.#once(session, number, hash, () => keep(true));
  }

  /** Keeps a fork unless it is kept already or on its way. */
  async #once(
    session: LiveSession,
    number: number,
    hash: Uint8Array,
    keep: () => Promise<EnvelopeVerdict>,
  ): Promise<EnvelopeVerdict> {
    const name = `${session.sessionId} ${number} ${hex(hash)}`;
    const flying = this.#forks.get(name);
    if (flying) {
      const { problem } = await flying;
      return problem ? refused(problem, session) : { outcome: "duplicate", session };
    }
    // What a commit without an answer kept is not known just now.
    if (this.#o.committer.isDoubtful) return refused("storage-unavailable", session);
    if (this.#forks.size >= limits.commitWaitingMax) return refused("rate-limited", session);
    const mine = this.#isKnown(session, number, hash).then((isKnown) =>
      isKnown ? { outcome: "duplicate" as const, session } : keep(),
    );
    this.#forks.set(name, mine);
    return mine.finally(() => this.#forks.delete(name));
  }

  #isKnown({ deviceId, sessionId }: LiveSession, number: number, hash: Uint8Array) {
    const short = hash.subarray(0, HASH_BYTES);
    return isKnownFork(this.#o.database, { deviceId, sessionId, number, hash: short });
  }

  /** Sends it to the commit, after which `done` is told.
   * @returns a verdict where there is no commit; then `done` is not called. */
  #keep(
    arrival: Arrival,
    session: LiveSession,
    read: ReadContent,
    hash: Uint8Array,
    isFork: boolean,
    done: Done,
  ): EnvelopeVerdict | undefined {
    const { content } = read;
    if (session.inFlight.size >= limits.deviceInFlightMax) return refused("rate-limited", session);
    if (!isFork && !session.hasRoomFor(content.sequence)) return refused("rate-limited", session);
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
      leaf: isFork ? undefined : this.#leaf(session, read),
    });
    if (content.batch) session.patientId = owner.patientId;
    const bringsSalt = content.saltKey !== undefined && session.saltKey === undefined && !isFork;
    const committed = (problem: ProblemCode | undefined) =>
      done(problem ? refused(problem, session) : { outcome: "admitted", session });
    if (bringsSalt)
      this.#commitWithSalt(session, content.saltKey as Uint8Array, pending, committed);
    else this.#o.committer.commit(pending, committed);
    return undefined;
  }

  #ownerOf(
    deviceId: string,
    content: ReadContent["content"],
    span: { readonly fromMs: number; readonly toMs: number },
  ) {
    const owner = ownerOf((atMs) => this.#o.registry.patientOf(deviceId, atMs), span);
    if (owner || content.batch) return owner;
    // Blocks, gaps and closes have no samples: they are taken from a device that is nobody's, too.
    return { patientId: this.#o.database.tenantId, isDoubtful: false };
  }

  #leaf(session: LiveSession, { content, batchBytes }: ReadContent): Uint8Array | undefined {
    const { saltKey, sequence } = content;
    if (batchBytes === undefined) return undefined;
    if (session.saltOf) return batchLeaf(session.saltOf(sequence), batchBytes);
    if (saltKey) return batchLeaf(leafSalt(saltKey, sequence), batchBytes);
    if (session.unsalted.size < limits.unsaltedBatchesMax) {
      session.unsalted.set(sequence, new Uint8Array(batchBytes));
    }
    return undefined;
  }

  /** The salt key must be durable before the envelope that brought it is acknowledged. */
  #commitWithSalt(
    session: LiveSession,
    saltKey: Uint8Array,
    pending: Pending,
    done: (problem: ProblemCode | undefined) => void,
  ): void {
    // Held like any number under way, so that a repetition waits for both steps.
    session.inFlight.set(pending.number, pending);
    this.#learnSalt(session, saltKey).then(
      () => this.#o.committer.commit(pending, done),
      (error: unknown) => {
        diagnostics.warn({ err: error }, "a salt key could not be kept");
        session.inFlight.delete(pending.number);
        pending.settle(false);
        done("storage-unavailable");
      },
    );
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
    const isTold =
      number === undefined || session.ranges.has(number) || session.inFlight.has(number);
    if (isTold || !session.hasRoomFor(number)) return refused(problem, session);
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

/** Nothing of that number came before, and nothing must be read from the database to know it. */
function isUsual(session: LiveSession, { content }: ReadContent): boolean {
  const { sequence } = content;
  return (
    !session.inFlight.has(sequence) && !session.ranges.has(sequence) && !session.needsPage(sequence)
  );
}

function noTime(receivedMs: number) {
  return { fromMs: receivedMs, toMs: receivedMs };
}

function refused(problem: ProblemCode, session?: LiveSession): EnvelopeVerdict {
  return session ? { outcome: "refused", problem, session } : { outcome: "refused", problem };
}
