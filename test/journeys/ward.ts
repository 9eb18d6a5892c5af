/** What a person does around a ward, through the public doors: for journeys and fault tests. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { askOperator } from "../../src/cli/operator-client.ts";
import { type Enrolled, enrol } from "../../src/device/index.ts";
import type { RunningPlatform } from "../support/platform.ts";

export interface Ward {
  readonly doctor: Person;
  readonly nurse: Person;
  readonly stranger: Person;
  readonly patientId: string;
}

export interface Person {
  readonly id: string;
  readonly token: string;
}

/** A doctor with one patient, a nurse of the same team, and a nurse who has nothing to do with either. */
export async function fillWard(platform: RunningPlatform): Promise<Ward> {
  const doctor = await hire(platform, "Dr Ada Test", "doctor");
  const nurse = await hire(platform, "Nurse Ben Test", "nurse");
  const stranger = await hire(platform, "Nurse Cleo Test", "nurse");
  const patientId = await registerPatient(platform, doctor.token);
  await askOperator(platform.dataDir, { ask: "care-team", as: nurse.id, patientId });
  return { doctor, nurse, stranger, patientId };
}

export async function hire(
  { dataDir }: RunningPlatform,
  name: string,
  role: "doctor" | "nurse" | "administrator",
): Promise<Person> {
  const { id } = await askOperator<{ id: string }>(dataDir, { ask: "create-person", name, role });
  const { token } = await askOperator<{ token: string }>(dataDir, { ask: "token", as: id });
  return { id, token };
}

export async function registerPatient(
  { url }: RunningPlatform,
  token: string,
  resource: Record<string, unknown> = {},
): Promise<string> {
  const response = await fetch(`${url}/fhir/R4/Patient`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/fhir+json" },
    body: JSON.stringify({
      resourceType: "Patient",
      name: [{ family: "Journey", given: ["Test"] }],
      gender: "other",
      birthDate: "1970-01-01",
      ...resource,
    }),
  });
  if (response.status !== 201) throw new Error(await response.text());
  return ((await response.json()) as { id: string }).id;
}

/** A claim by the operator, then what a device does with it. */
export async function enrolDevice(
  platform: RunningPlatform,
  o: { patientId?: string; label?: string; assignedFromMs?: number } = {},
): Promise<{ identity: Enrolled; prekeys: Uint8Array; deviceId: string }> {
  const { claimCode, deviceId } = await askOperator<{ claimCode: string; deviceId: string }>(
    platform.dataDir,
    { ask: "claim", label: "Test monitor", kind: "patient-monitor", ...o },
  );
  const enrolled = await enrol({
    url: `https://127.0.0.1:${platform.ports.device}`,
    claimCode,
    caPem: readFileSync(join(platform.dataDir, "ca.pem"), "utf8"),
  });
  return { ...enrolled, deviceId };
}

export async function getJson<T>(
  { url }: RunningPlatform,
  path: string,
  token: string,
): Promise<{ status: number; body: T }> {
  const response = await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${token}` } });
  return { status: response.status, body: (await response.json()) as T };
}
