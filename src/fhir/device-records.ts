/**
 * The organisation's devices as FHIR resources: encrypted, versioned, found by token. The registry
 * decides and knows; here each of its changes becomes a version, so that a reading of years ago can
 * name the device as it was. Whom a device measures is not part of it: that is asked of the registry.
 */
import type { Device as FhirDevice } from "@medplum/fhirtypes";
import type { Permit } from "../access/permit.ts";
import type { Clock } from "../clock.ts";
import { diagnostics } from "../diagnostics.ts";
import type { Device, DeviceState, Registry } from "../registry/registry.ts";
import type { ResourceJson, Resources, StoredResource } from "../store/resources.ts";
import { token } from "./systems.ts";

/** Ids of the registry, as identifiers of the Device. */
export const DEVICE_SYSTEM = "https://vitalward.example/device";
/** A change that could not be stored (the database is away) is tried again after this. */
const RETRY_MS = 5_000;

const STATUS: Readonly<Record<DeviceState, NonNullable<FhirDevice["status"]>>> = {
  claimed: "inactive",
  enrolled: "active",
  suspended: "inactive",
  quarantined: "inactive",
  revoked: "inactive",
};

/** What is on record of a device. */
export function toFhirDevice(device: Device): FhirDevice {
  return {
    resourceType: "Device",
    id: device.id,
    identifier: [{ system: DEVICE_SYSTEM, value: device.id }],
    status: STATUS[device.state],
    statusReason: [{ text: device.state }],
    deviceName: [{ name: device.label, type: "user-friendly-name" }],
    type: { text: device.kind },
    ...(device.note === "" ? {} : { note: [{ text: device.note }] }),
  };
}

export class DeviceRecords {
  readonly #o: DeviceRecordsOptions;
  /** What was stored last, as JSON, by device. */
  readonly #stored = new Map<string, string>();
  readonly #due = new Set<string>();
  readonly #off: () => void;
  #writing: Promise<void> = Promise.resolve();
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;

  private constructor(o: DeviceRecordsOptions) {
    this.#o = o;
    this.#off = o.registry.on("changed", ({ deviceId }) => this.#touch(deviceId));
  }

  /** Follows the registry from now on, and writes what changed while nobody followed. */
  static async open(o: DeviceRecordsOptions): Promise<DeviceRecords> {
    const records = new DeviceRecords(o);
    const permit = await o.permit(o.tenantId);
    for (const device of o.registry.devices()) {
      const stored = await records.#newest(permit, device.id);
      if (stored !== undefined) records.#stored.set(device.id, JSON.stringify(stored.resource));
      records.#touch(device.id);
    }
    await records.idle();
    return records;
  }

  /** Every version of one device, newest first. */
  history(permit: Permit, deviceId: string): Promise<StoredResource[]> {
    return this.#o.resources.history(permit, { resourceType: "Device", id: deviceId });
  }

  /** @returns the newest version; undefined in the moment before it is stored. */
  newest(permit: Permit, deviceId: string): Promise<StoredResource | undefined> {
    return this.#newest(permit, deviceId);
  }

  /** Resolves when what was due is stored, or failed and waits for its next try. */
  async idle(): Promise<void> {
    await this.#writing;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#off();
    clearTimeout(this.#retry);
    await this.#writing;
  }

  #newest(permit: Permit, deviceId: string): Promise<StoredResource | undefined> {
    return this.#o.resources.get(permit, { resourceType: "Device", id: deviceId });
  }

  #touch(deviceId: string): void {
    this.#due.add(deviceId);
    this.#writing = this.#writing.then(() => this.#write());
  }

  async #write(): Promise<void> {
    for (const deviceId of [...this.#due]) {
      const device = this.#o.registry.device(deviceId);
      this.#due.delete(deviceId);
      if (device === undefined) continue;
      const { id: _, ...resource } = toFhirDevice(device);
      const text = JSON.stringify(resource);
      if (this.#stored.get(deviceId) === text) continue;
      try {
        await this.#o.resources.put({
          patientId: this.#o.tenantId,
          compartment: "demographics",
          id: deviceId,
          timeMs: this.#o.clock.nowMs(),
          resource: resource as unknown as ResourceJson,
          tokens: [{ column: "identifier", value: token(DEVICE_SYSTEM, deviceId) }],
        });
        this.#stored.set(deviceId, text);
      } catch (error) {
        this.#due.add(deviceId);
        diagnostics.warn({ fault: (error as Error).name }, "a device's record waits to be stored");
        this.#retryLater();
        return;
      }
    }
  }

  #retryLater(): void {
    if (this.#isClosed || this.#retry !== undefined) return;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#writing = this.#writing.then(() => this.#write());
    }, RETRY_MS);
    this.#retry.unref();
  }
}

export interface DeviceRecordsOptions {
  readonly registry: Pick<Registry, "device" | "devices" | "on">;
  readonly resources: Resources;
  /** Whose the records are: the organisation itself. */
  readonly tenantId: string;
  /** A maintenance permit for that. */
  readonly permit: (tenantId: string) => Promise<Permit>;
  readonly clock: Clock;
}
