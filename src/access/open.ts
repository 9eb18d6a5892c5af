/** Access at work: people, sessions and `authorize` behind the one interface of `access.ts`. */
import type { FastifyRequest } from "fastify";
import type { Clock } from "../clock.ts";
import { diagnostics } from "../diagnostics.ts";
import { limits } from "../limits.ts";
import type { Database } from "../postgres/database.ts";
import { Problem } from "../problems.ts";
import { openSealedFields, type Secrets } from "../sealed-fields.ts";
import type { Audit } from "../transparency/audit.ts";
import type { Access, Person, Preferences } from "./access.ts";
import { type AccessRequest, Authorizer, type Denial } from "./authorize.ts";
import { People } from "./people.ts";
import type { Permit } from "./permit.ts";
import type { Principal, StaffRole } from "./principal.ts";
import { type Session, Sessions } from "./session.ts";

export interface AccessOptions {
  readonly database: Database;
  /** `vault.secrets`: the key that seals names and preferences. */
  readonly secrets: Secrets;
  readonly audit: Audit;
  readonly clock: Clock;
  /** Browsers reach this server by https: the cookie is then `__Host-` and Secure. */
  readonly secure: boolean;
}

export async function openAccess(o: AccessOptions): Promise<Access> {
  const fields = await openSealedFields({
    secrets: o.secrets,
    tenantId: o.database.tenantId,
    name: "access",
    clock: o.clock,
  });
  const people = new People(o.database, fields, o.clock);
  const sessions = new Sessions(o.database, fields, o.clock);
  await people.load();
  await sessions.load();
  return new StaffAccess(o, people, sessions);
}

class StaffAccess implements Access {
  readonly cookieName: string;
  readonly #audit: Audit;
  readonly #people: People;
  readonly #sessions: Sessions;
  readonly #authorizer: Authorizer;
  readonly #timer: NodeJS.Timeout;
  #sweeping = Promise.resolve();

