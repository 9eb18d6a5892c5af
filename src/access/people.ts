/** Staff and care teams: PostgreSQL keeps them, memory answers; memory changes after each commit. */
import type { Clock } from "../clock.ts";
import { diagnostics } from "../diagnostics.ts";
import type { Database } from "../postgres/database.ts";
import { Problem } from "../problems.ts";
import type { SealedFields } from "../sealed-fields.ts";
import { DEFAULT_PREFERENCES, type Person, type Preferences } from "./access.ts";
import type { StaffRole } from "./principal.ts";
import { peopleTables } from "./tables.ts";

export class People {
  readonly #database: Database;
  readonly #fields: SealedFields;
  readonly #clock: Clock;
  readonly #tables: ReturnType<typeof peopleTables>;
  readonly #people = new Map<string, Person>();
  readonly #preferences = new Map<string, Preferences>();
  /** person → patients */
  readonly #patients = new Map<string, Set<string>>();

  constructor(database: Database, fields: SealedFields, clock: Clock) {
    this.#database = database;
    this.#fields = fields;
    this.#clock = clock;
    this.#tables = peopleTables(database.tenantId);
  }

  async load(): Promise<void> {
    const rows = await this.#database.transaction((client) => this.#tables.load(client));
    for (const row of rows.people) {
      const { name } = JSON.parse(this.#fields.open(`person/${row.person_id}`, row.sealed)) as {
        name: string;
      };
      const { person_id: id, role, active } = row;
      this.#people.set(id, { id, name, role, active });
    }
    for (const row of rows.preferences) {
      try {
        const kept = this.#fields.open(`preference/${row.person_id}`, row.sealed);
        this.#preferences.set(row.person_id, JSON.parse(kept) as Preferences);
      } catch (error) {
        // Not worth a closed door: the person gets the defaults.
        diagnostics.warn({ fault: (error as Error).name }, "kept preferences do not open");
      }
    }
    for (const row of rows.careTeam) this.#patientsOf(row.person_id).add(row.patient_id);
  }

  #patientsOf(personId: string): Set<string> {
    const patients = this.#patients.get(personId) ?? new Set();
    this.#patients.set(personId, patients);
    return patients;
  }

  get(personId: string): Person | undefined {
    return this.#people.get(personId);
  }
  all(): Person[] {
    return [...this.#people.values()];
  }
  /** @throws Problem "not-found". */
  need(personId: string): Person {
    const person = this.#people.get(personId);
    if (person === undefined) throw new Problem("not-found");
    return person;
  }
  isOnCareTeam(personId: string, patientId: string): boolean {
    return this.#patients.get(personId)?.has(patientId) ?? false;
  }
  patientsOf(personId: string): string[] {
    return [...(this.#patients.get(personId) ?? [])];
  }
  preferences(personId: string): Preferences {
    return this.#preferences.get(personId) ?? DEFAULT_PREFERENCES;
  }

  async create(o: { name: string; role: StaffRole }): Promise<Person> {
    const person: Person = { id: this.#clock.uuid(), name: o.name, role: o.role, active: true };
    const sealed = this.#fields.seal(`person/${person.id}`, JSON.stringify({ name: o.name }));
    const { id: personId, role } = person;
    await this.#database.transaction((client) =>
      this.#tables.addPerson(client, { personId, role, sealed, nowMs: this.#nowMs() }),
    );
    this.#people.set(person.id, person);
    return person;
  }

  async change(personId: string, to: { role?: StaffRole; active?: boolean }): Promise<void> {
    const changed = { ...this.need(personId), ...to };
    const { role, active } = changed;
    await this.#database.transaction((client) =>
      this.#tables.changePerson(client, { personId, role, active }),
    );
    this.#people.set(personId, changed);
  }

  async savePreferences(personId: string, preferences: Preferences): Promise<void> {
    this.need(personId);
    const sealed = this.#fields.seal(`preference/${personId}`, JSON.stringify(preferences));
    await this.#database.transaction((client) =>
      this.#tables.savePreferences(client, personId, sealed),
    );
    this.#preferences.set(personId, preferences);
  }

  async join(personId: string, patientId: string): Promise<void> {
    this.need(personId);
    if (this.isOnCareTeam(personId, patientId)) return;
    await this.#database.transaction((client) =>
      this.#tables.joinCareTeam(client, { personId, patientId, nowMs: this.#nowMs() }),
    );
    this.#patientsOf(personId).add(patientId);
  }

  async leave(personId: string, patientId: string): Promise<void> {
    this.need(personId);
    await this.#database.transaction((client) =>
      this.#tables.leaveCareTeam(client, { personId, patientId, nowMs: this.#nowMs() }),
    );
    this.#patientsOf(personId).delete(patientId);
  }

  #nowMs(): number {
    return Math.floor(this.#clock.nowMs());
  }
}
