/**
 * Every setting: its unit, its default, and what it changes. They come from the environment or
 * from one JSON file (`VITALWARD_CONFIG`) with the same names; the environment wins.
 * Closed by default: an unknown or senseless setting refuses to start.
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { StartRefusal } from "./start-refusal.ts";

export interface Setting {
  readonly name: string;
  /** What the text means, for instance "port" or "path". */
  readonly unit: string;
  /** As text; undefined where there is none. */
  readonly fallback: string | undefined;
  /** What changes for whom, in a sentence. */
  readonly consequence: string;
}

export const SETTINGS = [
  {
    name: "VITALWARD_DATA",
    unit: "path of a folder",
    fallback: "./data",
    consequence:
      "everything the platform keeps lies here; whoever copies it has everything but the passphrase",
  },
  {
    name: "VITALWARD_BIND",
    unit: "IP address",
    fallback: "127.0.0.1",
    consequence:
      "the address all doors listen on; any other than loopback opens them to the network",
  },
  {
    name: "VITALWARD_HTTP_PORT",
    unit: "TCP port, 0 = any free one",
    fallback: "8080",
    consequence:
      "console, FHIR and API: plain HTTP on loopback, HTTPS with VITALWARD_TLS_CERT beyond it",
  },
  {
    name: "VITALWARD_MQTT_PORT",
    unit: "TCP port, 0 = any free one",
    fallback: "8883",
    consequence: "MQTT door of the devices: TLS 1.3 with client certificates",
  },
  {
    name: "VITALWARD_DEVICE_PORT",
    unit: "TCP port, 0 = any free one",
    fallback: "8443",
    consequence: "HTTPS door of the devices, and enrolment by claim code",
  },
  {
    name: "VITALWARD_COAP_PORT",
    unit: "UDP port",
    fallback: undefined,
    consequence: "reserved: there is no CoAP door yet, and setting it refuses to start",
  },
  {
    name: "DATABASE_URL",
    unit: "PostgreSQL connection string",
    fallback: undefined,
    consequence:
      "uses that PostgreSQL (16 or newer) instead of starting the embedded one in the data folder",
  },
  {
    name: "VITALWARD_PASSPHRASE_FILE",
    unit: "path of a file",
    fallback: undefined,
    consequence:
      "the passphrase that unlocks the keystore is its first line; without it a terminal asks, and the demonstration makes one in its data folder",
  },
  {
    name: "VITALWARD_TLS_CERT",
    unit: "path of a PEM file",
    fallback: undefined,
    consequence:
      "server certificate chain of the device doors; without it the organisation's own authority issues one for localhost",
  },
  {
    name: "VITALWARD_TLS_KEY",
    unit: "path of a PEM file",
    fallback: undefined,
    consequence: "private key of VITALWARD_TLS_CERT; the two are set together or not at all",
  },
  {
    name: "VITALWARD_PUBLIC_URL",
    unit: "https:// address",
    fallback: undefined,
    consequence:
      "where people reach the console through a reverse proxy: its pages may sign in and write, sign-in links begin with it, and cookies travel by TLS only",
  },
  {
    name: "VITALWARD_LOG_LEVEL",
    unit: "trace, debug, info, warn, error or silent",
    fallback: "info",
    consequence: "how much the diagnostics on standard error say; never a name or a value",
  },
  {
    name: "VITALWARD_CONFIG",
    unit: "path of a JSON file",
    fallback: undefined,
    consequence: "settings from one file, by these names; the environment wins over it",
  },
] as const satisfies readonly Setting[];

export type SettingName = (typeof SETTINGS)[number]["name"];

export interface Config {
  readonly dataDir: string;
  /** Whether `dataDir` is the default rather than somebody's choice: only then may root's
   * PostgreSQL folder move to where `nobody` can reach it. */
  readonly dataDirIsDefault: boolean;
  readonly bind: string;
  readonly httpPort: number;
  readonly mqttPort: number;
  readonly devicePort: number;
  readonly databaseUrl: string | undefined;
  readonly passphraseFile: string | undefined;
  readonly tls: { readonly certFile: string; readonly keyFile: string } | undefined;
  /** Scheme, host and port only. */
  readonly publicUrl: string | undefined;
  readonly logLevel: string;
}

