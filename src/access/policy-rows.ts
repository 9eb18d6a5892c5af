/**
 * The policy rows: the one compiled form that a decision reads (consents, delegations, care teams,
 * pauses). They are sealed under the organisation's policy key and written in the same transaction as
 * the FHIR resource that people see. Lost: nobody but the patient gets in, until they are compiled
 * again from the resources. Altered: they do not open.
 */
import { z } from "zod";
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import { COMPARTMENTS } from "./permit.ts";
import { CONSENT_ACTIONS, type Rule } from "./provision.ts";
import { PURPOSES } from "./purposes.ts";

/** GDPR articles 6(1) and 9(2), by letter. */
export const GDPR_BASIS = /^(?:A6-1-[a-f]|A9-2-[a-j])$/;

const ms = z.int().min(-limits.timeMsMax).max(limits.timeMsMax);
const id = z.string().regex(/^[A-Za-z0-9.-]{1,64}$/);
/** What a rule may name as actor. */
export const ACTOR_TYPES = [
  "Practitioner",
  "RelatedPerson",
  "Patient",
  "Organization",
  "CareTeam",
] as const;
export const REFERENCE = new RegExp(`^(?:${ACTOR_TYPES.join("|")})/[A-Za-z0-9.-]{1,64}$`);
const reference = z.string().regex(REFERENCE);
const listOf = <T extends z.ZodType>(entry: T) =>
  z.array(entry).min(1).max(limits.consentListMax).optional();

const data = {
  categories: listOf(z.enum(COMPARTMENTS)),
  codes: listOf(z.string().regex(/^\d{1,10}$/)),
  dataFromMs: ms.optional(),
  dataUntilMs: ms.optional(),
};
const conditions = z.strictObject({
  actors: listOf(reference),
  actions: listOf(z.enum(CONSENT_ACTIONS)),
  purposes: listOf(z.enum(PURPOSES)),
  fromMs: ms.optional(),
  untilMs: ms.optional(),
  ...data,
});
const rule: z.ZodType<Rule> = z.strictObject({
  effect: z.enum(["permit", "deny"]),
  when: conditions,
  get except() {
    return z.array(rule).max(limits.consentProvisionsMax);
  },
});

const period = { fromMs: ms, untilMs: ms };
const endsAfterItBegins = (row: { fromMs: number; untilMs: number }) => row.fromMs < row.untilMs;

const row = z.union([
  /** A consent that is active. */
  z.strictObject({
    kind: z.literal("consent"),
    id,
    patientId: id,
    /** What the paper is about; research consents speak of research purposes only. */
    about: z.enum(["patient-privacy", "research"]),
    /** The basis in the GDPR, as article, paragraph and letter: "A9-2-a". */
    basis: z.string().regex(GDPR_BASIS).optional(),
    rule: rule.refine(isWithinBounds),
  }),
  /** A patient, or the law, lets one person see data until a day. */
  z
    .strictObject({
      kind: z.literal("delegation"),
      id,
      patientId: id,
      as: z.enum(["relative", "guardian"]),
      to: reference,
      ...period,
      ...data,
    })
    .refine(endsAfterItBegins),
  /** One belongs to the patient's care team; without an end, until further notice. */
  z
    .strictObject({
      kind: z.literal("care-team"),
      id,
      patientId: id,
      member: reference,
      fromMs: ms,
      untilMs: ms.optional(),
    })
    .refine((one) => one.untilMs === undefined || one.fromMs < one.untilMs),
  /** The patient pauses sharing with these, or with everybody. */
  z
    .strictObject({
      kind: z.literal("pause"),
      id,
      patientId: id,
      actors: listOf(reference),
      ...period,
    })
    .refine(endsAfterItBegins)
    .refine((one) => one.untilMs - one.fromMs <= limits.sharingPauseMaxMs),
]);

export type PolicyRow = z.infer<typeof row>;
export type RowOf<K extends PolicyRow["kind"]> = Extract<PolicyRow, { kind: K }>;

/** Whether a rule is no deeper and has no more provisions than a decision may weigh. */
export function isWithinBounds(top: Rule): boolean {
  let provisions = 0;
  const queue: { rule: Rule; depth: number }[] = [{ rule: top, depth: 1 }];
  for (const one of queue) {
    provisions += 1;
    if (one.depth > limits.consentDepthMax || provisions > limits.consentProvisionsMax) {
      return false;
    }
    for (const exception of one.rule.except) queue.push({ rule: exception, depth: one.depth + 1 });
  }
  return true;
}

/** @returns UTF-8 JSON, to be sealed. @throws Problem "sealed-data-damaged" for a row that is none. */
export function encodeRow(value: PolicyRow): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(checked(value)));
}

/** @param bytes as `encodeRow` gave them, after opening.
 * @throws Problem "sealed-data-damaged": what is no row in every particular decides nothing. */
export function decodeRow(bytes: Uint8Array): PolicyRow {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new Problem("sealed-data-damaged", { cause });
  }
  return checked(value);
}

function checked(value: unknown): PolicyRow {
  const parsed = row.safeParse(value);
  if (!parsed.success) throw new Problem("sealed-data-damaged");
  return parsed.data as PolicyRow;
}
