/**
 * Every way we say no. One row per refusal; the row gives every protocol its answer.
 * Codes are stable. Titles are lower case, no full stop, no secret, no measured value.
 */

/** FHIR R4 IssueType codes (value set issue-type, required binding). */
export type IssueCode =
  | "invalid"
  | "structure"
  | "required"
  | "value"
  | "invariant"
  | "security"
  | "login"
  | "unknown"
  | "expired"
  | "forbidden"
  | "suppressed"
  | "processing"
  | "not-supported"
  | "duplicate"
  | "multiple-matches"
  | "not-found"
  | "deleted"
  | "too-long"
  | "code-invalid"
  | "extension"
  | "too-costly"
  | "business-rule"
  | "conflict"
  | "transient"
  | "lock-error"
  | "no-store"
  | "exception"
  | "timeout"
  | "incomplete"
  | "throttled"
  | "informational";

export interface ProblemRow {
  /** HTTP status (RFC 9110). */
  readonly status: number;
  readonly issue: IssueCode;
  readonly title: string;
}

export const PROBLEMS = {
  "internal-fault": {
    status: 500,
    issue: "exception",
    title: "an internal fault; it was recorded",
  },
  "bad-request": { status: 400, issue: "invalid", title: "the request is not well-formed" },
  "not-found": { status: 404, issue: "not-found", title: "there is nothing here, or not for you" },
  "method-not-allowed": {
    status: 405,
    issue: "not-supported",
    title: "this address does not take that method",
  },
  "unsupported-media-type": {
    status: 415,
    issue: "not-supported",
    title: "the content type is not supported",
  },
  "body-too-large": {
    status: 413,
    issue: "too-long",
    title: "the body is larger than this door takes",
  },
  "rate-limited": {
    status: 429,
    issue: "throttled",
    title: "too many requests; wait and try again",
  },
  "not-signed-in": { status: 401, issue: "login", title: "sign in first" },
  forbidden: { status: 403, issue: "forbidden", title: "this is not yours to do" },
  "sign-in-link-used": {
    status: 410,
    issue: "expired",
    title: "this sign-in link was used or has expired",
  },
  "foreign-origin": {
    status: 403,
    issue: "security",
    title: "the request came from another site",
  },
  "unknown-host": {
    status: 421,
    issue: "security",
    title: "this server does not answer to that host name",
  },
  "permit-ended": {
    status: 403,
    issue: "expired",
    title: "the permit for this access has ended; ask again",
  },
  "claim-refused": {
    status: 403,
    issue: "security",
    title: "the claim code is unknown, used or expired",
  },
  "csr-refused": {
    status: 422,
    issue: "invalid",
    title: "the certificate request cannot be accepted",
  },
  "certificate-unknown": {
    status: 403,
    issue: "security",
    title: "the certificate is not one of ours",
  },
  "certificate-expired": {
    status: 403,
    issue: "expired",
    title: "the certificate has expired; renew it",
  },
  "device-suspended": { status: 403, issue: "suppressed", title: "the device is suspended" },
  "device-revoked": { status: 403, issue: "security", title: "the device is revoked" },
  "device-state-conflict": {
    status: 409,
    issue: "conflict",
    title: "the device is not in a state that allows this",
  },
  "envelope-too-large": {
    status: 413,
    issue: "too-long",
    title: "the envelope is larger than this platform takes",
  },
  "envelope-malformed": {
    status: 400,
    issue: "structure",
    title: "the bytes are not a sequence of sealed items",
  },
  "envelope-refused": {
    status: 403,
    issue: "security",
    title: "the envelope does not open in any session of this device",
  },
  "opening-refused": {
    status: 403,
    issue: "security",
    title: "the session opening cannot be accepted",
  },
  "opening-replayed": {
    status: 409,
    issue: "duplicate",
    title: "the session identifier was already used",
  },
  "batch-refused": {
    status: 422,
    issue: "value",
    title: "the envelope opens but what it holds is not in canonical form",
  },
  "device-unassigned": {
    status: 409,
    issue: "business-rule",
    title: "the device is assigned to nobody; keep the envelope and send it again later",
  },
  "client-certificate-required": {
    status: 401,
    issue: "login",
    title: "this door takes a client certificate",
  },
  "client-certificate-untrusted": {
    status: 403,
    issue: "security",
    title: "the client certificate does not chain to this organisation",
  },
  "mqtt-packet-malformed": { status: 400, issue: "structure", title: "the packet is malformed" },
  "mqtt-protocol-error": {
    status: 400,
    issue: "invalid",
    title: "the packet breaks the protocol's rules",
  },
  "mqtt-packet-too-large": {
    status: 413,
    issue: "too-long",
    title: "the packet is larger than this door takes",
  },
  "mqtt-version-unsupported": {
    status: 505,
    issue: "not-supported",
    title: "this door speaks MQTT 3.1.1 and 5 only",
  },
  "mqtt-client-id-refused": {
    status: 400,
    issue: "value",
    title: "the client identifier is not acceptable",
  },
  "mqtt-topic-refused": {
    status: 403,
    issue: "forbidden",
    title: "this topic is not yours to use",
  },
  "mqtt-topic-invalid": { status: 400, issue: "value", title: "the topic is not well-formed" },
  "mqtt-topic-alias-invalid": {
    status: 400,
    issue: "value",
    title: "the topic alias is unknown or out of range",
  },
  "mqtt-receive-maximum-exceeded": {
    status: 429,
    issue: "throttled",
    title: "more messages are in flight than this door announced",
  },
  "mqtt-retain-refused": {
    status: 400,
    issue: "not-supported",
    title: "this door keeps no retained messages",
  },
  "mqtt-shared-subscription-refused": {
    status: 400,
    issue: "not-supported",
    title: "this door has no shared subscriptions",
  },
  "mqtt-authentication-method-refused": {
    status: 401,
    issue: "not-supported",
    title: "this door has no authentication method but the client certificate",
  },
  "mqtt-will-refused": {
    status: 403,
    issue: "not-supported",
    title: "this door takes no will message",
  },
  "mqtt-keep-alive-ended": {
    status: 408,
    issue: "timeout",
    title: "nothing was heard within the keep-alive time",
  },
  "mqtt-connect-overdue": {
    status: 408,
    issue: "timeout",
    title: "the connection did not introduce itself in time",
  },
  "mqtt-packet-overdue": {
    status: 408,
    issue: "timeout",
    title: "a packet was begun and not finished in time",
  },
  "mqtt-client-slow": {
    status: 429,
    issue: "throttled",
    title: "the client does not take what it asked for",
  },
  "session-taken-over": {
    status: 409,
    issue: "conflict",
    title: "the same client connected again elsewhere",
  },
  "door-full": {
    status: 503,
    issue: "transient",
    title: "this door has no room; come again later",
  },
  "door-closing": { status: 503, issue: "transient", title: "this door is closing; come again" },
  "conformance-beside-patients": {
    status: 409,
    issue: "conflict",
    title: "the conformance listener does not start beside patient data",
  },
  "storage-unavailable": {
    status: 503,
    issue: "transient",
    title: "storage is away; nothing was stored, send again later",
  },
  "keystore-unavailable": {
    status: 503,
    issue: "transient",
    title: "the keystore is away; nothing can be sealed or opened until it is back",
  },
  "keystore-damaged": {
    status: 500,
    issue: "exception",
    title: "the keystore holds something that does not open; restore it from its backup",
  },
  "passphrase-wrong": {
    status: 403,
    issue: "login",
    title: "the passphrase does not open the keystore",
  },
  "patient-erased": { status: 410, issue: "deleted", title: "this record was erased" },
  "sealed-data-damaged": {
    status: 500,
    issue: "exception",
    title: "stored data does not open: it was altered or belongs elsewhere",
  },
  "series-damaged": {
    status: 500,
    issue: "exception",
    title: "stored data was removed, doubled or rolled back",
  },
  "version-conflict": {
    status: 412,
    issue: "conflict",
    title: "somebody else changed this meanwhile; read it again",
  },
  "resource-invalid": {
    status: 422,
    issue: "invariant",
    title: "the resource does not conform to FHIR R4 or to the profile it must follow",
  },
  "search-not-understood": {
    status: 400,
    issue: "not-supported",
    title: "a search parameter is not supported here or is not well-formed",
  },
  "bundle-not-supported": {
    status: 422,
    issue: "not-supported",
    title: "the bundle is of a kind, or has an entry, that this server does not take",
  },
} as const satisfies Record<string, ProblemRow>;

export type ProblemCode = keyof typeof PROBLEMS;

/** The one error that is meant: any other error that rises is a bug ("internal-fault"). */
export class Problem extends Error {
  readonly code: ProblemCode;
  /** Words for the caller about what was wrong, without secrets or measured values. */
  readonly detail: string | undefined;
  constructor(code: ProblemCode, options: { detail?: string; cause?: unknown } = {}) {
    super(options.detail ? `${PROBLEMS[code].title}: ${options.detail}` : PROBLEMS[code].title, {
      cause: options.cause,
    });
    this.name = "Problem";
    this.code = code;
    this.detail = options.detail;
  }
  get row(): ProblemRow {
    return PROBLEMS[this.code];
  }
}
