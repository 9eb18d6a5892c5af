/** Who may see what: people, care teams, sign-in, and `authorize`, the only way to a `Permit`. */
import type { FastifyRequest } from "fastify";
import type { AccessRequest, Denial } from "./authorize.ts";
import type { Permit } from "./permit.ts";
import type { Principal, Role } from "./principal.ts";

export interface Person {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  readonly active: boolean;
}

/** Per-person settings of the console. */
export interface Preferences {
  readonly glucoseUnit: "mg/dL" | "mmol/L";
  readonly temperatureUnit: "Cel" | "[degF]";
  readonly weightUnit: "kg" | "[lb_av]";
  readonly theme: "system" | "light" | "dark";
  readonly locale: string;
}

export interface Access {
  /** @returns a live permit, after its durable audit entry; or a denial, after its entry too. */
  authorize(request: AccessRequest): Promise<Permit | Denial>;
  /** As `authorize`, for code whose only answer to a denial is to refuse. @throws Problem "not-found". */
  permit(request: AccessRequest): Promise<Permit>;
  /** Ends a lease early, with its closing entry. */
  release(permit: Permit): Promise<void>;
  /** Patients whose care team the person is on, now. */
  patientsOf(principal: Principal): Promise<string[]>;
  /** Cookie or bearer token → who asks. @throws Problem "not-signed-in". */
  authenticate(request: FastifyRequest): Promise<Principal>;
  createPerson(o: { name: string; role: Exclude<Role, "service"> }): Promise<Person>;
  person(personId: string): Promise<Person | undefined>;
  people(): Promise<Person[]>;
  changeRole(personId: string, role: Exclude<Role, "service">): Promise<void>;
  /** Ends every session, token and permit of the person, at once. */
  deactivate(personId: string): Promise<void>;
  addToCareTeam(personId: string, patientId: string): Promise<void>;
  removeFromCareTeam(personId: string, patientId: string): Promise<void>;
  /** A sign-in link's secret: put it in a URL fragment; it works once, 15 minutes long. */
  createSignInLink(personId: string): Promise<{ secret: string; expiresMs: number }>;
  /** A bearer token for FHIR clients and the command line. */
  createToken(personId: string): Promise<{ token: string; expiresMs: number }>;
  preferences(personId: string): Promise<Preferences>;
  savePreferences(personId: string, preferences: Preferences): Promise<void>;
  /** Ends every permit and waits for the closing entries. */
  close(): Promise<void>;
}
