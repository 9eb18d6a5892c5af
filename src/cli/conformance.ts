/** `vitalward conformance`: the MQTT door's protocol code for public test suites, on loopback, without patients. */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TlsOptions } from "node:tls";
import { Command, InvalidArgumentError } from "commander";
import { systemClock } from "../clock.ts";
import { createConformanceListener } from "../ingest/mqtt/conformance.ts";
import { exportTable, TABLE_FILE } from "../ingest/mqtt/conformance-table.ts";
import type { Settings } from "../ingest/mqtt/role.ts";
import { StartRefusal } from "../start-refusal.ts";

interface Options {
  data: string;
  port: number;
  tls?: true;
  cert?: string;
  key?: string;
  ca?: string;
  serverKeepAlive?: number;
  receiveMaximum?: number;
  topicAliasMaximum?: number;
  connectTimeout?: number;
  pidFile?: string;
}

export function conformanceCommand(): Command {
  const command = new Command("conformance")
    .description("let public MQTT 3.1.1 and 5 suites test the device door's protocol, on loopback")
    .requiredOption("--data <dir>", "folder of its own; refused if it holds a platform's data")
    .option("--port <n>", "port on 127.0.0.1; 0 for any free one", within(0, 65_535), 1883)
    .option("--tls", "speak TLS 1.3; needs --cert and --key")
    .option("--cert <file>", "server certificate, PEM")
    .option("--key <file>", "its private key, PEM")
    .option("--ca <file>", "take only clients with a certificate of this authority, PEM")
    .option("--server-keep-alive <s>", "tell MQTT 5 clients this keep-alive", within(1, 65_535))
    .option("--receive-maximum <n>", "messages in flight from a client", within(1, 65_535))
    .option("--topic-alias-maximum <n>", "topic aliases a client may set", within(0, 65_535))
    .option("--connect-timeout <s>", "seconds to wait for a CONNECT", within(1, 3_600))
    .option("--pid-file <file>", "write the process id there while running")
    .action(listen);
  command
    .command("export")
    .description("print what QoS 1 and 2 publishers were acknowledged: one JSON object a line")
    .addHelpText("after", "\nTakes --data DIR, the folder given to `vitalward conformance`.")
    .action((_options, self: Command) => print(self.optsWithGlobals<{ data: string }>().data));
  return command;
}

function within(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= low && value <= high && text.trim() !== "")
      return value;
    throw new InvalidArgumentError(`a whole number from ${low} to ${high}.`);
  };
}

async function listen(o: Options): Promise<void> {
  const stop = new Promise<void>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const)
      process.on(signal, () => resolve());
  });
  const listener = createConformanceListener({
    dataDir: o.data,
    clock: systemClock,
    tls: tlsOf(o),
    settings: settingsOf(o),
  });
  const port = await listener.listen(o.port).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EADDRINUSE" && error.code !== "EACCES") throw error;
    throw new StartRefusal(`Port ${o.port} (--port) cannot be used: ${error.code}.`);
  });
  if (o.pidFile !== undefined) writeFileSync(o.pidFile, `${process.pid}\n`);
  console.log(`MQTT conformance listener: 127.0.0.1:${port}${o.tls ? " (TLS)" : ""}`);
  await stop;
  await listener.close();
  if (o.pidFile !== undefined) rmSync(o.pidFile, { force: true });
}

function tlsOf(o: Options): TlsOptions | undefined {
  if (!o.tls) return undefined;
  if (o.cert === undefined || o.key === undefined) {
    throw new StartRefusal("--tls needs --cert FILE and --key FILE.");
  }
  const base = { cert: readPem("--cert", o.cert), key: readPem("--key", o.key) };
  if (o.ca === undefined) return { ...base, requestCert: false };
  return { ...base, ca: readPem("--ca", o.ca) };
}

function readPem(option: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    throw new StartRefusal(`${option} ${path} cannot be read: ${code}.`, { cause });
  }
}

function settingsOf(o: Options): Partial<Settings> {
  return {
    ...(o.serverKeepAlive === undefined ? {} : { serverKeepAliveS: o.serverKeepAlive }),
    ...(o.receiveMaximum === undefined ? {} : { receiveMaximum: o.receiveMaximum }),
    ...(o.topicAliasMaximum === undefined ? {} : { topicAliasMaximum: o.topicAliasMaximum }),
    ...(o.connectTimeout === undefined ? {} : { connectTimeoutMs: o.connectTimeout * 1000 }),
  };
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function textOf(payload: Uint8Array): string | null {
  try {
    return strictUtf8.decode(payload);
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}

function print(data: string): void {
  const path = join(data, TABLE_FILE);
  if (!existsSync(path)) throw new StartRefusal(`${path} is not there: nothing was kept yet.`);
  for (const { topic, payload, qos } of exportTable(path)) {
    const base64 = Buffer.from(payload).toString("base64");
    process.stdout.write(
      `${JSON.stringify({ topic, payload: base64, text: textOf(payload), qos })}\n`,
    );
  }
}
