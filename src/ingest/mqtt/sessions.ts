/** Sessions by key: resumed, taken over, ended; and the wills that become due with them. */
import type { Clock } from "../../clock.ts";
import { Problem } from "../../problems.ts";
import { Outbox } from "./outbox.ts";
import type { Role } from "./role.ts";
import { type LiveConnection, neverExpires, type Session } from "./session.ts";

export class Sessions {
  readonly #role: Role;
  readonly #clock: Clock;
  readonly #byKey = new Map<string, Session>();

  constructor(role: Role, clock: Clock) {
    this.#role = role;
    this.#clock = clock;
  }

  get(key: string): Session | undefined {
    return this.#byKey.get(key);
  }

  get count(): number {
    return this.#byKey.size;
  }

  all(): IterableIterator<Session> {
    return this.#byKey.values();
  }

  /** The session for a new connection. A live connection of the same key ends first [MQTT-3.1.4-3].
   * @throws Problem "door-full" when `sessionsMax` sessions exist. */
  open(
    key: string,
    cleanStart: boolean,
    live: LiveConnection,
  ): { session: Session; present: boolean } {
    this.#byKey.get(key)?.live?.end("session-taken-over");
    let session = this.#byKey.get(key);
    if (
      session &&
      session.endsAtMs !== undefined &&
      session.endsAtMs <= this.#clock.monotonicMs()
    ) {
      this.#finish(session);
      session = undefined;
    }
    if (session && cleanStart) {
      this.#finish(session); // [MQTT-3.1.2-4]; its will is due, as the session ends [MQTT-3.1.3-9]
      session = undefined;
    }
    const present = session !== undefined;
    if (session === undefined) {
      if (this.#byKey.size >= this.#role.settings.sessionsMax) throw new Problem("door-full");
      session = this.#create(key);
      this.#byKey.set(key, session);
    }
    session.live = live;
    session.endsAtMs = undefined;
    session.will = undefined; // reconnected in time: the delayed will is not sent [MQTT-3.1.3-9]
    return { session, present };
  }

  #create(key: string): Session {
    return {
      key,
      outbox: new Outbox(this.#role.settings.queueMax, () => this.#clock.monotonicMs()),
      subscriptions: new Map(),
      received: new Map(),
      live: undefined,
      expiryS: 0,
      endsAtMs: undefined,
      will: undefined,
    };
  }

  /** The connection is gone; the session lives on for its expiry. */
  leave(session: Session): void {
    session.live = undefined;
    session.outbox.detach();
    if (session.will && session.will.atMs <= this.#clock.monotonicMs()) this.#publishWill(session);
    if (session.expiryS === 0) this.#finish(session);
    else if (session.expiryS !== neverExpires) {
      session.endsAtMs = this.#clock.monotonicMs() + session.expiryS * 1000;
    }
  }

  /** Ends what is overdue; called a few times a second. */
  sweep(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const session of this.#byKey.values()) {
      if (session.will && session.will.atMs <= nowMs) this.#publishWill(session);
      if (session.endsAtMs !== undefined && session.endsAtMs <= nowMs) this.#finish(session);
    }
  }

  #finish(session: Session): void {
    this.#publishWill(session);
    if (this.#byKey.get(session.key) === session) this.#byKey.delete(session.key);
  }

  #publishWill(session: Session): void {
    const will = session.will;
    if (!will) return;
    session.will = undefined;
    this.#role.publishWill(session, will.message);
  }
}
