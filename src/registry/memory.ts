/** The registry's answers, from memory: the doors ask for each connection and each envelope. */
import { createHash, X509Certificate } from "node:crypto";
import type { ProblemCode } from "../problems.ts";
import type { SealedFields } from "../sealed-fields.ts";
import type { Assignment, Device, DeviceCertificate, DeviceState } from "./registry.ts";
import type { registryTables } from "./tables.ts";
import { patientAt, type Timeline } from "./timeline.ts";

/** The sealed words of a device. */
export interface Words {
  readonly label: string;
  readonly kind: string;
  readonly note: string;
}

export class RegistryMemory {
  readonly #devices = new Map<string, Device>();
  readonly #certificates = new Map<string, DeviceCertificate>();
  readonly #timelines = new Map<string, Timeline>();

  load(
    rows: Awaited<ReturnType<ReturnType<typeof registryTables>["load"]>>,
    fields: SealedFields,
  ): void {
    for (const row of rows.devices) {
      const words = JSON.parse(fields.open(`device/${row.device_id}`, row.sealed)) as Words;
      this.#devices.set(row.device_id, {
        id: row.device_id,
        ...words,
        state: row.state,
        certificateHashes: [],
        enrolledMs: row.enrolled_ms ?? undefined,
      });
    }
    for (const row of rows.certificates) this.addCertificate(row.device_id, row.der);
    for (const row of rows.assignments) {
      const span = {
        patientId: row.patient_id,
        fromMs: row.from_ms,
        toMs: row.to_ms ?? undefined,
      };
      this.#timelines.set(row.device_id, [...this.timeline(row.device_id), span]);
    }
  }

  addCertificate(deviceId: string, der: Uint8Array): void {
    const parsed = new X509Certificate(der);
    const certificate: DeviceCertificate = {
      hash: hashOf(der),
      deviceId,
      der: new Uint8Array(der),
      publicKey: new Uint8Array(parsed.publicKey.export({ type: "spki", format: "der" })),
      notBeforeMs: parsed.validFromDate.getTime(),
      notAfterMs: parsed.validToDate.getTime(),
    };
    this.#certificates.set(certificate.hash, certificate);
    const device = this.#devices.get(deviceId);
    if (device === undefined || device.certificateHashes.includes(certificate.hash)) return;
    this.change(deviceId, { certificateHashes: [...device.certificateHashes, certificate.hash] });
  }

  add(device: Device): void {
    this.#devices.set(device.id, device);
  }

  change(deviceId: string, to: Partial<Device>): void {
    const device = this.#devices.get(deviceId);
    if (device === undefined) throw new Error("a device in the tables is not in memory");
    this.#devices.set(deviceId, { ...device, ...to });
  }

  certificate(hashHex: string): DeviceCertificate | undefined {
    return this.#certificates.get(hashHex);
  }
  device(deviceId: string): Device | undefined {
    return this.#devices.get(deviceId);
  }
  devices(): Device[] {
    return [...this.#devices.values()];
  }
  get deviceCount(): number {
    return this.#devices.size;
  }

  /** TLS has checked that the peer holds the key; this asks whether the registry issued it and lets it speak. */
  authenticate(
    der: Uint8Array,
    nowMs: number,
  ): { deviceId: string; certificateHash: string } | ProblemCode {
    const hash = hashOf(der);
    const certificate = this.#certificates.get(hash);
    const device = certificate && this.#devices.get(certificate.deviceId);
    if (certificate === undefined || device === undefined) return "certificate-unknown";
    if (nowMs >= certificate.notAfterMs) return "certificate-expired";
    return barredBy(device.state) ?? { deviceId: device.id, certificateHash: hash };
  }

  timeline(deviceId: string): Timeline {
    return this.#timelines.get(deviceId) ?? [];
  }
  setTimeline(deviceId: string, timeline: Timeline): void {
    this.#timelines.set(deviceId, timeline);
  }
  patientOf(deviceId: string, atMs: number): string | undefined {
    return patientAt(this.timeline(deviceId), atMs);
  }
  assignmentsOf(o: { deviceId?: string; patientId?: string }): Assignment[] {
    const ids = o.deviceId === undefined ? [...this.#timelines.keys()] : [o.deviceId];
    return ids.flatMap((deviceId) =>
      this.timeline(deviceId)
        .filter((span) => o.patientId === undefined || span.patientId === o.patientId)
        .map((span) => ({ deviceId, ...span })),
    );
  }
}

export function hashOf(der: Uint8Array): string {
  return createHash("sha256").update(der).digest("hex");
}

/** Why a device in that state may not speak. A quarantined one may: its readings are kept, marked. */
export function barredBy(state: DeviceState): ProblemCode | undefined {
  if (state === "suspended") return "device-suspended";
  return state === "revoked" ? "device-revoked" : undefined;
}