  constructor(o: AccessOptions, people: People, sessions: Sessions) {
    this.cookieName = o.secure ? "__Host-vitalward-session" : "vitalward-session";
    this.#audit = o.audit;
    this.#people = people;
    this.#sessions = sessions;
    this.#authorizer = new Authorizer({
      tenantId: o.database.tenantId,
      audit: o.audit,
      clock: o.clock,
      gather: (principal, patientId) => ({
        person: people.get(principal.id),
        sessionIsLive: principal.sessionId !== undefined && sessions.isLive(principal.sessionId),
        isOnCareTeam: people.isOnCareTeam(principal.id, patientId),
        isOrganisation: patientId === o.database.tenantId,
      }),
    });
    this.#timer = setInterval(() => {
      this.#sweeping = this.#sweeping.then(() => this.#sweep());
    }, limits.leaseSweepMs);
    this.#timer.unref();
  }

  async #sweep(): Promise<void> {
    try {
      await this.#authorizer.sweep();
      await this.#sessions.sweep();
    } catch (error) {
      // The database is away: leases still end by the clock, and the next sweep writes what waits.
      diagnostics.warn({ fault: (error as Error).name }, "sweeping leases and sessions failed");
    }
  }

  authorize(request: AccessRequest): Promise<Permit | Denial> {
    return this.#authorizer.authorize(request);
  }
  async permit(request: AccessRequest): Promise<Permit> {
    const verdict = await this.#authorizer.authorize(request);
    if ("denied" in verdict) throw new Problem(verdict.problem);
    return verdict;
  }
  release(permit: Permit): void {
    this.#authorizer.release(permit);
  }
  async patientsOf(principal: Principal): Promise<string[]> {
    return principal.kind === "person" ? this.#people.patientsOf(principal.id) : [];
  }

  async authenticate(request: FastifyRequest): Promise<Principal> {
    const session = this.#sessionOf(request);
    const person = session && this.#people.get(session.personId);
    if (session === undefined || person === undefined || !person.active) {
      throw new Problem("not-signed-in");
    }
    const { id: sessionId, means } = session;
    return { kind: "person", id: person.id, role: person.role, sessionId, means };
  }

  #sessionOf(request: FastifyRequest): Session | undefined {
    const { authorization } = request.headers;
    if (authorization !== undefined) {
      const token = /^Bearer ([A-Za-z0-9_-]{43})$/i.exec(authorization)?.[1];
      return token === undefined ? undefined : this.#sessions.find(token, "bearer");
    }
    const cookie = request.cookies[this.cookieName];
    return cookie === undefined ? undefined : this.#sessions.find(cookie, "cookie");
  }

  async createPerson(o: { name: string; role: StaffRole }): Promise<Person> {
    return this.#people.create(o);
  }
  async person(personId: string): Promise<Person | undefined> {
    return this.#people.get(personId);
  }
  async people(): Promise<Person[]> {
    return this.#people.all();
  }

  async changeRole(personId: string, role: StaffRole): Promise<void> {
    await this.#people.change(personId, { role });
    this.#authorizer.endWhere((permit) => permit.principal.id === personId, "role");
  }

  async deactivate(personId: string): Promise<void> {
    await this.#people.change(personId, { active: false });
    this.#authorizer.endWhere((permit) => permit.principal.id === personId, "role");
    await this.#sessions.endAllOf(personId);
  }

  async addToCareTeam(personId: string, patientId: string): Promise<void> {
    await this.#people.join(personId, patientId);
  }

  async removeFromCareTeam(personId: string, patientId: string): Promise<void> {
    await this.#people.leave(personId, patientId);
    this.#authorizer.endWhere(
      (permit) => permit.principal.id === personId && permit.patientId === patientId,
      "care-team",
    );
  }

  async createSignInLink(personId: string): Promise<{ secret: string; expiresMs: number }> {
    return this.#sessions.createLink(this.#activePerson(personId).id);
  }

  async createToken(personId: string): Promise<{ token: string; expiresMs: number }> {
    const person = this.#activePerson(personId);
    const { token, session } = await this.#sessions.createToken(person.id);
    await this.#recordSignIn(session, person);
    return { token, expiresMs: session.expiresMs };
  }

  #activePerson(personId: string): Person {
    const person = this.#people.need(personId);
    if (!person.active) throw new Problem("not-found");
    return person;
  }

  async signIn(secret: string): Promise<{ cookie: string; person: Person; expiresMs: number }> {
    const { cookie, session } = await this.#sessions.exchangeLink(
      secret,
      (personId) => this.#people.get(personId)?.active ?? false,
    );
    const person = this.#people.need(session.personId);
    await this.#recordSignIn(session, person);
    return { cookie, person, expiresMs: session.expiresMs };
  }

  async #recordSignIn(session: Session, person: Person): Promise<void> {
    await this.#audit.append(undefined, {
      what: "signed-in",
      principalId: person.id,
      role: person.role,
      sessionId: session.id,
      action: session.means,
    });
  }

  async signOut(principal: Principal): Promise<void> {
    const { sessionId } = principal;
    if (sessionId === undefined) return;
    this.#authorizer.endWhere((permit) => permit.principal.sessionId === sessionId, "session");
    await this.#sessions.end(sessionId);
    const { id: principalId, role } = principal;
    await this.#audit.append(undefined, { what: "signed-out", principalId, role, sessionId });
  }

  async recordChange(
    by: Principal,
    action: string,
    o: { subjectId: string; patientId?: string },
  ): Promise<void> {
    await this.#audit.append(o.patientId, {
      what: "changed",
      principalId: by.id,
      role: by.role,
      sessionId: by.sessionId,
      action,
      subjectId: o.subjectId,
    });
  }

  async preferences(personId: string): Promise<Preferences> {
    return this.#people.preferences(personId);
  }
  async savePreferences(personId: string, preferences: Preferences): Promise<void> {
    await this.#people.savePreferences(personId, preferences);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#sweeping;
    await this.#authorizer.close();
    try {
      await this.#sessions.writeSeen();
    } catch (error) {
      // The database went first: after the next start idle times begin a little early.
      diagnostics.warn({ fault: (error as Error).name }, "last uses of sessions were not written");
    }
  }
}
