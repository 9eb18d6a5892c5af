/** Destroys receive keys and prekeys that have served; forward secrecy is promised from then on. */
import type { Clock } from "../clock.ts";
import { diagnostics } from "../diagnostics.ts";
import { limits } from "../limits.ts";
import type { Committer } from "./committer.ts";
import type { LiveSession } from "./live-session.ts";
import { Overdue } from "./overdue.ts";
import type { Prekeys } from "./prekeys.ts";
import type { SessionBook } from "./session-book.ts";

export class Sweeper {
  readonly #book: SessionBook;
  readonly #prekeys: Prekeys;
  readonly #committer: Committer;
  readonly #clock: Clock;
  /** Past the horizon by the wall clock, which may have jumped. */
  readonly #silent = new Overdue<LiveSession>();
  readonly #timer: NodeJS.Timeout;
  #last: Promise<void> = Promise.resolve();

  constructor(o: { book: SessionBook; prekeys: Prekeys; committer: Committer; clock: Clock }) {
    this.#book = o.book;
    this.#prekeys = o.prekeys;
    this.#committer = o.committer;
    this.#clock = o.clock;
    this.#timer = setInterval(() => {
      this.sweep().catch((error) => diagnostics.warn({ err: error }, "keys wait to be destroyed"));
    }, limits.sessionSweepMs);
    this.#timer.unref();
  }

  sweep(): Promise<void> {
    this.#last = this.#last.catch(() => undefined).then(() => this.#sweep());
    return this.#last;
  }

  async #sweep(): Promise<void> {
    const nowMs = this.#clock.nowMs();
    // A device opens at most `limits.deviceOpeningsPerHour`: between two sweeps it gets not far past the bound.
    const ending = new Set<LiveSession>(this.#book.surplus());
    const silent: LiveSession[] = [];
    for (const session of this.#book.all()) {
      if (session.ended) {
        if (nowMs - session.lastMs > limits.closedSessionGraceMs) this.#book.forget(session);
        continue;
      }
      if (session.inFlight.size > 0) continue;
      if (session.complete && session.blocks.length === 0) ending.add(session);
      else if (nowMs - session.lastMs > limits.spoolHorizonMs) silent.push(session);
    }
    for (const session of this.#silent.look(silent, this.#clock.monotonicMs())) ending.add(session);
    if (ending.size > 0) {
      await this.#committer.fold(); // the ended rows keep the last state of their numbers
      await this.#book.end([...ending]);
    }
    await this.#prekeys.sweep();
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
