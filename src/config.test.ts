import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { loadConfig } from "./config.ts";
import { StartRefusal } from "./start-refusal.ts";

const refusal = (words: RegExp) => (error: unknown) =>
  error instanceof StartRefusal && words.test(error.message);

test("without any setting the platform keeps to itself: loopback and ./data", () => {
  assert.deepEqual(loadConfig({ PATH: "/bin", HOME: "/" }), {
    dataDir: resolve("data"),
    dataDirIsDefault: true,
    bind: "127.0.0.1",
    httpPort: 8080,
    mqttPort: 8883,
    devicePort: 8443,
    databaseUrl: undefined,
    passphraseFile: undefined,
    tls: undefined,
    publicUrl: undefined,
    logLevel: "info",
  });
});

const SENSELESS: [string, Record<string, string>, RegExp][] = [
  ["an unknown setting", { VITALWARD_HTPP_PORT: "1" }, /VITALWARD_HTPP_PORT/],
  ["the reserved CoAP port", { VITALWARD_COAP_PORT: "5684" }, /no CoAP door/],
  ["a port that is no number", { VITALWARD_HTTP_PORT: "http" }, /VITALWARD_HTTP_PORT/],
  ["a port past the last", { VITALWARD_MQTT_PORT: "65536" }, /VITALWARD_MQTT_PORT/],
  ["a negative port", { VITALWARD_DEVICE_PORT: "-1" }, /VITALWARD_DEVICE_PORT/],
  ["a certificate without its key", { VITALWARD_TLS_CERT: "c.pem" }, /together/],
  ["a key without its certificate", { VITALWARD_TLS_KEY: "k.pem" }, /together/],
  ["a public address without TLS", { VITALWARD_PUBLIC_URL: "http://ward.example" }, /https:/],
  ["a public address with a path", { VITALWARD_PUBLIC_URL: "https://w.example/a" }, /path/],
  ["a public address that is none", { VITALWARD_PUBLIC_URL: "ward" }, /VITALWARD_PUBLIC_URL/],
  ["a log level that is none", { VITALWARD_LOG_LEVEL: "loud" }, /VITALWARD_LOG_LEVEL/],
  ["a settings file that is not there", { VITALWARD_CONFIG: "no.json" }, /VITALWARD_CONFIG/],
];
for (const [what, env, words] of SENSELESS) {
  test(`${what} refuses to start and is named`, () => {
    assert.throws(() => loadConfig(env), refusal(words));
  });
}

test("an empty setting counts as not given", () => {
  assert.equal(loadConfig({ VITALWARD_HTTP_PORT: "" }).httpPort, 8080);
});

test("settings come from one JSON file too, and the environment wins", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "vitalward-config-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "settings.json");
  writeFileSync(file, JSON.stringify({ VITALWARD_HTTP_PORT: 9000, VITALWARD_MQTT_PORT: "9001" }));
  const config = loadConfig({ VITALWARD_CONFIG: file, VITALWARD_MQTT_PORT: "9002" });
  assert.deepEqual([config.httpPort, config.mqttPort], [9000, 9002]);
  writeFileSync(file, JSON.stringify({ VITALWARD_COLOUR: "blue" }));
  assert.throws(() => loadConfig({ VITALWARD_CONFIG: file }), refusal(/VITALWARD_COLOUR/));
  writeFileSync(file, JSON.stringify({ VITALWARD_HTTP_PORT: { a: 1 } }));
  assert.throws(() => loadConfig({ VITALWARD_CONFIG: file }), refusal(/VITALWARD_HTTP_PORT/));
  writeFileSync(file, "[]");
  assert.throws(() => loadConfig({ VITALWARD_CONFIG: file }), refusal(/one JSON object/));
});
