/**
 * Durable ingest of sealed envelopes through the real MQTT door of a real platform.
 *
 * "1-sample": messages per second from the first publish to the last PUBACK, median of three rounds after
 * one that warms up, beside Aedes from the same client process in the same run. Client and server share
 * the machine: on two cores the client alone bounds Aedes (docs/performance.md). The others: samples per
 * second beside PostgreSQL's COPY of as many rows.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { askOperator } from "../src/cli/operator-client.ts";
import { newRequest } from "../test/support/csr.ts";
import { testAuthority } from "../test/support/device-certificates.ts";
import { type RunningPlatform, startTestPlatform } from "../test/support/platform.ts";
import type { LoadDevice, LoadRequest, Shape } from "./ingest-load.ts";
import { copyAll, envelopesOf, median, openOwnStore } from "./own-store.ts";
import type { Case } from "./store.ts";

const CONNECTIONS = 50;
const ROUNDS = 3;
/** Messages of one connection without acknowledgement. */
const WINDOW = 100;
const AEDES = "Aedes 2.0.0-beta.1, mTLS, no storage, same connections, bytes and client";
const COPY = "COPY text, one connection, rows with primary key (patient, code, time), fsync on";

const SHAPES: Record<Shape, { perRound: number; samplesEach: number }> = {
  "1-sample": { perRound: 800, samplesEach: 1 },
  "60-sample": { perRound: 400, samplesEach: 60 },
  waveform: { perRound: 200, samplesEach: 360 },
};

export async function* cases(): AsyncGenerator<Case> {
  for (const shape of ["1-sample", "60-sample", "waveform"] as const) {
    const endings: (() => Promise<void> | void)[] = [];
    try {
      yield await measure(shape, { after: (work) => void endings.unshift(work) });
    } finally {
      for (const work of endings) await work();
    }
  }
}

async function measure(
  shape: Shape,
  t: { after(work: () => Promise<void> | void): void },
): Promise<Case> {
  const { perRound, samplesEach } = SHAPES[shape];
  const platform = await startTestPlatform(t, { env: { VITALWARD_LOG_LEVEL: "error" } });
  const devices: LoadDevice[] = [];
  for (let i = 0; i < CONNECTIONS; i++) devices.push(await enrol(platform, i));
  const load = await startLoad(t, {
    ask: "seal",
    devices,
    shape,
    perDevice: perRound * (ROUNDS + 1),
  });
  const caPem = readFileSync(join(platform.dataDir, "ca.pem"), "utf8");
  const rounds = async (port: number, ca: string, isPlatform: boolean) => {
    await ask(load, { ask: "connect", port, caPem: ca });
    if (isPlatform) await ask(load, { ask: "open" });
    const times: number[] = [];
    for (let round = 0; round <= ROUNDS; round++) {
      const from = round * perRound;
      const ms = await ask(load, { ask: "send", from, count: perRound, window: WINDOW });
      if (round > 0) times.push(ms as number); // the first one warms up
    }
    await ask(load, { ask: "close" });
    return (perRound * CONNECTIONS * 1_000) / median(times);
  };
  const messages = await rounds(platform.ports.mqtt, caPem, true);
  await platform.stop();
  if (shape === "1-sample") {
    const reference = await startAedes(t, caPem);
    const referenceValue = await rounds(reference.port, reference.ca, false);
    const ratio = messages / referenceValue;
    return {
      case: shape,
      value: messages,
      unit: "messages/s",
      reference: AEDES,
      referenceValue,
      ratio,
    };
  }
  load.kill();
  const value = messages * samplesEach;
  const referenceValue = await copyRate(samplesEach);
  const ratio = value / referenceValue;
  return { case: shape, value, unit: "samples/s", reference: COPY, referenceValue, ratio };
}

/** The same number of samples as rows. */
async function copyRate(samplesEach: number): Promise<number> {
  const own = await openOwnStore();
  try {
    const envelopes = Math.floor(1_200_000 / samplesEach);
    const rates: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const patientIds = Array.from({ length: CONNECTIONS }, () => crypto.randomUUID());
      const fromMs = Date.UTC(2026, 9, 2);
      const list = [
        ...envelopesOf({
          patientIds,
          mdcs: [147_842],
          fromMs,
          envelopes,
          samplesEach,
          intervalMs: 1_000,
        }),
      ];
      const ms = await copyAll(own.database, list);
      rates.push((envelopes * samplesEach * 1_000) / ms);
      await own.database.pool.query("TRUNCATE plain");
    }
    return median(rates);
  } finally {
    await own.close();
  }
}

async function startLoad(
  t: { after(work: () => void): void },
  first: LoadRequest,
): Promise<ChildProcess> {
  const child = fork(new URL("./ingest-load.ts", import.meta.url), { serialization: "advanced" });
  t.after(() => void child.kill());
  await ask(child, first);
  return child;
}

async function ask(child: ChildProcess, request: LoadRequest): Promise<number | null> {
  child.send(request);
  const [reply] = (await once(child, "message")) as [{ value: number | null; error?: string }];
  if (reply.error !== undefined) throw new Error(reply.error);
  return reply.value;
}

async function startAedes(
  t: { after(work: () => void): void },
  deviceCa: string,
): Promise<{ port: number; ca: string }> {
  const authority = await testAuthority();
  const child = fork(new URL("./ingest-aedes.ts", import.meta.url));
  t.after(() => void child.kill());
  child.send({ ...authority.server, ca: deviceCa });
  const [{ port }] = (await once(child, "message")) as [{ port: number }];
  return { port, ca: authority.ca };
}

/** Each from a loopback address of its own: the door lets one address enrol only so often. */
async function enrol(platform: RunningPlatform, i: number): Promise<LoadDevice> {
  const { claimCode } = await askOperator<{ claimCode: string }>(platform.dataDir, {
    ask: "claim",
    label: `Load ${i}`,
    kind: "patient-monitor",
    patientId: crypto.randomUUID(),
    assignedFromMs: 0,
  });
  const { csr, keyPem } = await newRequest();
  const answer = await new Promise<Record<string, string>>((resolve, reject) => {
    const sent = request(
      `https://127.0.0.1:${platform.ports.device}/v1/enrol`,
      {
        method: "POST",
        ca: readFileSync(join(platform.dataDir, "ca.pem")),
        headers: { "content-type": "application/json" },
        localAddress: `127.0.0.${2 + i}`,
        agent: false,
      },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => {
          text += part;
        });
        response.on("end", () =>
          response.statusCode === 201 ? resolve(JSON.parse(text)) : reject(new Error(text)),
        );
      },
    );
    sent.on("error", reject);
    sent.end(JSON.stringify({ claimCode, csr }));
  });
  const { deviceId, certificatePem, platformKey, prekeys } = answer;
  return { deviceId, certificatePem, keyPem, platformKey, prekeys } as LoadDevice;
}
