/**
 * The demonstration ward's own process: fills the platform, then plays recorded people into it until
 * it is stopped. Usage: node demo/main.ts <data folder of the running platform>
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { enrolledDevices, playWard } from "./play.ts";
import { provision } from "./provision.ts";

const dataDir = process.argv[2];
if (dataDir === undefined) {
  console.error("usage: node demo/main.ts <data folder of the running platform>");
  process.exit(2);
}
const stop = new AbortController();
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
  process.on(signal, () => stop.abort());
}
// Without the platform there is nobody to play to.
process.on("disconnect", () => stop.abort());

const ports = JSON.parse(readFileSync(join(dataDir, "ports.json"), "utf8")) as {
  http: number;
  mqtt: number;
  device: number;
};
const folder = join(dataDir, "demo");
const claims = await provision({
  dataDir,
  folder,
  httpUrl: `http://127.0.0.1:${ports.http}`,
  enrolled: enrolledDevices(folder),
  nowMs: Date.now(),
});
process.send?.("provisioned");
await playWard({
  folder,
  mqttUrl: `mqtts://127.0.0.1:${ports.mqtt}`,
  httpsUrl: `https://127.0.0.1:${ports.device}`,
  caPem: readFileSync(join(dataDir, "ca.pem"), "utf8"),
  claims,
  signal: stop.signal,
});
process.exit(0);
