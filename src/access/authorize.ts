/**
 * The one door to a patient's readings: decide → durable audit entry → mint → closing entry.
 * Denied by default; unknown and forbidden patients look alike and take the same logged path.
 */
import type { Clock } from "../clock.ts";
import { counter, diagnostics } from "../diagnostics.ts";
import { RateLimit } from "../http/rate-limit.ts";
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import type { Audit, AuditStatement } from "../transparency/audit.ts";
import { type Circumstances, type Decision, decide } from "./decide.ts";
import { Leases } from "./leases.ts";
import {
  type Action,
  type Compartment,
  type Ending,
  type Permit,
  type Purpose,
  takeMint,
} from "./permit.ts";
import type { Principal } from "./principal.ts";

const mint = takeMint();

export interface AccessRequest {
  readonly principal: Principal;
  readonly patientId: string;
  readonly purpose: Purpose;
  readonly categories: readonly Compartment[] | "all";
  readonly action: Action;
  /** A lease already held is given again only with more than this left to live; a stream that renews
   * asks for most of a life, so that the new lease outlives the old one. */
  readonly leftMs?: number;
}

/** A refusal, as a value. `problem` is all the caller may learn; the audit entry knows the reason. */
export interface Denial {
  readonly denied: true;
  readonly problem: "not-found";
}

const DENIAL: Denial = Object.freeze({ denied: true, problem: "not-found" });
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const decisions = counter("vitalward_access_decisions_total", "access decisions", ["verdict"]);

/** What `decide` must know about principal and patient, read from memory at the moment of asking. */
export type Gather = (
  principal: Principal,
  patientId: string,
) => Pick<Circumstances, "person" | "sessionIsLive" | "isOnCareTeam" | "isOrganisation">;

export class Authorizer {
  readonly #tenantId: string;
  readonly #audit: Audit;
  readonly #clock: Clock;
  readonly #gather: Gather;
  readonly #leases: Leases;
  readonly #denials: RateLimit;
  /** Questions on their way: the same one asked twice at once gets one entry and one lease. */
  readonly #asked = new Map<string, Promise<Permit | Denial>>();
  /** Closing entries that are not durable yet. */
  #closings: { patientId: string; statement: AuditStatement }[] = [];
  #closing: Promise<void> | undefined;

  constructor(o: { tenantId: string; audit: Audit; clock: Clock; gather: Gather }) {
    this.#tenantId = o.tenantId;
    this.#audit = o.audit;
    this.#clock = o.clock;
    this.#gather = o.gather;
    this.#leases = new Leases(o.clock, (permit, why) => this.#close(permit, why));
    this.#denials = new RateLimit({ perMinute: limits.denialsPerMinute, clock: o.clock });
  }

  authorize(request: AccessRequest): Promise<Permit | Denial> {
    const key = keyOf(request);
    const held = this.#leases.find(key, request.leftMs ?? limits.leaseReuseBeforeEndMs);
    if (held !== undefined) return Promise.resolve(held);
    const asked = this.#asked.get(key);
    if (asked !== undefined) return asked.then((verdict) => this.#share(verdict));
    const answer = this.#ask(key, request).finally(() => this.#asked.delete(key));
    this.#asked.set(key, answer);
    return answer;
  }

  #share(verdict: Permit | Denial): Permit | Denial {
    if (!("denied" in verdict)) this.#leases.hold(verdict);
    return verdict;
  }

