/**
 * Ids of Observations: reversible, and opaque to everybody else. An id carries the patient, so that
 * a read finds its patient's shard and asks for the right permit; encrypted (AES-SIV, RFC 5297), so
 * that it shows neither patient, code nor time, and a made-up id is simply not found.
 */
import { type CipherGCM, createCipheriv, createDecipheriv, type DecipherGCM } from "node:crypto";

import type { Clock } from "../clock.ts";
import type { Secrets } from "../sealed-fields.ts";

/** A stored sample, run or panel; `origin` tells apart what several devices sent for one instant. */
export interface SampleAddress {
  readonly kind: "sample";
  readonly patientId: string;
  readonly mdc: number;
  readonly timeMs: number;
  /** Six bytes, hex: the head of SHA-256 over device and exponent. */
  readonly origin: string;
}

/** An Observation that somebody wrote through FHIR. */
export interface ResourceAddress {
  readonly kind: "resource";
  readonly patientId: string;
  readonly resourceId: string;
}

export type ObservationAddress = SampleAddress | ResourceAddress;

/** FHIR R4 §2.24.0: an id is 1 to 64 of A-Z a-z 0-9 - . — six bits a character, 48 bytes in all. */
const ID = /^[A-Za-z0-9.-]{64}$/;
const BODY_BYTES = 32;
const TAG_BYTES = 16;

const KIND_LABEL = { sample: "vitalward observation sample", resource: "vitalward observation" };

/** The organisation's key for ids, made once. Lost: every id changes, so links from elsewhere break;
 * altered: the keystore notices. */
export async function openObservationIds(secrets: Secrets, clock: Clock): Promise<ObservationIds> {
  const kept = await secrets.get("observation-ids", "1");
  if (kept !== undefined) return new ObservationIds(kept);
  const key = clock.random(64);
  await secrets.put("observation-ids", "1", key);
  return new ObservationIds(key);
}

export class ObservationIds {
  readonly #key: Uint8Array;

  /** @param key 64 bytes, for AES-256-SIV; changing it changes every id. */
  constructor(key: Uint8Array) {
    if (key.length !== 64) throw new Error("observation ids need a key of 64 bytes");
    this.#key = key;
  }

  encode(address: ObservationAddress): string {
    const body = Buffer.alloc(BODY_BYTES);
    body.write(address.patientId.replaceAll("-", ""), 0, "hex");
    if (address.kind === "resource") {
      body.write(address.resourceId.replaceAll("-", ""), 16, "hex");
    } else {
      body.writeUInt32BE(address.mdc, 16);
      body.writeUIntBE(address.timeMs, 20, 6);
      body.write(address.origin, 26, "hex");
    }
    const cipher = createCipheriv("aes-256-siv", this.#key, null) as CipherGCM;
    cipher.setAAD(Buffer.from(KIND_LABEL[address.kind]));
    const sealed = Buffer.concat([cipher.update(body), cipher.final()]);
    return toLetters(Buffer.concat([cipher.getAuthTag(), sealed]));
  }

  /** @returns undefined for whatever is not one of our ids. */
  decode(id: string): ObservationAddress | undefined {
    const bytes = fromLetters(id);
    if (bytes === undefined) return undefined;
    const sample = this.#open(bytes, "sample");
    if (sample !== undefined) {
      return {
        kind: "sample",
        patientId: uuidOf(sample.subarray(0, 16)),
        mdc: sample.readUInt32BE(16),
        timeMs: sample.readUIntBE(20, 6),
        origin: sample.toString("hex", 26, 32),
      };
    }
    const resource = this.#open(bytes, "resource");
    if (resource === undefined) return undefined;
    return {
      kind: "resource",
      patientId: uuidOf(resource.subarray(0, 16)),
      resourceId: uuidOf(resource.subarray(16, 32)),
    };
  }

  #open(bytes: Buffer, kind: keyof typeof KIND_LABEL): Buffer | undefined {
    const decipher = createDecipheriv("aes-256-siv", this.#key, null) as DecipherGCM;
    decipher.setAuthTag(bytes.subarray(0, TAG_BYTES));
    decipher.setAAD(Buffer.from(KIND_LABEL[kind]));
    try {
      return Buffer.concat([decipher.update(bytes.subarray(TAG_BYTES)), decipher.final()]);
    } catch {
      return undefined; // not sealed with this key, or of the other kind: the same answer
    }
  }
}

function uuidOf(bytes: Buffer): string {
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function toLetters(bytes: Buffer): string {
  return bytes.toString("base64url").replaceAll("_", ".");
}

function fromLetters(id: string): Buffer | undefined {
  if (!ID.test(id)) return undefined;
  const bytes = Buffer.from(id.replaceAll(".", "_"), "base64url");
  return bytes.length === BODY_BYTES + TAG_BYTES ? bytes : undefined;
}
