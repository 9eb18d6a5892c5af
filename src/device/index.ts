/** The device SDK: everything a device program needs. */
export { Device, type DeviceEvent, type DeviceOptions, type DeviceStatus } from "./device.ts";
export { type EnrolOptions, enrol } from "./enrol.ts";
export { httpsTransport } from "./https-transport.ts";
export { type Enrolled, loadIdentity, saveIdentity } from "./identity.ts";
export { mqttTransport } from "./mqtt-transport.ts";
export { parseSamples } from "./samples.ts";
export type { Measured } from "./sealing.ts";
export type { Connection, Transport, TransportEvents, TransportIdentity } from "./transport.ts";
