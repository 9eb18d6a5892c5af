/** Device: what is on record of it. It names no patient to whom it is none of theirs. */
import type { Device as FhirDevice } from "@medplum/fhirtypes";
import type { Access } from "../access/access.ts";
import type { Permit } from "../access/permit.ts";
import type { Principal } from "../access/principal.ts";
import type { Clock } from "../clock.ts";
import { Problem } from "../problems.ts";
import type { Device, Registry } from "../registry/registry.ts";
import type { StoredResource } from "../store/resources.ts";
import { DEVICE_SYSTEM, type DeviceRecords, toFhirDevice } from "./device-records.ts";
import { token } from "./systems.ts";

export interface DeviceQuery {
  readonly patientId?: string;
  readonly deviceId?: string;
}

/** @throws Problem "search-not-understood". */
export function parseDeviceSearch(queryString: string): DeviceQuery {
  const given = new URLSearchParams(queryString);
  given.delete("_format");
  const patientId = /^(?:Patient\/)?([0-9a-f-]{36})$/.exec(given.get("patient") ?? "")?.[1];
  const identifier = given.get("identifier") ?? "";
  const deviceId = identifier.startsWith(token(DEVICE_SYSTEM, ""))
    ? identifier.slice(token(DEVICE_SYSTEM, "").length)
    : undefined;
  if (given.size !== 1 || (patientId ?? deviceId) === undefined) {
    throw new Problem("search-not-understood", {
      detail: `Device takes patient, or identifier (${DEVICE_SYSTEM}|id), one of them`,
    });
  }
  return { ...(patientId && { patientId }), ...(deviceId && { deviceId }) };
}

export interface DeviceParts {
  readonly access: Access;
  readonly registry: Registry;
  readonly records: DeviceRecords;
  readonly tenantId: string;
  readonly clock: Clock;
}

export class Devices {
  readonly #o: DeviceParts;

  constructor(o: DeviceParts) {
    this.#o = o;
  }

  /** @throws Problem "not-found": absent and not yours look alike. */
  async read(principal: Principal, deviceId: string): Promise<FhirDevice> {
    const device = await this.#visible(principal, deviceId);
    const stored = await this.#o.records.newest(await this.#permit(principal, "read"), device.id);
    return this.#shown(principal, device, stored);
  }

  /** Every version, newest first. @throws Problem "not-found". */
  async history(principal: Principal, deviceId: string): Promise<FhirDevice[]> {
    const device = await this.#visible(principal, deviceId);
    const permit = await this.#permit(principal, "read");
    const versions = await this.#o.records.history(permit, device.id);
    return Promise.all(versions.map((version) => this.#shown(principal, device, version)));
  }

  /** Devices that measure, or measured, this patient, who must be one of the person's; or the one. */
  async search(principal: Principal, query: DeviceQuery): Promise<FhirDevice[]> {
    const { access, registry } = this.#o;
    if (query.deviceId !== undefined) {
      const device = await this.#visible(principal, query.deviceId).catch(orNothing);
      return device === undefined ? [] : [await this.read(principal, device.id)];
    }
    const { patientId = "" } = query;
    const mine = await access.patientsOf(principal);
    if (!mine.includes(patientId)) return [];
    const ids = new Set(registry.assignmentsOf({ patientId }).map((one) => one.deviceId));
    return Promise.all([...ids].map((id) => this.read(principal, id)));
  }

  /** An administrator sees every device and no patient; others the devices of their patients. */
  async #visible(principal: Principal, deviceId: string): Promise<Device> {
    const { access, registry } = this.#o;
    const device = registry.device(deviceId);
    const mine = new Set(await access.patientsOf(principal));
    const isMine = registry.assignmentsOf({ deviceId }).some((one) => mine.has(one.patientId));
    if (device === undefined || (!isMine && principal.role !== "administrator")) {
      throw new Problem("not-found");
    }
    return device;
  }

  #permit(principal: Principal, action: "read" | "search"): Promise<Permit> {
    return this.#o.access.permit({
      principal,
      patientId: this.#o.tenantId,
      purpose: principal.role === "administrator" ? "HOPERAT" : "TREAT",
      categories: ["demographics"],
      action,
    });
  }

  /** @param stored undefined in the moment before a new device's record is stored. */
  async #shown(
    principal: Principal,
    device: Device,
    stored: StoredResource | undefined,
  ): Promise<FhirDevice> {
    const { access, registry, clock } = this.#o;
    const patientId = registry.patientOf(device.id, clock.nowMs());
    const isMine =
      patientId !== undefined && (await access.patientsOf(principal)).includes(patientId);
    const onRecord = (stored?.resource as FhirDevice | undefined) ?? toFhirDevice(device);
    return {
      ...onRecord,
      id: device.id,
      ...(stored === undefined
        ? {}
        : {
            meta: {
              versionId: String(stored.version),
              lastUpdated: new Date(stored.writtenMs).toISOString(),
            },
          }),
      ...(isMine ? { patient: { reference: `Patient/${patientId}` } } : {}),
    };
  }
}

function orNothing(error: unknown): undefined {
  if (error instanceof Problem && error.code === "not-found") return undefined;
  throw error;
}
