/** `vitalward export`: stored samples as ndjson or CSV, through the same door and permit as any read. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { loadConfig } from "../config.ts";
import { FORMATS, type Format } from "../exchange/export.ts";
import { CommandFailure } from "./failure.ts";
import { askOperator } from "./operator-client.ts";

interface Options {
  as: string;
  patient?: string;
  from?: string;
  to?: string;
  format: Format;
}

export function exportCommand(): Command {
  return new Command("export")
    .description("list stored samples with device, sequence number and time")
    .requiredOption("--as <person>", "who asks: id, whole name, or role; sees only their patients")
    .option("--patient <id>", "one patient; without it every patient of that person")
    .option("--from <time>", "ISO 8601 with offset, from then on", time)
    .option("--to <time>", "ISO 8601 with offset, before then", time)
    .addOption(new Option("--format <format>", "form").choices(FORMATS).default("ndjson"))
    .addHelpText(
      "after",
      `
It works only beside the data folder of a running platform (VITALWARD_DATA), and only while that
platform serves plain HTTP on 127.0.0.1, as it does unless VITALWARD_BIND says otherwise. One that
serves HTTPS gives the same by GET /api/patients/<id>/export?format=csv with a bearer token
(vitalward token). Every patient opened is one entry in the audit table, as with any other read.

What is stored but cannot be read (altered or removed behind the platform) is a line of its own with
"unreadable" in ndjson. CSV has no place for it: everything readable is printed, then the command
fails. A CSV is whole only if the command ended with status 0.`,
    )
    .action(exportSamples);
}

const WITH_OFFSET = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/;

function time(text: string): string {
  if (WITH_OFFSET.test(text) && !Number.isNaN(Date.parse(text))) return text;
  throw new InvalidArgumentError("It must be a time such as 2026-03-01T08:00:00Z.");
}

async function exportSamples(o: Options): Promise<void> {
  // Whoever reads no further (`| head`) ends us: nothing is wrong then.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
  const { dataDir } = loadConfig(process.env);
  const { token } = await askOperator<{ token: string }>(dataDir, { ask: "token", as: o.as });
  const ports = JSON.parse(readFileSync(join(dataDir, "ports.json"), "utf8")) as { http: number };
  const ask = (path: string) => fetchOrRefuse(`http://127.0.0.1:${ports.http}${path}`, token);
  const patients = o.patient === undefined ? await patientsOf(ask) : [o.patient];
  let isFirst = true;
  for (const patient of patients) {
    const query = new URLSearchParams({ format: o.format });
    if (o.from !== undefined) query.set("from", o.from);
    if (o.to !== undefined) query.set("to", o.to);
    const response = await ask(`/api/patients/${encodeURIComponent(patient)}/export?${query}`);
    await print(response, o.format === "csv" && !isFirst);
    isFirst = false;
  }
}

async function patientsOf(ask: (path: string) => Promise<Response>): Promise<string[]> {
  const bundle = (await (await ask("/fhir/R4/Patient?_count=1000")).json()) as {
    entry?: { resource: { id: string } }[];
  };
  return (bundle.entry ?? []).map((entry) => entry.resource.id);
}

async function fetchOrRefuse(url: string, token: string): Promise<Response> {
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(url, { headers }).catch((cause) => {
    throw new CommandFailure(
      `the platform does not answer by plain HTTP at ${new URL(url).origin}: export works only while it listens on 127.0.0.1; from one that serves HTTPS, fetch /api/patients/<id>/export with a token of "vitalward token"`,
      { cause },
    );
  });
  if (response.ok) return response;
  const body = (await response.json()) as { title?: string; detail?: string };
  throw new CommandFailure(
    `the platform answered ${response.status}: ${[body.title, body.detail].filter(Boolean).join(": ")}`,
  );
}

/** A second CSV part repeats the head line, which is left out. */
async function print(response: Response, dropsHead: boolean): Promise<void> {
  if (response.body === null) return;
  let isDropping = dropsHead;
  const pieces = response.body.pipeThrough(new TextDecoderStream())[Symbol.asyncIterator]();
  for (;;) {
    const { done, value } = await pieces.next().catch((cause: unknown) => {
      throw new CommandFailure(
        "the platform broke the export off: what was printed is not whole (damaged data in a CSV, a permit that ended, or a stopped platform)",
        { cause },
      );
    });
    if (done) return;
    const text = isDropping ? value.slice(value.indexOf("\n") + 1) : value;
    isDropping = false;
    if (!process.stdout.write(text)) await once(process.stdout, "drain");
  }
}
