/** Patient: demographics, opened under a permit like any reading. */
import type { Patient } from "@medplum/fhirtypes";
import type { Access } from "../access/access.ts";
import { Permit } from "../access/permit.ts";
import type { Principal } from "../access/principal.ts";
import type { Clock } from "../clock.ts";
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import type {
  ResourceJson,
  Resources,
  ResourceWrite,
  SearchValue,
  StoredResource,
} from "../store/resources.ts";
import { validatePatient } from "./validate.ts";

/** How the demographics of a patient are found again: the columns of `searchValuesOf`. */
export const PATIENT_COLUMNS = {
  identifier: "identifier",
  family: "family",
  birthDate: "birth-date",
};

/** Names are found by their first letters, births by the month: candidates, to be compared when opened. */
const FAMILY_LETTERS = 3;

/** What a stored Patient can be found by. */
export function searchValuesOf(patient: Patient): { tokens: SearchValue[]; hints: SearchValue[] } {
  const tokens = (patient.identifier ?? []).flatMap(({ system, value }) =>
    value === undefined
      ? []
      : [{ column: PATIENT_COLUMNS.identifier, value: `${system ?? ""}|${value}` }],
  );
  const hints = [
    ...(patient.name ?? []).flatMap(({ family }) =>
      family === undefined ? [] : [familyHint(family)],
    ),
    ...(patient.birthDate === undefined ? [] : [birthHint(patient.birthDate)]),
  ];
  return { tokens, hints };
}

function familyHint(family: string): SearchValue {
  return { column: PATIENT_COLUMNS.family, value: folded(family).slice(0, FAMILY_LETTERS) };
}

function birthHint(date: string): SearchValue {
  return { column: PATIENT_COLUMNS.birthDate, value: date.slice(0, 7) };
}

/** Without case and accents (FHIR R4 §3.1.1.4.8). */
function folded(text: string): string {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

export interface PatientQuery {
  readonly identifier?: string;
  readonly family?: string;
  readonly birthDate?: string;
  readonly count: number;
}

/** @throws Problem "search-not-understood". */
export function parsePatientSearch(queryString: string): PatientQuery {
  const given = new URLSearchParams(queryString);
  const query: { -readonly [K in keyof PatientQuery]: PatientQuery[K] } = {
    count: limits.searchPageDefault,
  };
  for (const [name, value] of given) {
    if (name === "identifier") query.identifier = value;
    else if (name === "family" && value.length >= FAMILY_LETTERS) query.family = value;
    else if (name === "birthdate" && /^\d{4}-\d{2}-\d{2}$/.test(value)) query.birthDate = value;
    else if (name === "_count" && /^\d{1,6}$/.test(value)) {
      query.count = Math.min(Number(value), limits.searchPageMax);
    } else if (name !== "_format") {
      throw new Problem("search-not-understood", {
        detail:
          "Patient takes identifier, family (three letters or more), birthdate (a day) and _count",
      });
    }
  }
  return query;
}

export class Patients {
  readonly #access: Access;
  readonly #resources: Resources;
  readonly #clock: Clock;

  constructor(o: { access: Access; resources: Resources; clock: Clock }) {
    this.#access = o.access;
    this.#clock = o.clock;
    this.#resources = o.resources;
  }

  /** @throws Problem "not-found": absent and forbidden look alike. */
  async read(principal: Principal, patientId: string, version?: number): Promise<StoredResource> {
    const permit = await this.#access.permit({
      principal,
      patientId,
      purpose: "TREAT",
      categories: ["demographics"],
      action: "read",
    });
    const stored = await this.#stored(permit, version);
    if (stored === undefined || stored.deleted) throw new Problem("not-found");
    return stored;
  }

  /** Registers a new patient. A nurse or doctor who does so is on the care team from then on.
   * @throws FhirRefusal "resource-invalid"; Problem "forbidden" for who may not register anybody. */
  async register(principal: Principal, body: unknown): Promise<StoredResource> {
    const patient: Patient = { ...validatePatient(body) };
    delete patient.id; // ours to give
    if (principal.kind !== "person") throw new Problem("forbidden");
    const patientId = this.#clock.uuid();
    await this.#access.recordChange(principal, "register-patient", {
      subjectId: patientId,
      patientId,
    });
    const write: ResourceWrite = {
      patientId,
      compartment: "demographics",
      id: patientId,
      timeMs: this.#clock.nowMs(),
      resource: patient as unknown as ResourceJson,
      expectedVersion: 0,
      ...searchValuesOf(patient),
    };
    const version = await this.#resources.put(write);
    if (principal.role !== "administrator") {
      await this.#access.addToCareTeam(principal.id, patientId);
    }
    return { ...write, ...version, deleted: false };
  }

  /** Among the patients whose care team the person is on. Each one opened has its own permit. */
  async search(principal: Principal, query: PatientQuery): Promise<StoredResource[]> {
    const mine = await this.#access.patientsOf(principal);
    const narrowed = await this.#narrowed(mine, query);
    const found: StoredResource[] = [];
    for (const patientId of narrowed) {
      if (found.length >= query.count) break;
      const answer = await this.#access.authorize({
        principal,
        patientId,
        purpose: "TREAT",
        categories: ["demographics"],
        action: "search",
      });
      if (!Permit.is(answer)) continue; // the care team changed meanwhile
      const stored = await this.#stored(answer);
      if (stored !== undefined && !stored.deleted && isMatch(stored, query)) found.push(stored);
    }
    return found;
  }

  async #stored(permit: Permit, version?: number): Promise<StoredResource | undefined> {
    const of = { resourceType: "Patient", id: permit.patientId };
    return this.#resources.get(permit, version === undefined ? of : { ...of, version });
  }

  /** Candidates by token, so that only those are opened. */
  async #narrowed(mine: readonly string[], query: PatientQuery): Promise<string[]> {
    const hints = [
      ...(query.family === undefined ? [] : [familyHint(query.family)]),
      ...(query.birthDate === undefined ? [] : [birthHint(query.birthDate)]),
    ];
    const tokens =
      query.identifier === undefined
        ? []
        : [{ column: PATIENT_COLUMNS.identifier, value: query.identifier }];
    if (hints.length + tokens.length === 0) return [...mine];
    const candidates = await this.#resources.candidates({
      resourceType: "Patient",
      tokens,
      hints,
      limit: limits.searchPageMax,
    });
    const found = new Set(candidates.map((one) => one.patientId));
    return mine.filter((patientId) => found.has(patientId));
  }
}

function isMatch(stored: StoredResource, query: PatientQuery): boolean {
  const patient = stored.resource as unknown as Patient;
  const family = query.family === undefined ? undefined : folded(query.family);
  return (
    (family === undefined ||
      (patient.name ?? []).some((name) => folded(name.family ?? "").startsWith(family))) &&
    (query.birthDate === undefined || patient.birthDate === query.birthDate) &&
    (query.identifier === undefined ||
      (patient.identifier ?? []).some(
        ({ system, value }) => `${system ?? ""}|${value ?? ""}` === query.identifier,
      ))
  );
}

/** A stored Patient as it leaves. */
export function toPatient(stored: StoredResource): Patient {
  const patient = stored.resource as unknown as Patient;
  return {
    ...patient,
    id: stored.patientId,
    meta: {
      ...patient.meta,
      versionId: String(stored.version),
      lastUpdated: new Date(stored.writtenMs).toISOString(),
    },
  };
}
