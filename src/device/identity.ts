/**
 * Who a device is: its key, its certificate, whom it trusts. Kept as a folder of files.
 *
 * If lost: enrol again; what was sealed and not yet sent stays readable for the platform only if the
 * spool survives. If stolen: the thief is this device until it is revoked.
 */
import { createHash, createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { DeviceIdentity } from "../envelope/opening.ts";
import { writeDurably } from "./files.ts";

/** What enrolment gives, as text; `folder` holds it. */
export interface Enrolled {
  deviceId: string;
  /** PKCS #8 PEM, P-256 or Ed25519. Never leaves the device. */
  keyPem: string;
  certificatePem: string;
  /** The organisation's authority: what the doors' certificates must chain to. */
  caPem: string;
  /** Signs openings' replies and prekeys: Ed25519, 32 bytes, base64url. */
  platformKey: string;
  mqttUrl: string;
  httpsUrl: string;
}

const FILES = {
  key: "key.pem",
  certificate: "certificate.pem",
  ca: "ca.pem",
  about: "device.json",
};

/** Writes the identity into a folder: key 0600, the folder 0700.
 * @throws Error if the folder holds an identity already: a key is never overwritten. */
export function saveIdentity(folder: string, enrolled: Enrolled): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (existsSync(join(folder, FILES.key))) {
    throw new Error("this folder holds a device's identity already");
  }
  const { deviceId, platformKey, mqttUrl, httpsUrl } = enrolled;
  const about = JSON.stringify({ deviceId, platformKey, mqttUrl, httpsUrl }, null, 2);
  writeDurably(join(folder, FILES.ca), enrolled.caPem);
  writeDurably(join(folder, FILES.certificate), enrolled.certificatePem);
  writeDurably(join(folder, FILES.about), `${about}\n`);
  // The key last: a folder with a key is complete.
  writeDurably(join(folder, FILES.key), enrolled.keyPem);
}

/** Reads what `saveIdentity` wrote. @throws Error for a folder without an identity. */
export function loadIdentity(folder: string): Enrolled {
  const read = (name: string) => readFileSync(join(folder, name), "utf8");
  if (!existsSync(join(folder, FILES.key))) throw new Error("no device is enrolled in this folder");
  const about: unknown = JSON.parse(read(FILES.about));
  const { deviceId, platformKey, mqttUrl, httpsUrl } = about as Record<string, unknown>;
  for (const value of [deviceId, platformKey, mqttUrl, httpsUrl]) {
    if (typeof value !== "string") throw new Error("the folder's device.json is not complete");
  }
  return {
    ...(about as Pick<Enrolled, "deviceId" | "platformKey" | "mqttUrl" | "httpsUrl">),
    keyPem: read(FILES.key),
    certificatePem: read(FILES.certificate),
    caPem: read(FILES.ca),
  };
}

/** The identity in the form that sessions take. */
export function signingIdentity(enrolled: Enrolled): DeviceIdentity {
  const der = new X509Certificate(enrolled.certificatePem).raw;
  return {
    certificateHash: createHash("sha256").update(der).digest(),
    privateKey: createPrivateKey(enrolled.keyPem),
    platformKey: createPublicKey({
      key: Buffer.from(enrolled.platformKey, "base64url"),
      format: "raw-public",
      asymmetricKeyType: "ed25519",
    }),
  };
}
