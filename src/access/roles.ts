/**
 * In which capacity people and services act, in the words of published terminologies where these have
 * one (docs/policies.md shows the table).
 */
export interface RoleTerm {
  readonly system: string;
  readonly code: string;
}

const TERMINOLOGY = "http://terminology.hl7.org/CodeSystem";
const OWN = "https://vitalward.example/fhir/CodeSystem/role";

/** Roles of people. HL7 has no code for an officer of privacy, an auditor, or one who cares for
 * devices or for the system; those are ours. */
export const POLICY_ROLES = {
  patient: { system: `${TERMINOLOGY}/v3-RoleClass`, code: "PAT" },
  relative: { system: `${TERMINOLOGY}/v3-RoleCode`, code: "FAMMEMB" },
  guardian: { system: `${TERMINOLOGY}/v3-RoleCode`, code: "GUARD" },
  clinician: { system: `${TERMINOLOGY}/practitioner-role`, code: "doctor" },
  nurse: { system: `${TERMINOLOGY}/practitioner-role`, code: "nurse" },
  researcher: { system: `${TERMINOLOGY}/practitioner-role`, code: "researcher" },
  "device-engineer": { system: OWN, code: "device-engineer" },
  "privacy-officer": { system: OWN, code: "privacy-officer" },
  administrator: { system: OWN, code: "administrator" },
  auditor: { system: OWN, code: "auditor" },
} as const satisfies Record<string, RoleTerm>;
export type PolicyRole = keyof typeof POLICY_ROLES;

/** The platform's own services, which ask like anybody else. */
export const SERVICE_NAMES = ["alerting", "maintenance", "research-release"] as const;
export type ServiceName = (typeof SERVICE_NAMES)[number];
