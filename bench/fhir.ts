/**
 * The FHIR door under load, audit and encryption on, sixteen clients, beside fixed figures of Medplum
 * 5.1.12 on a machine of two cores with its audit off: they were measured elsewhere and are labelled so.
 */
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { askOperator } from "../src/cli/operator-client.ts";
import type { BenchCase } from "./measure.ts";
import { type Served, serve } from "./served.ts";

const CLIENTS = 16;
const ROUNDS = 5;
const SECONDS_A_ROUND = 4;
const PATIENTS = 8;
const MEDPLUM = "fixed figure: Medplum 5.1.12, 2 cores, audit off, 16 clients";

interface Setting {
  readonly served: Served;
  readonly token: string;
  readonly patients: readonly string[];
  readonly agent: Agent;
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

export async function* cases(): AsyncGenerator<BenchCase> {
  const dataDir = mkdtempSync(join(tmpdir(), "vitalward-bench-fhir-"));
  const served = await serve(dataDir);
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
  try {
    yield* measure(await prepare(served, agent));
  } finally {
    agent.destroy();
    await served.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

async function prepare(served: Served, agent: Agent): Promise<Setting> {
  const { dataDir } = served;
  const person = { ask: "create-person", name: "Bench Doctor", role: "doctor" } as const;
  const { id } = await askOperator<{ id: string }>(dataDir, person);
  const { token } = await askOperator<{ token: string }>(dataDir, { ask: "token", as: id });
  const setting = { served, token, agent, patients: [] as string[] };
  for (let at = 0; at < PATIENTS; at++) {
    const patient = { resourceType: "Patient", name: [{ family: "Bench", given: [`${at}`] }] };
    const { text } = await post(setting, "/Patient", patient);
    setting.patients.push((JSON.parse(text) as { id: string }).id);
  }
  return setting;
}

async function* measure(setting: Setting): AsyncGenerator<BenchCase> {
  const bytesBefore = await setting.served.databaseBytes();
  let written = 0;
  const ids: string[] = [];
  const create = await rate(async () => {
    const answer = await post(setting, "/Observation", observation(setting));
    expect(answer, 201);
    written++;
    if (ids.length < 2_000) ids.push((JSON.parse(answer.text) as { id: string }).id);
    return 1;
  });
  yield better("create", create, "Observations/s", 341);
  const batch = await rate(async () => {
    const answer = await post(setting, "/", batchOf(setting, 100));
    expect(answer, 200);
    written += 100;
    return 100;
  });
  yield better("batch of 100", batch, "Observations/s", 354);
  const bytes = ((await setting.served.databaseBytes()) - bytesBefore) / written;
  const read = await rate(async () => {
    const id = ids[Math.floor(Math.random() * ids.length)];
    expect(await ask(setting, `/Observation/${id}`), 200);
    return 1;
  });
  yield better("read under a held lease", read, "reads/s", 2_519);
  const search = await rate(async () => {
    const patient = setting.patients[Math.floor(Math.random() * PATIENTS)];
    expect(await ask(setting, `/Observation?patient=${patient}&code=8867-4&_count=100`), 200);
    return 1;
  });
  yield better("search page of 100", search, "pages/s", 219);
  yield {
    case: "bytes written by FHIR",
    value: bytes,
    unit: "bytes/Observation",
    reference: MEDPLUM,
    referenceValue: 4_900,
    ratio: 4_900 / bytes,
  };
}

function better(name: string, value: number, unit: string, referenceValue: number): BenchCase {
  return {
    case: name,
    value,
    unit,
    reference: MEDPLUM,
    referenceValue,
    ratio: value / referenceValue,
  };
}

/** Median over rounds of what sixteen clients get done a second. */
async function rate(act: () => Promise<number>): Promise<number> {
  const rates: number[] = [];
  for (let round = 0; round < ROUNDS + 1; round++) {
    const startMs = performance.now();
    const endMs = startMs + SECONDS_A_ROUND * 1000;
    let done = 0;
    const client = async () => {
      while (performance.now() < endMs) {
        const one = await act();
        done += one; // not `done += await …`: that reads `done` before it waits
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, client));
    // The first round warms up.
    if (round > 0) rates.push((done * 1000) / (performance.now() - startMs));
  }
  return rates.toSorted((a, b) => a - b)[Math.floor(rates.length / 2)] ?? 0;
}

function observation({ patients }: Setting) {
  return {
    resourceType: "Observation",
    status: "final",
    category: [
      {
        coding: [
          {
            system: "http://terminology.hl7.org/CodeSystem/observation-category",
            code: "vital-signs",
          },
        ],
      },
    ],
    code: { coding: [{ system: "http://loinc.org", code: "8867-4" }] },
    subject: { reference: `Patient/${patients[Math.floor(Math.random() * patients.length)]}` },
    effectiveDateTime: new Date(Date.now() - Math.floor(Math.random() * 86_400_000)).toISOString(),
    valueQuantity: {
      value: 40 + Math.floor(Math.random() * 100),
      unit: "/min",
      system: "http://unitsofmeasure.org",
      code: "/min",
    },
    identifier: [{ system: "urn:bench", value: randomUUID() }],
  };
}

function batchOf(setting: Setting, size: number) {
  return {
    resourceType: "Bundle",
    type: "batch",
    entry: Array.from({ length: size }, () => ({
      resource: observation(setting),
      request: { method: "POST", url: "Observation" },
    })),
  };
}

function expect(answer: Answer, status: number): void {
  if (answer.status !== status) {
    throw new Error(`${answer.status} instead of ${status}: ${answer.text.slice(0, 500)}`);
  }
}

function post(setting: Omit<Setting, "patients">, path: string, body: unknown): Promise<Answer> {
  return send(setting, "POST", path, JSON.stringify(body));
}

function ask(setting: Setting, path: string): Promise<Answer> {
  return send(setting, "GET", path);
}

/** node:http and not fetch: the client must cost less than what it measures. */
function send(
  { served, token, agent }: Omit<Setting, "patients">,
  method: string,
  path: string,
  body?: string,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        agent,
        method,
        host: "127.0.0.1",
        port: served.ports.http,
        path: `/fhir/R4${path}`,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined
            ? {}
            : {
                "content-type": "application/fhir+json",
                "content-length": Buffer.byteLength(body),
              }),
        },
      },
      (response) => {
        const parts: Buffer[] = [];
        response.on("data", (part: Buffer) => parts.push(part));
        response.on("error", reject);
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString() }),
        );
      },
    );
    asked.on("error", reject);
    asked.end(body);
  });
}
