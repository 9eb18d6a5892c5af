/** `vitalward device`: be a device by hand — enrol, seal, send, send again. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { systemClock } from "../clock.ts";
import { enrol } from "../device/enrol.ts";
import { saveIdentity } from "../device/identity.ts";
import { keepPrekeys, type SendAnswer, sealOnce, sendPayload } from "../device/one-shot.ts";
import { parseSamples } from "../device/samples.ts";
import { receiptCovers } from "../envelope/receipt.ts";
import { lockWithin } from "../file-lock.ts";
import { CommandFailure, systemSentence, withFile } from "./failure.ts";

const LOCK_WAIT_MS = 5_000;
const FILE_BYTES_MAX = 16 * 1_048_576;

export function deviceCommand(): Command {
  const device = new Command("device")
    .description("be a device: enrol, seal readings, send them, send them again")
    .addHelpText(
      "after",
      `
Exit codes: 0 done (send: the platform's receipt names the number), 1 refused or not reached, 2 wrong usage.
The folder of a device holds key.pem, certificate.pem, ca.pem, device.json and state.json.
samples.json and the ten-minute page: docs/device-engineer.md.`,
    );
  device
    .command("enrol")
    .description("turn a claim code into a key, a certificate and one-time prekeys")
    .requiredOption("--url <url>", "HTTPS device door, such as https://127.0.0.1:8443")
    .requiredOption("--claim <code>", "from the administrator; works once")
    .requiredOption("--out <dir>", "folder to make")
    .option("--ca <file>", "the organisation's authority, PEM; needed except on this machine")
    .option("--ed25519", "an Ed25519 key instead of P-256")
    .option("--json", "as one JSON object")
    .action(quietly(enrolDevice));
  device
    .command("seal")
    .description("seal samples into one payload for mosquitto_pub -f or curl --data-binary")
    .requiredOption("--identity <dir>", "the device's folder")
    .requiredOption("--in <file>", "samples.json")
    .requiredOption("--out <file>", "where the sealed payload goes")
    .option("--json", "as one JSON object")
    .action(quietly(sealSamples));
  device
    .command("send")
    .description("send samples or a sealed payload by HTTPS; without either, fetch prekeys")
    .requiredOption("--identity <dir>", "the device's folder")
    .option("--in <file>", "samples.json, sealed now")
    .option("--file <file>", "a payload that `seal` wrote")
    .option("--json", "as one JSON object")
    .action(quietly(send));
  device
    .command("replay")
    .description("send a sealed payload once more: it is acknowledged again and stored once")
    .requiredOption("--identity <dir>", "the device's folder")
    .requiredOption("--file <file>", "a payload that was sent before")
    .option("--json", "as one JSON object")
    .action(quietly(send));
  return device;
}

/** Refusals are one sentence and exit code 1; what is a bug keeps its stack. */
function quietly<O>(action: (options: O) => Promise<void>): (options: O) => Promise<void> {
  return async (options) => {
    try {
      await action(options);
    } catch (error) {
      const isBug = error instanceof TypeError || error instanceof ReferenceError;
      if (isBug || !(error instanceof Error)) throw error;
      console.error(`vitalward device: ${systemSentence(error) ?? error.message}`);
      process.exitCode = error instanceof CommandFailure ? error.exitCode : 1;
    }
  };
}

/** Two commands on one folder would use a number twice. */
async function locked<T>(folder: string, work: () => T | Promise<T>): Promise<T> {
  if (!existsSync(join(folder, "key.pem"))) {
    throw new CommandFailure(
      `--identity ${folder}: no device is enrolled in this folder; "vitalward device enrol --out" makes one`,
    );
  }
  const lock = await lockWithin(join(folder, "lock"), LOCK_WAIT_MS);
  if (lock === undefined) throw new Error("another program uses this device's folder");
  try {
    return await work();
  } finally {
    lock.release();
  }
}

interface Enrol {
  url: string;
  claim: string;
  out: string;
  ca?: string;
  ed25519?: boolean;
  json?: boolean;
}

