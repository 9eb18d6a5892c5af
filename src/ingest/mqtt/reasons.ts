/** How a refusal is said in MQTT 5 reason codes (Table 2-6) and in 3.1.1 return codes (§3.2.2.3). */
import type { ProblemCode } from "../../problems.ts";

/** Reason codes that this endpoint sends without a refusal behind them. */
export const REASON = {
  success: 0x00,
  noMatchingSubscribers: 0x10,
  noSubscriptionExisted: 0x11,
  unspecified: 0x80,
  notAuthorized: 0x87,
  packetIdNotFound: 0x92,
} as const;

const table: Partial<Record<ProblemCode, number>> = {
  "mqtt-packet-malformed": 0x81,
  "mqtt-protocol-error": 0x82,
  "mqtt-version-unsupported": 0x84,
  "mqtt-client-id-refused": 0x85,
  "client-certificate-required": 0x87,
  "client-certificate-untrusted": 0x87,
  "certificate-unknown": 0x87,
  "certificate-expired": 0x87,
  "device-suspended": 0x87,
  "device-revoked": 0x87,
  "device-state-conflict": 0x87,
  "mqtt-topic-refused": 0x87,
  "mqtt-will-refused": 0x87,
  "door-full": 0x89,
  "door-closing": 0x8b,
  "mqtt-authentication-method-refused": 0x8c,
  "mqtt-keep-alive-ended": 0x8d,
  "session-taken-over": 0x8e,
  "mqtt-topic-invalid": 0x90,
  "mqtt-receive-maximum-exceeded": 0x93,
  "mqtt-topic-alias-invalid": 0x94,
  "mqtt-packet-too-large": 0x95,
  "body-too-large": 0x95,
  "rate-limited": 0x97,
  "mqtt-client-slow": 0x97,
  "storage-unavailable": 0x97,
  "device-unassigned": 0x97,
  "mqtt-retain-refused": 0x9a,
  "mqtt-shared-subscription-refused": 0x9e,
  "mqtt-connect-overdue": 0xa0,
};

/** MQTT 5 reason code of a refusal; 0x80 "unspecified error" when the standard has no word for it. */
export function reasonOf(problem: ProblemCode): number {
  return table[problem] ?? REASON.unspecified;
}

/** MQTT 3.1.1 CONNACK return code of a refusal; undefined where the standard only closes. */
export function returnCodeOf(problem: ProblemCode): number | undefined {
  if (problem === "mqtt-version-unsupported") return 1;
  if (problem === "mqtt-client-id-refused") return 2;
  if (problem === "door-full" || problem === "storage-unavailable") return 3;
  const reason = reasonOf(problem);
  return reason === 0x87 || reason === 0x8c ? 5 : undefined;
}

/** Reason codes as SUBACK may give them (Table 3-8): topic name invalid becomes topic filter invalid. */
export function subscribeReasonOf(problem: ProblemCode): number {
  return problem === "mqtt-topic-invalid" ? 0x8f : reasonOf(problem);
}

/** Reasons a DISCONNECT may carry (Table 3-10); CONNACK-only ones are said as "not authorized". */
export function disconnectReasonOf(problem: ProblemCode): number {
  const reason = reasonOf(problem);
  return reason === 0x84 || reason === 0x85 || reason === 0x8c ? 0x87 : reason;
}
