/** Which devices exist, their certificates, whom they measure and since when; and the organisation's authority. */
import type { X509Certificate } from "node:crypto";
import type { ProblemCode } from "../problems.ts";
import type { PlatformIdentity } from "./platform-identity.ts";

export type DeviceState = "claimed" | "enrolled" | "suspended" | "quarantined" | "revoked";

export interface Device {
  readonly id: string;
  /** Words for people: "Bedside monitor 3". */
  readonly label: string;
  /** What it is: "patient-monitor", "glucose-sensor", "wearable" … */
  readonly kind: string;
  /** Shown beside its readings, such as "×60 recording". */
  readonly note: string;
  readonly state: DeviceState;
  /** Hex SHA-256 of each certificate (DER) it ever had, newest last. */
  readonly certificateHashes: readonly string[];
  readonly enrolledMs: number | undefined;
}

export interface DeviceCertificate {
  /** Hex SHA-256 of the DER. */
  readonly hash: string;
  readonly deviceId: string;
  readonly der: Uint8Array;
  /** SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), DER. */
  readonly publicKey: Uint8Array;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface Assignment {
  readonly deviceId: string;
  readonly patientId: string;
  readonly fromMs: number;
  /** Exclusive; undefined while it lasts. */
  readonly toMs: number | undefined;
}

/** PEM, for `tls.createServer`. */
export interface ServerTls {
  readonly cert: string;
  readonly key: string;
  /** The authority that device certificates must chain to. */
  readonly ca: string;
}

export type NewClaim = {
  /** Assign on enrolment, from that time on (default: the moment of enrolment). */
  readonly patientId?: string | undefined;
  readonly assignedFromMs?: number | undefined;
} & (
  | { readonly deviceId: string }
  | { readonly label: string; readonly kind: string; readonly note?: string | undefined }
);

export interface EnrolledDevice {
  readonly deviceId: string;
  readonly certificatePem: string;
  /** What the doors' server certificate chains to. */
  readonly caPem: string;
}

/** The enrolment answer: everything a device needs to begin. */
export interface Enrolment extends EnrolledDevice {
  /** Ed25519 public key (32 bytes, base64url) that signs opening replies and prekeys. */
  readonly platformKey: string;
  /** Signed one-time prekeys (CBOR sequence, base64url), for starts without a connection. */
  readonly prekeys: string;
  readonly mqttUrl: string;
  readonly httpsUrl: string;
}

export interface RegistryEvents {
  /** A device may speak no more: doors close its connections at once. */
  barred: [{ deviceId: string; problem: ProblemCode }];
  /** A device's state, certificates or labels changed in any way. */
  changed: [{ deviceId: string }];
  /** An assignment began or ended. */
  assigned: [Assignment];
}

export interface Registry {
  readonly caPem: string;
  /** Signs opening replies and prekeys; devices pin its public key at enrolment. */
  readonly platformIdentity: PlatformIdentity;
  serverTls(): ServerTls;
  /** From memory. Every certificate ever issued and not replaced-and-expired; say nothing of state. */
  certificate(hashHex: string): DeviceCertificate | undefined;
  /** From memory: the device a certificate belongs to, in whatever state. */
  deviceByCertificate(hashHex: string): Device | undefined;
  device(deviceId: string): Device | undefined;
  devices(): Device[];
  /** The doors' question: may the holder of this certificate speak now? From memory. */
  authenticate(peer: X509Certificate): { deviceId: string; certificateHash: string } | ProblemCode;
  /** Whom the device measured at that time. From memory. */
  patientOf(deviceId: string, atMs: number): string | undefined;
  assignmentsOf(o: { deviceId?: string; patientId?: string }): Assignment[];
  /** A new device with a claim code; or, with `deviceId`, a new code for a known device (a new key). */
  createClaim(o: NewClaim): Promise<{ deviceId: string; claimCode: string; expiresMs: number }>;
  /** The same code with the same key again (a lost answer) yields the same certificate.
   * @throws Problem "csr-refused", "claim-refused" (unknown, used and expired look alike). */
  enrol(o: { claimCode: string; csr: string }): Promise<EnrolledDevice>;
  /** A new certificate for an enrolled device, while it can still show the old one. */
  renew(deviceId: string, csr: string): Promise<{ certificatePem: string; caPem: string }>;
  /** Ends the running assignment at `fromMs` and starts the new one. No patientId: only ends. */
  assign(o: { deviceId: string; patientId: string | undefined; fromMs?: number }): Promise<void>;
  suspend(deviceId: string): Promise<void>;
  /** Suspended or quarantined → enrolled. */
  resume(deviceId: string): Promise<void>;
  /** Clone suspected: it may still speak; its readings are kept and marked. */
  quarantine(deviceId: string): Promise<void>;
  revoke(deviceId: string): Promise<void>;
  on<E extends keyof RegistryEvents>(
    event: E,
    listener: (...args: RegistryEvents[E]) => void,
  ): () => void;
}