/** @throws StartRefusal naming the setting that is unknown, missing its partner, or senseless. */
export function loadConfig(
  env: Readonly<Record<string, string | undefined>>,
  file: string | undefined = env.VITALWARD_CONFIG,
): Config {
  const given = { ...(file === undefined ? {} : readConfigFile(file)), ...pick(env) };
  for (const name of Object.keys(given)) {
    if (!SETTINGS.some((setting) => setting.name === name)) {
      throw new StartRefusal(`unknown setting ${name}; the settings are in docs/administrator.md`);
    }
  }
  const text = (name: SettingName): string | undefined =>
    given[name] ?? SETTINGS.find((setting) => setting.name === name)?.fallback;
  if (given.VITALWARD_COAP_PORT !== undefined) {
    throw new StartRefusal("VITALWARD_COAP_PORT is set, but this release has no CoAP door");
  }
  return {
    dataDir: resolve(text("VITALWARD_DATA") as string),
    dataDirIsDefault: given.VITALWARD_DATA === undefined,
    bind: text("VITALWARD_BIND") as string,
    httpPort: port("VITALWARD_HTTP_PORT", text("VITALWARD_HTTP_PORT")),
    mqttPort: port("VITALWARD_MQTT_PORT", text("VITALWARD_MQTT_PORT")),
    devicePort: port("VITALWARD_DEVICE_PORT", text("VITALWARD_DEVICE_PORT")),
    databaseUrl: text("DATABASE_URL"),
    passphraseFile: absolute(text("VITALWARD_PASSPHRASE_FILE")),
    tls: tlsFiles(given.VITALWARD_TLS_CERT, given.VITALWARD_TLS_KEY),
    publicUrl: publicOrigin(text("VITALWARD_PUBLIC_URL")),
    logLevel: level(text("VITALWARD_LOG_LEVEL") as string),
  };
}

function pick(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const entries = Object.entries(env).filter(
    (entry): entry is [string, string] =>
      (entry[0].startsWith("VITALWARD_") || entry[0] === "DATABASE_URL") &&
      entry[1] !== undefined &&
      entry[1] !== "",
  );
  return Object.fromEntries(entries);
}

function readConfigFile(path: string): Record<string, string> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new StartRefusal(`VITALWARD_CONFIG: ${path} cannot be read as JSON`, { cause });
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw new StartRefusal(`VITALWARD_CONFIG: ${path} must hold one JSON object`);
  }
  return Object.fromEntries(
    Object.entries(parsed).map(([name, value]) => {
      if (typeof value === "string" || typeof value === "number") return [name, String(value)];
      throw new StartRefusal(`VITALWARD_CONFIG: ${name} must be text or a number`);
    }),
  );
}

function port(name: SettingName, text: string | undefined): number {
  const value = Number(text);
  if (/^\d+$/.test(text ?? "") && value <= 65_535) return value;
  throw new StartRefusal(`${name} must be a port from 0 to 65535`);
}

function level(text: string): string {
  if (/^(trace|debug|info|warn|error|silent)$/.test(text)) return text;
  throw new StartRefusal(
    "VITALWARD_LOG_LEVEL must be one of trace, debug, info, warn, error, silent",
  );
}

function tlsFiles(certFile: string | undefined, keyFile: string | undefined): Config["tls"] {
  if (certFile !== undefined && keyFile !== undefined) {
    return { certFile: resolve(certFile), keyFile: resolve(keyFile) };
  }
  if (certFile === undefined && keyFile === undefined) return undefined;
  throw new StartRefusal("VITALWARD_TLS_CERT and VITALWARD_TLS_KEY are set together or not at all");
}

function publicOrigin(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const url = URL.parse(text);
  if (url?.protocol === "https:" && url.pathname === "/" && !url.search && !url.hash) {
    return url.origin;
  }
  throw new StartRefusal(
    "VITALWARD_PUBLIC_URL must be like https://ward.example, without a path: a session must not cross a network by plain HTTP",
  );
}

function absolute(path: string | undefined): string | undefined {
  return path === undefined ? undefined : resolve(path);
}
