/** Who lies where: from the stored FHIR Patient, opened under a permit that covers demographics. */
import type { Permit } from "../access/permit.ts";
import type { Resources } from "../store/resources.ts";

export const WARD_EXTENSION = "https://vitalward.example/ward";
export const BED_EXTENSION = "https://vitalward.example/bed";

export interface Demographics {
  readonly name: string;
  readonly ward: string;
  /** Empty for people at home. */
  readonly bed: string;
  /** YYYY-MM-DD; empty when not recorded. */
  readonly birthDate: string;
  readonly sex: "male" | "female" | "other" | "unknown";
}

/** The fields of a FHIR R4 Patient that are shown; the stored resource was validated when written. */
interface PatientFields {
  readonly name?: readonly { readonly given?: readonly string[]; readonly family?: string }[];
  readonly birthDate?: string;
  readonly gender?: Demographics["sex"];
  readonly extension?: readonly { readonly url: string; readonly valueString?: string }[];
}

/** @returns undefined when no Patient is stored for the permit's patient. */
export async function demographicsOf(
  resources: Resources,
  permit: Permit,
): Promise<Demographics | undefined> {
  const stored = await resources.get(permit, { resourceType: "Patient", id: permit.patientId });
  if (stored === undefined || stored.deleted) return undefined;
  const patient = stored.resource as PatientFields;
  const name = patient.name?.[0];
  const extension = (url: string) =>
    patient.extension?.find((one) => one.url === url)?.valueString ?? "";
  return {
    name: [...(name?.given ?? []), name?.family ?? ""].join(" ").trim(),
    ward: extension(WARD_EXTENSION),
    bed: extension(BED_EXTENSION),
    birthDate: patient.birthDate ?? "",
    sex: patient.gender ?? "unknown",
  };
}

/** Whole years on that day, UTC; 0 when the birth date is not known. */
export function ageYears(birthDate: string, nowMs: number): number {
  const [year, month, day] = birthDate.split("-").map(Number);
  if (year === undefined || !Number.isInteger(year) || birthDate === "") return 0;
  const now = new Date(nowMs);
  const hadBirthday =
    now.getUTCMonth() + 1 > (month ?? 1) ||
    (now.getUTCMonth() + 1 === (month ?? 1) && now.getUTCDate() >= (day ?? 1));
  return Math.max(0, now.getUTCFullYear() - year - (hadBirthday ? 0 : 1));
}
