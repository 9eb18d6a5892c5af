/**
 * Fills an empty platform with the demonstration: staff, the ward's people, and a claim for each
 * device. By public doors only: the operator socket and FHIR. Done once; what is done is remembered
 * step by step, so that an interrupted start goes on where it stopped.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ask } from "./operator.ts";
import { ASSIGNED_BEFORE_MS, type DemoPerson, type Place, WARD } from "./ward.ts";

export const STAFF = [
  { role: "doctor", name: "Dr Ingrid Halvorsen" },
  { role: "nurse", name: "Nurse Tomás Riquelme" },
  { role: "administrator", name: "Administrator Wei-Ling Chua" },
] as const;

/** Where somebody lies, as extensions of the Patient; and the ward's own numbers for its people. */
const WARD_EXTENSION = "https://vitalward.example/ward";
const BED_EXTENSION = "https://vitalward.example/bed";
const NUMBER_SYSTEM = "https://vitalward.example/demonstration-number";

interface Done {
  staff: Record<string, string>;
  patients: Record<string, string>;
  /** Device key → device id, once it was claimed. */
  claimed: Record<string, string>;
}

export interface Claim {
  readonly deviceKey: string;
  readonly claimCode: string;
}

/** @param o.folder where the demonstration remembers; @param o.enrolled device keys with an identity.
 * @returns claims for devices that have no identity yet. */
export async function provision(o: {
  dataDir: string;
  folder: string;
  httpUrl: string;
  enrolled: ReadonlySet<string>;
  nowMs: number;
}): Promise<Claim[]> {
  mkdirSync(o.folder, { recursive: true, mode: 0o700 });
  const file = join(o.folder, "provisioned.json");
  const done: Done = existsSync(file)
    ? (JSON.parse(readFileSync(file, "utf8")) as Done)
    : { staff: {}, patients: {}, claimed: {} };
  const remember = () => {
    writeFileSync(`${file}.new`, JSON.stringify(done), { mode: 0o600, flush: true });
    renameSync(`${file}.new`, file);
  };
  for (const { role, name } of STAFF) {
    if (done.staff[role] !== undefined) continue;
    const person = await ask<{ id: string }>(o.dataDir, { ask: "create-person", name, role });
    done.staff[role] = person.id;
    remember();
  }
  await admitEverybody(o, done, remember);
  return claimDevices(o, done, remember);
}

async function admitEverybody(
  o: { dataDir: string; httpUrl: string },
  done: Done,
  remember: () => void,
): Promise<void> {
  const missing = WARD.filter((person) => done.patients[person.key] === undefined);
  if (missing.length === 0) return;
  const doctor = done.staff.doctor;
  const { token } = await ask<{ token: string }>(o.dataDir, { ask: "token", as: doctor });
  for (const person of missing) {
    const patientId = await register(o.httpUrl, token, person);
    await ask(o.dataDir, { ask: "care-team", as: done.staff.nurse, patientId });
    done.patients[person.key] = patientId;
    remember();
  }
}

async function register(httpUrl: string, token: string, person: DemoPerson): Promise<string> {
  const response = await fetch(`${httpUrl}/fhir/R4/Patient`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/fhir+json" },
    body: JSON.stringify({
      resourceType: "Patient",
      active: true,
      identifier: [{ system: NUMBER_SYSTEM, value: person.key }],
      extension: placeOf(person.place),
      name: [{ use: "official", family: person.family, given: [person.given] }],
      gender: person.sex,
      birthDate: person.birthDate,
    }),
  });
  if (response.status !== 201) throw new Error(`registering a patient: ${await response.text()}`);
  return ((await response.json()) as { id: string }).id;
}

function placeOf(place: Place): { url: string; valueString: string }[] {
  if (place.kind === "home") return [{ url: WARD_EXTENSION, valueString: "Home" }];
  return [
    { url: WARD_EXTENSION, valueString: place.ward },
    { url: BED_EXTENSION, valueString: place.bed },
  ];
}

async function claimDevices(
  o: { dataDir: string; enrolled: ReadonlySet<string>; nowMs: number },
  done: Done,
  remember: () => void,
): Promise<Claim[]> {
  const claims: Claim[] = [];
  for (const person of WARD) {
    for (const device of person.devices) {
      if (o.enrolled.has(device.key)) continue;
      const claim = await ask<{ deviceId: string; claimCode: string }>(o.dataDir, {
        ask: "claim",
        label: device.label,
        kind: device.kind,
        note: device.note,
        patientId: done.patients[person.key],
        assignedFromMs: o.nowMs - ASSIGNED_BEFORE_MS,
      });
      done.claimed[device.key] = claim.deviceId;
      claims.push({ deviceKey: device.key, claimCode: claim.claimCode });
    }
  }
  remember();
  return claims;
}
