/** The device doors, MQTT and HTTPS, in front of one admission; a barred device is cut off at both. */
import type { Clock } from "./clock.ts";
import type { Config } from "./config.ts";
import type { Admission } from "./ingest/admit.ts";
import { createDeviceDoor } from "./ingest/https.ts";
import { createMqttEndpoint } from "./ingest/mqtt/endpoint.ts";
import { orRefuse } from "./ports.ts";
import type { Presence } from "./presence.ts";
import type { ProblemCode } from "./problems.ts";
import { registerEnrolmentRoutes } from "./registry/enrolment.ts";
import type { Registry } from "./registry/registry.ts";

export interface DeviceDoorsOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly registry: Registry;
  readonly admission: Admission;
  readonly presence: Presence;
}

export interface DeviceDoors {
  readonly mqtt: number;
  readonly device: number;
}

/** Where a device on this machine reaches the HTTPS door. */
export function httpsDoorUrl(bind: string, port: number): string {
  return `https://${doorHost(bind)}:${port}`;
}

/** Opens both; what must close is pushed onto `parts`. */
export async function openDeviceDoors(
  o: DeviceDoorsOptions,
  parts: AsyncDisposableStack,
): Promise<DeviceDoors> {
  const { config, clock, registry, admission, presence } = o;
  const ports = { mqtt: config.mqttPort, device: config.devicePort };
  const shared = {
    tls: registry.serverTls(),
    authenticate: registry.authenticate.bind(registry),
    admit: admission.admit,
    clock,
    presence,
    onRefusal: (problem: ProblemCode, deviceId: string | undefined) =>
      admission.events.note(problem, deviceId ?? ""),
  };
  const mqtt = createMqttEndpoint({ ...shared, admitThen: admission.admitThen });
  parts.defer(() => mqtt.close());
  const https = await createDeviceDoor({
    ...shared,
    routes: (app) =>
      registerEnrolmentRoutes(app, {
        registry,
        clock,
        prekeys: (deviceId) => admission.prekeysFor(deviceId),
        doors: () => ({
          mqttUrl: `mqtts://${doorHost(config.bind)}:${ports.mqtt}`,
          httpsUrl: httpsDoorUrl(config.bind, ports.device),
        }),
      }),
  });
  parts.defer(() => https.close());
  // A device that is not on MQTT finds its downlink at the HTTPS door.
  admission.onDownlink((deviceId, bytes) => {
    if (!mqtt.send(deviceId, bytes)) https.send(deviceId, bytes);
  });
  parts.defer(
    registry.on("barred", ({ deviceId, problem }) => {
      mqtt.disconnect(deviceId, problem);
      https.disconnect(deviceId);
    }),
  );
  const { bind } = config;
  ports.mqtt = await orRefuse(
    "VITALWARD_MQTT_PORT",
    ports.mqtt,
    bind,
    mqtt.listen(ports.mqtt, bind),
  );
  ports.device = await orRefuse(
    "VITALWARD_DEVICE_PORT",
    ports.device,
    bind,
    https.listen(ports.device, bind),
  );
  return ports;
}

/** How a device on this machine reaches the doors; elsewhere the certificate's name decides. */
function doorHost(bind: string): string {
  if (bind === "0.0.0.0" || bind === "::") return "localhost";
  return bind.includes(":") ? `[${bind}]` : bind;
}
