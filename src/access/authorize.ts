/**
 * The one door to a patient's readings: decide → durable audit entry → mint → closing entry.
 * Denied by default; unknown and forbidden patients look alike and take the same logged path.
 */
import type { Action, Compartment, Permit, Purpose } from "./permit.ts";
import type { Principal } from "./principal.ts";

export interface AccessRequest {
  readonly principal: Principal;
  readonly patientId: string;
  readonly purpose: Purpose;
  readonly categories: readonly Compartment[] | "all";
  readonly action: Action;
}

/** A refusal, as a value. `problem` is all the caller may learn; the audit entry knows the reason. */
export interface Denial {
  readonly denied: true;
  readonly problem: "not-found";
}

export type Authorize = (request: AccessRequest) => Promise<Permit | Denial>;
