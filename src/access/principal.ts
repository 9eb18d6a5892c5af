/** Who asks. Made by `session.ts` from a cookie or a bearer token, or by the platform for its own services. */

export type Role = "nurse" | "doctor" | "administrator" | "service";
/** Roles of people. */
export const STAFF_ROLES = ["nurse", "doctor", "administrator"] as const satisfies Role[];
export type StaffRole = (typeof STAFF_ROLES)[number];

export interface Principal {
  readonly kind: "person" | "service";
  /** Person id, or the service's name ("alerting", "maintenance"). */
  readonly id: string;
  readonly role: Role;
  /** The sign-in or bearer token this request came with; ending it ends its permits. */
  readonly sessionId?: string;
  /** Signed in by cookie (console) or bearer token (FHIR clients, the command line). */
  readonly means?: "cookie" | "bearer";
}

/** A service of the platform as a principal: services ask for permits like anybody else. */
export function servicePrincipal(id: "alerting" | "maintenance"): Principal {
  return { kind: "service", id, role: "service" };
}
