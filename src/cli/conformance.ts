/** `vitalward conformance`: the MQTT door's protocol code for public test suites, on loopback, without patients. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createSecureContext, type TlsOptions } from "node:tls";
import { Command, InvalidArgumentError } from "commander";
import { systemClock } from "../clock.ts";
import { createConformanceListener } from "../ingest/mqtt/conformance.ts";
import { exportTable, TABLE_FILE } from "../ingest/mqtt/conformance-table.ts";
import type { Settings } from "../ingest/mqtt/role.ts";
import { Problem } from "../problems.ts";
import { StartRefusal } from "../start-refusal.ts";
import { CommandFailure, checkPidFile, systemSentence } from "./failure.ts";

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
    throw new InvalidArgumentError(`It must be a whole number from ${low} to ${high}.`);
  };
}

async function listen(o: Options): Promise<void> {
  const stop = new Promise<void>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const)
      process.on(signal, () => resolve());
  });
  if (o.pidFile !== undefined) checkPidFile(o.pidFile);
  const tls = tlsOf(o);
  const settings = settingsOf(o);
  const listener = refusing(`--data ${o.data}`, () =>
    createConformanceListener({ dataDir: o.data, clock: systemClock, tls, settings }),
  );
  const port = await listener.listen(o.port).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EADDRINUSE" && error.code !== "EACCES") throw error;
    const why = error.code === "EACCES" ? "you may not use it" : "another program uses it";
    throw new StartRefusal(`--port ${o.port}: ${why}`);
  });
  if (o.pidFile !== undefined) writeFileSync(o.pidFile, `${process.pid}\n`);
  console.log(`MQTT conformance listener: 127.0.0.1:${port}${o.tls ? " (TLS)" : ""}`);
  await stop;
  await listener.close();
  if (o.pidFile !== undefined) rmSync(o.pidFile, { force: true });
}

function tlsOf(o: Options): TlsOptions | undefined {
  if (!o.tls) return undefined;
  const { cert: certFile, key: keyFile } = o;
  if (certFile === undefined || keyFile === undefined) {
    throw new CommandFailure("--tls needs --cert FILE and --key FILE", { usage: true });
  }
  const cert = readPem("--cert", certFile, (pem) => createSecureContext({ cert: pem }));
  const key = readPem("--key", keyFile, createPrivateKey);
  refusing(`--key ${keyFile} is not the key of --cert ${certFile}`, () =>
    createSecureContext({ cert, key }),
  );
  if (o.ca === undefined) return { cert, key, requestCert: false };
  return { cert, key, ca: readPem("--ca", o.ca, (pem) => new X509Certificate(pem)) };
}

function readPem(option: string, path: string, parse: (pem: Buffer) => unknown): Buffer {
  const pem = refusing(`${option} ${path}`, () => readFileSync(path));
  refusing(`${option} ${path} is not PEM of that kind`, () => parse(pem));
  return pem;
}

/** What the system or OpenSSL throws, as one sentence. @throws StartRefusal; the Problem of `work`. */
function refusing<T>(about: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof Problem) throw cause;
    const sentence = systemSentence(cause);
    throw new StartRefusal(sentence === undefined ? about : `${about}: ${sentence}`, { cause });
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
  if (!existsSync(path))
    throw new CommandFailure(`--data: ${path} is not there: nothing was kept yet`);
  for (const { topic, payload, qos } of exportTable(path)) {
    const base64 = Buffer.from(payload).toString("base64");
    process.stdout.write(
      `${JSON.stringify({ topic, payload: base64, text: textOf(payload), qos })}\n`,
    );
  }
}
