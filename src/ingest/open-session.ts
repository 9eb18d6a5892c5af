/** Judges a session opening: certificate, signature, a session id that was never used, then keys. */
import type { Clock } from "../clock.ts";
import { diagnostics } from "../diagnostics.ts";
import { hex } from "../envelope/envelope.ts";
import { type PlatformIdentity, parseOpening } from "../envelope/opening.ts";
import { acceptOpening } from "../envelope/session.ts";
import { Problem, type ProblemCode } from "../problems.ts";
import type { Registry } from "../registry/registry.ts";
import { sha256 } from "../transparency/tree.ts";
import type { LiveSession } from "./live-session.ts";
import type { Prekeys } from "./prekeys.ts";
import type { DeviceRates } from "./rates.ts";
import type { SessionBook } from "./session-book.ts";
import { type IngestDatabase, sessionRow } from "./tables.ts";

export interface OpeningVerdict {
  readonly outcome: "admitted" | "duplicate" | "refused";
  readonly problem?: ProblemCode;
  readonly session?: LiveSession;
  /** The signed reply, and fresh prekeys. */
  readonly downlink: readonly Uint8Array[];
}

export interface OpeningJudgeOptions {
  readonly database: IngestDatabase;
  readonly registry: Pick<Registry, "certificate" | "device">;
  readonly book: SessionBook;
  readonly prekeys: Prekeys;
  readonly identity: PlatformIdentity;
  readonly rates: DeviceRates;
  readonly clock: Clock;
  readonly storeEpoch: () => number;
}

export class OpeningJudge {
  readonly #o: OpeningJudgeOptions;
  /** One opening of a device at a time: a prekey and a session id are used once. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(o: OpeningJudgeOptions) {
    this.#o = o;
  }

  /** @param deviceId from the connection's certificate: a device opens its own sessions only. */
  judge(deviceId: string, bytes: Uint8Array): Promise<OpeningVerdict> {
    const before = this.#turns.get(deviceId) ?? Promise.resolve();
    const turn = before.then(() => this.#judge(deviceId, bytes));
    const done = turn
      .catch(() => undefined)
      .finally(() => {
        if (this.#turns.get(deviceId) === done) this.#turns.delete(deviceId);
      });
    this.#turns.set(deviceId, done);
    return turn;
  }

  async #judge(deviceId: string, bytes: Uint8Array): Promise<OpeningVerdict> {
    try {
      const opening = parseOpening(bytes);
      const openingHash = hex(sha256(bytes));
      const live = this.#o.book.get(opening.sessionId);
      if (live) return repeated(live, deviceId, openingHash);
      // Before the database is asked: a device's openings must not cost others their turn there.
      if (!this.#o.rates.allowOpening(deviceId)) return refused("rate-limited");
      if (await this.#isUsed(deviceId, opening.sessionId, openingHash)) {
        return refused("opening-replayed");
      }
      const { session: keys, reply } = acceptOpening(bytes, {
        certificateOf: (hash) => this.#certificate(deviceId, hash),
        prekeySecret: (id) => this.#o.prekeys.secretFor(deviceId, id),
        platformIdentity: this.#o.identity,
        nowMs: this.#o.clock.nowMs(),
        storeEpoch: this.#o.storeEpoch(),
        chance: this.#o.clock,
      });
      const nowMs = Math.floor(this.#o.clock.nowMs());
      const session = await this.#o.book.add(
        {
          deviceId,
          sessionId: keys.sessionId,
          certificateHash: opening.certificateHash,
          openingHash,
          suite: keys.suite.name,
          openedMs: nowMs,
          firstNumber: undefined,
          ranges: new Uint8Array(),
          lastMs: nowMs,
          closedAt: undefined,
          previous: undefined,
          standing: this.#standing(deviceId),
          endedMs: undefined,
        },
        keys,
      );
      if (session === undefined) return refused("opening-replayed");
      // First what a repetition is answered with: what follows may fail, and the session is there.
      session.openedOnPrekey = opening.prekeyId !== undefined;
      session.reply = reply.length > 0 ? reply : undefined;
      if (opening.prekeyId) await this.#o.prekeys.destroy(deviceId, opening.prekeyId);
      const prekeys = await this.#o.prekeys.replenish(deviceId);
      const downlink = [reply, prekeys].filter((item) => item.length > 0);
      return { outcome: "admitted", session, downlink };
    } catch (error) {
      return refused(problemOf(error));
    }
  }

  /** A row that is not in memory was used, unless its commit's answer was lost: the same opening
   * then completes it. */
  async #isUsed(deviceId: string, sessionId: string, openingHash: string): Promise<boolean> {
    const row = await sessionRow(this.#o.database, deviceId, sessionId);
    const isHalfDone = row?.openingHash === openingHash && row.endedMs === undefined;
    return row !== undefined && !isHalfDone;
  }

  #certificate(deviceId: string, hash: string) {
    const certificate = this.#o.registry.certificate(hash);
    const nowMs = this.#o.clock.nowMs();
    if (certificate?.deviceId !== deviceId) return undefined;
    if (nowMs < certificate.notBeforeMs || nowMs >= certificate.notAfterMs) return undefined;
    return { deviceId, publicKey: certificate.publicKey };
  }

  /** Doubt about a device does not end with the session it arose in. */
  #standing(deviceId: string) {
    const isQuarantined = this.#o.registry.device(deviceId)?.state === "quarantined";
    return isQuarantined ? "quarantined" : "regular";
  }
}

/** The same opening again, because its answer was lost, gets the same answer while we have it. */
function repeated(live: LiveSession, deviceId: string, openingHash: string): OpeningVerdict {
  if (live.deviceId !== deviceId || live.openingHash !== openingHash) {
    return refused("opening-replayed");
  }
  if (live.reply) return { outcome: "duplicate", session: live, downlink: [live.reply] };
  // On a prekey there is no reply; and a device that sealed an envelope has had it.
  return live.openedOnPrekey || live.firstNumber !== undefined
    ? { outcome: "duplicate", session: live, downlink: [] }
    : refused("opening-replayed");
}

function refused(problem: ProblemCode): OpeningVerdict {
  return { outcome: "refused", problem, downlink: [] };
}

function problemOf(error: unknown): ProblemCode {
  if (!(error instanceof Problem)) {
    diagnostics.error({ err: error }, "an opening could not be judged");
    return "internal-fault";
  }
  return error.code === "keystore-unavailable" ? "storage-unavailable" : error.code;
}
