/** Ports of the doors: taken ones are refused in one sentence, before anything else is started. */
import { once } from "node:events";
import { createServer } from "node:net";
import type { Config } from "./config.ts";
import { StartRefusal } from "./start-refusal.ts";

export type PortSetting = "VITALWARD_HTTP_PORT" | "VITALWARD_MQTT_PORT" | "VITALWARD_DEVICE_PORT";

/** Asks for each port once, early. The doors themselves go through `orRefuse` as well.
 * @throws StartRefusal naming the port and its setting. */
export async function refusePortsInUse(config: Config): Promise<void> {
  const wanted: [PortSetting, number][] = [
    ["VITALWARD_HTTP_PORT", config.httpPort],
    ["VITALWARD_MQTT_PORT", config.mqttPort],
    ["VITALWARD_DEVICE_PORT", config.devicePort],
  ];
  for (const [setting, port] of wanted) {
    const twin = wanted.find(([other, same]) => other !== setting && same === port && port !== 0);
    if (twin) throw new StartRefusal(`${setting} and ${twin[0]} are both ${port}`);
    if (port !== 0) await orRefuse(setting, port, config.bind, probe(port, config.bind));
  }
}

/** Turns a failed listen into the sentence for the operator. */
export async function orRefuse<T>(
  setting: PortSetting,
  port: number,
  bind: string,
  listening: Promise<T>,
): Promise<T> {
  try {
    return await listening;
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === "EADDRINUSE") {
      throw new StartRefusal(
        `port ${port} on ${bind} is in use by another program; stop it, or set ${setting} to another port (0 = any free one)`,
        { cause },
      );
    }
    if (code === "EACCES") {
      throw new StartRefusal(`port ${port} needs rights you do not have; set ${setting}`, {
        cause,
      });
    }
    if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND") {
      throw new StartRefusal(`VITALWARD_BIND: ${bind} is no address of this machine`, { cause });
    }
    throw cause;
  }
}

async function probe(port: number, host: string): Promise<void> {
  const server = createServer();
  server.listen(port, host);
  await once(server, "listening");
  server.close();
  await once(server, "close");
}
