/** Who may see what: people, care teams, sign-in, and `authorize`, the only way to a `Permit`. */
import type { FastifyRequest } from "fastify";
import type { AccessRequest, Denial } from "./authorize.ts";
import type { Permit } from "./permit.ts";
import type { Principal, StaffRole } from "./principal.ts";

export interface Person {
  readonly id: string;
  readonly name: string;
  readonly role: StaffRole;
  readonly active: boolean;
}

/** Per-person settings of the console. */
export interface Preferences {
  readonly glucoseUnit: "mg/dL" | "mmol/L";
  readonly temperatureUnit: "Cel" | "[degF]";
  readonly weightUnit: "kg" | "[lb_av]";
  readonly theme: "system" | "light" | "dark";
  /** BCP 47 tag for numbers and dates; "auto" follows the browser. */
  readonly locale: string;
}

export interface Access {
  /** @returns a live permit, after its durable audit entry; or a denial, after its entry too. */
  authorize(request: AccessRequest): Promise<Permit | Denial>;
  /** As `authorize`, for code whose only answer to a denial is to refuse. @throws Problem "not-found". */
  permit(request: AccessRequest): Promise<Permit>;
  /** Gives a lease back early, once for each time it was given; the last one ends it, with its closing entry. */
  release(permit: Permit): void;
  /** Patients whose care team the person is on, now. */
  patientsOf(principal: Principal): Promise<string[]>;
  /** Cookie or bearer token → who asks. @throws Problem "not-signed-in". */
  authenticate(request: FastifyRequest): Promise<Principal>;
  createPerson(o: { name: string; role: StaffRole }): Promise<Person>;
  person(personId: string): Promise<Person | undefined>;
  people(): Promise<Person[]>;
  changeRole(personId: string, role: StaffRole): Promise<void>;
  /** Ends every session, token and permit of the person, at once. */
  deactivate(personId: string): Promise<void>;
  addToCareTeam(personId: string, patientId: string): Promise<void>;
  removeFromCareTeam(personId: string, patientId: string): Promise<void>;
  /** Exchanges a link's secret for a browser session, once.
   * @returns the cookie's value. @throws Problem "sign-in-link-used" (used, expired, unknown: alike). */
  signIn(secret: string): Promise<{ cookie: string; person: Person; expiresMs: number }>;
  /** Ends this session or token, and every permit that rests on it. */
  signOut(principal: Principal): Promise<void>;
  /** Name of the session's cookie: `__Host-` where TLS allows it. */
  readonly cookieName: string;
  /** Writes an administrator's change to the audit, before the change. */
  recordChange(
    by: Principal,
    action: string,
    o: { subjectId: string; patientId?: string },
  ): Promise<void>;
  /** A sign-in link's secret: put it in a URL fragment; it works once, 15 minutes long. */
  createSignInLink(personId: string): Promise<{ secret: string; expiresMs: number }>;
  /** A bearer token for FHIR clients and the command line. */
  createToken(personId: string): Promise<{ token: string; expiresMs: number }>;
  preferences(personId: string): Promise<Preferences>;
  savePreferences(personId: string, preferences: Preferences): Promise<void>;
  /** Ends every permit and waits for the closing entries. */
  close(): Promise<void>;
}

export const DEFAULT_PREFERENCES: Preferences = {
  glucoseUnit: "mg/dL",
  temperatureUnit: "Cel",
  weightUnit: "kg",
  theme: "system",
  locale: "auto",
};
