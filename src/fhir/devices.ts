/** Device: what the registry knows, as a projection. It names no patient to whom it is none of theirs. */
import type { Device as FhirDevice } from "@medplum/fhirtypes";
import type { Access } from "../access/access.ts";
import type { Principal } from "../access/principal.ts";
import type { Clock } from "../clock.ts";
import { Problem } from "../problems.ts";
import type { Device, DeviceState, Registry } from "../registry/registry.ts";

const STATUS: Readonly<Record<DeviceState, NonNullable<FhirDevice["status"]>>> = {
  claimed: "inactive",
  enrolled: "active",
  suspended: "inactive",
  quarantined: "inactive",
  revoked: "inactive",
};

export class Devices {
  readonly #access: Access;
  readonly #registry: Registry;
  readonly #clock: Clock;

  constructor(o: { access: Access; registry: Registry; clock: Clock }) {
    this.#access = o.access;
    this.#registry = o.registry;
    this.#clock = o.clock;
  }

  /** @throws Problem "not-found": absent and not yours look alike. */
  async read(principal: Principal, deviceId: string): Promise<FhirDevice> {
    const device = this.#registry.device(deviceId);
    const visible = device === undefined ? undefined : await this.#visible(principal, device);
    if (visible === undefined) throw new Problem("not-found");
    return visible;
  }

  /** Devices that measure, or measured, this patient, who must be one of the person's. */
  async ofPatient(principal: Principal, patientId: string): Promise<FhirDevice[]> {
    const mine = await this.#access.patientsOf(principal);
    if (!mine.includes(patientId)) return [];
    const ids = new Set(this.#registry.assignmentsOf({ patientId }).map((one) => one.deviceId));
    const found = await Promise.all(
      [...ids].map((id) => {
        const device = this.#registry.device(id);
        return device && this.#visible(principal, device);
      }),
    );
    return found.filter((one) => one !== undefined);
  }

  /** An administrator sees every device and no patient; others the devices of their patients. */
  async #visible(principal: Principal, device: Device): Promise<FhirDevice | undefined> {
    const mine = new Set(await this.#access.patientsOf(principal));
    const assignments = this.#registry.assignmentsOf({ deviceId: device.id });
    const isMine = assignments.some((one) => mine.has(one.patientId));
    if (!isMine && principal.role !== "administrator") return undefined;
    const patientId = this.#registry.patientOf(device.id, this.#clock.nowMs());
    const isShown = patientId !== undefined && mine.has(patientId);
    return {
      resourceType: "Device",
      id: device.id,
      status: STATUS[device.state],
      deviceName: [{ name: device.label, type: "user-friendly-name" }],
      type: { text: device.kind },
      ...(device.note === "" ? {} : { note: [{ text: device.note }] }),
      ...(isShown ? { patient: { reference: `Patient/${patientId}` } } : {}),
    };
  }
}