async function enrolDevice(o: Enrol): Promise<void> {
  if (URL.parse(o.url)?.protocol !== "https:") {
    throw new CommandFailure(`--url ${o.url} is no address such as https://127.0.0.1:8443`, {
      usage: true,
    });
  }
  // Before the claim code is used up: it works once.
  const { ca } = o;
  const caPem = ca === undefined ? undefined : withFile("--ca", ca, () => readFileSync(ca, "utf8"));
  if (existsSync(join(o.out, "key.pem"))) {
    throw new CommandFailure(
      `--out ${o.out} holds a device's identity already; name another folder`,
    );
  }
  withFile("--out", o.out, () => mkdirSync(o.out, { recursive: true, mode: 0o700 }));
  const { identity, prekeys } = await enrol({
    url: o.url,
    claimCode: o.claim,
    ...(caPem === undefined ? {} : { caPem }),
    algorithm: o.ed25519 === true ? "Ed25519" : "P-256",
  });
  saveIdentity(o.out, identity);
  keepPrekeys(o.out, prekeys);
  const { deviceId, mqttUrl, httpsUrl } = identity;
  say(o, { deviceId, folder: o.out, mqttUrl, httpsUrl }, [
    `enrolled as ${deviceId}`,
    `key, certificate and CA are in ${o.out}`,
    `MQTT ${mqttUrl} (publish to v1/${deviceId}/up), HTTPS ${httpsUrl}/v1/envelopes`,
  ]);
}

function textOf(option: string, path: string): string {
  return withFile(option, path, () => readFileSync(path, "utf8"));
}

interface Seal {
  identity: string;
  in: string;
  out: string;
  json?: boolean;
}

async function sealSamples(o: Seal): Promise<void> {
  const measured = parseSamples(textOf("--in", o.in), systemClock.nowMs());
  const sealed = await locked(o.identity, () => sealOnce(o.identity, measured, systemClock));
  withFile("--out", o.out, () => writeFileSync(o.out, sealed.payload, { mode: 0o600 }));
  const { sequence, sessionId, prekeysLeft } = sealed;
  const bytes = sealed.payload.length;
  say(o, { sequence, sessionId, bytes, prekeysLeft, file: o.out }, [
    `sealed as number ${sequence}: ${bytes} bytes in ${o.out} (${prekeysLeft} prekeys left)`,
  ]);
}

interface Send {
  identity: string;
  in?: string;
  file?: string;
  json?: boolean;
}

async function send(o: Send): Promise<void> {
  if (o.in !== undefined && o.file !== undefined) {
    throw new CommandFailure("give --in or --file, not both", { usage: true });
  }
  await locked(o.identity, async () => {
    let payload: Uint8Array = new Uint8Array();
    let sequence: number | undefined;
    if (o.in !== undefined) {
      const measured = parseSamples(textOf("--in", o.in), systemClock.nowMs());
      const sealed = sealOnce(o.identity, measured, systemClock);
      ({ payload, sequence } = sealed);
    } else if (o.file !== undefined) {
      const { file } = o;
      payload = new Uint8Array(withFile("--file", file, () => readFileSync(file)));
      if (payload.length > FILE_BYTES_MAX) throw new Error("the file is too large");
    }
    report(o, await sendPayload(o.identity, payload), sequence);
  });
}

function report(o: Send, answer: SendAnswer, sequence: number | undefined): void {
  const { status, problem, prekeysLeft } = answer;
  const receipts = answer.receipts.map((r) => ({
    sessionId: r.sessionId,
    contiguous: r.contiguous,
    refused: r.refused,
    storeEpoch: r.storeEpoch,
  }));
  const isKept =
    sequence === undefined || answer.receipts.some((receipt) => receiptCovers(receipt, sequence));
  const lines = [
    problem === undefined ? `taken (HTTP ${status})` : `refused (HTTP ${status}): ${problem}`,
    ...receipts.map((r) => `receipt: everything up to number ${r.contiguous} is kept`),
    ...receipts.flatMap((r) => r.refused.map((x) => `refused: ${x.sequence} (${x.problem})`)),
    `${prekeysLeft} prekeys left`,
  ];
  say(o, { status, problem: problem ?? null, sequence, receipts, prekeysLeft }, lines);
  if (problem !== undefined || !isKept) process.exitCode = 1;
}

function say(o: { json?: boolean }, answer: object, lines: readonly string[]): void {
  console.log(o.json === true ? JSON.stringify(answer) : lines.join("\n"));
}