  async #ask(key: string, request: AccessRequest): Promise<Permit | Denial> {
    // An id that is none belongs to no patient; it takes the way of every other denial.
    const isPatient = UUID.test(request.patientId);
    const patientId = isPatient ? request.patientId : undefined;
    const decision = this.#decide(request);
    if (!decision.allowed || !isPatient) {
      return this.#deny(request, patientId, decision.allowed ? "no-rule" : decision.reason);
    }
    if (this.#leases.isFull) throw new Problem("rate-limited");
    const id = await this.#audit.append(patientId, {
      ...statementOf(request),
      what: "permitted",
      reason: decision.rule,
    });
    return this.#mint(key, request, id, decision);
  }

  #decide(request: AccessRequest): Decision {
    const { principal, purpose, action, categories } = request;
    return decide({
      principal,
      purpose,
      action,
      categories,
      ...this.#gather(principal, request.patientId),
    });
  }

  async #deny(
    request: AccessRequest,
    patientId: string | undefined,
    reason: string,
  ): Promise<Denial> {
    this.#denials.take(request.principal.id);
    await this.#audit.append(patientId, { ...statementOf(request), what: "denied", reason });
    decisions.inc({ verdict: "denied" });
    return DENIAL;
  }

  #mint(
    key: string,
    request: AccessRequest,
    id: string,
    decision: Decision & { allowed: true },
  ): Permit | Denial {
    const lifeMs = decision.life === "standing" ? limits.alertingPermitLifeMs : limits.permitLifeMs;
    const endsAtMonotonicMs = this.#clock.monotonicMs() + lifeMs;
    const { principal, patientId, purpose, action } = request;
    const categories = request.categories === "all" ? "all" : [...request.categories].sort();
    const minted = mint(
      {
        id,
        tenantId: this.#tenantId,
        patientId,
        principal: Object.freeze({ ...principal }),
        purpose,
        action,
        categories: categories === "all" ? categories : Object.freeze(categories),
        expiresMs: this.#clock.nowMs() + lifeMs,
      },
      () => this.#clock.monotonicMs() >= endsAtMonotonicMs,
    );
    this.#leases.add(key, minted, endsAtMonotonicMs);
    decisions.inc({ verdict: "permitted" });
    // What it rests on may have ended while the entry went to the disk.
    if (this.#decide(request).allowed) return minted.permit;
    this.#leases.end(minted.permit, "session");
    return DENIAL;
  }

  release(permit: Permit): void {
    this.#leases.release(permit);
  }

  endWhere(isMeant: (permit: Permit) => boolean, why: Ending): void {
    this.#leases.endWhere(isMeant, why);
  }

  /** Ends what has run out, what rests on a session that ran out, and writes closing entries. */
  async sweep(): Promise<void> {
    this.#leases.sweep();
    this.#leases.endWhere(
      ({ principal, patientId }) =>
        principal.kind === "person" && !this.#gather(principal, patientId).sessionIsLive,
      "session",
    );
    await this.flush();
  }

  #close(permit: Permit, why: Ending): void {
    if (this.#closings.length >= limits.auditWaitingMax) {
      // The entry stays open, which reads as the whole scope: never less than the truth.
      diagnostics.warn({ permitId: permit.id }, "a closing entry was dropped: the audit is away");
      return;
    }
    const extent = [...permit.extent].map(
      ([category, months]) => [category, months.firstMonth, months.lastMonth] as const,
    );
    const statement: AuditStatement = {
      ...statementOf(permit),
      what: "closed",
      opened: permit.id,
      reason: why,
      extent,
    };
    this.#closings.push({ patientId: permit.patientId, statement });
    void this.flush();
  }

  /** Writes the closing entries that wait; those that fail wait for the next sweep. */
  flush(): Promise<void> {
    this.#closing ??= this.#writeClosings().finally(() => {
      this.#closing = undefined;
    });
    return this.#closing;
  }

  async #writeClosings(): Promise<void> {
    while (this.#closings.length > 0) {
      const closings = this.#closings;
      this.#closings = [];
      const verdicts = await Promise.allSettled(
        closings.map(({ patientId, statement }) => this.#audit.append(patientId, statement)),
      );
      const failed = closings.filter((_, index) => verdicts[index]?.status === "rejected");
      if (failed.length === 0) continue;
      this.#closings = [...failed, ...this.#closings];
      diagnostics.warn({ entries: failed.length }, "closing entries wait: the audit is away");
      return;
    }
  }

  async close(): Promise<void> {
    this.#leases.endWhere(() => true, "closed");
    await this.flush();
  }
}

function keyOf(request: AccessRequest): string {
  const { principal, patientId, purpose, action, categories } = request;
  const scope = categories === "all" ? "all" : [...categories].sort().join();
  const session = principal.sessionId ?? "";
  return [principal.kind, principal.id, session, patientId, purpose, action, scope].join("|");
}

function statementOf(
  of: Pick<AccessRequest, "principal" | "purpose" | "action" | "categories">,
): Omit<AuditStatement, "what"> {
  return {
    principalId: of.principal.id,
    role: of.principal.role,
    sessionId: of.principal.sessionId,
    purpose: of.purpose,
    action: of.action,
    categories: of.categories,
  };
}
