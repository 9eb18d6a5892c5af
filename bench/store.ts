/** What storing costs, beside plain rows in the same PostgreSQL: bytes, append, merge. */
import { randomUUID } from "node:crypto";
import { testPermit } from "../test/support/permits.ts";
import {
  appendAll,
  bytesOf,
  copyAll,
  envelopesOf,
  median,
  type OwnStore,
  openOwnStore,
} from "./own-store.ts";

export interface Case {
  readonly case: string;
  readonly value: number;
  readonly unit: string;
  readonly reference: string;
  readonly referenceValue: number;
  /** Times better than the reference. */
  readonly ratio: number;
}

const COPY = "COPY text, one connection, rows with primary key (patient, code, time), fsync on";
const STORED = ["lane", "arrival", "shelf", "segment"];
const HEART_RATE = 147_842;
const SPO2 = 150_456;
const ROUNDS = 3;
const DAY_MS = 86_400_000;

export async function* cases(): AsyncGenerator<Case> {
  const own = await openOwnStore();
  try {
    yield* appendCases(own);
    yield* sizeCases(own);
  } finally {
    await own.close();
  }
}

async function* appendCases(own: OwnStore): AsyncGenerator<Case> {
  const shapes = [
    { name: "append 60-sample", samplesEach: 60, envelopes: 15_000, inFlight: 1_000 },
    { name: "append 1-sample", samplesEach: 1, envelopes: 60_000, inFlight: 2_000 },
  ];
  for (const { name, samplesEach, envelopes, inFlight } of shapes) {
    const rates: number[] = [];
    const copied: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const patientIds = Array.from({ length: 50 }, () => randomUUID());
      const list = [
        ...envelopesOf({
          patientIds,
          mdcs: [HEART_RATE],
          fromMs: Date.UTC(2026, 9, 2),
          envelopes,
          samplesEach,
          intervalMs: 1_000,
        }),
      ];
      const samples = envelopes * samplesEach;
      copied.push((samples / (await copyAll(own.database, list))) * 1_000);
      rates.push((samples / (await appendAll(own.store, list, inFlight))) * 1_000);
      await own.database.pool.query("TRUNCATE plain");
    }
    const value = median(rates);
    const referenceValue = median(copied);
    const ratio = value / referenceValue;
    yield { case: name, value, unit: "samples/s", reference: COPY, referenceValue, ratio };
  }
}

async function* sizeCases(own: OwnStore): AsyncGenerator<Case> {
  await own.database.pool.query("TRUNCATE lane, arrival, shelf, segment, plain");
  const shapes = [
    { name: "bytes 1 Hz, 24 h", intervalMs: 1_000, samplesEach: 1, lastsMs: DAY_MS },
    { name: "bytes 1/min, 30 d", intervalMs: 60_000, samplesEach: 1, lastsMs: 30 * DAY_MS },
  ];
  for (const { name, intervalMs, samplesEach, lastsMs } of shapes) {
    const patientIds = [randomUUID()];
    const mdcs = [HEART_RATE, SPO2];
    const envelopes = Math.floor(lastsMs / intervalMs / samplesEach);
    const fromMs = Date.UTC(2026, 9, 1);
    const list = [...envelopesOf({ patientIds, mdcs, fromMs, envelopes, samplesEach, intervalMs })];
    const samples = envelopes * samplesEach * mdcs.length;
    const permit = testPermit({ tenantId: own.database.tenantId, patientId: patientIds[0]! });
    let mergeMs = 0;
    for (let at = 0; at < list.length; at += 20_000) {
      await appendAll(own.store, list.slice(at, at + 20_000), 200);
      const startMs = performance.now();
      await own.store.merge(permit, { all: true });
      mergeMs += performance.now() - startMs;
    }
    const copyMs = await copyAll(own.database, list);
    const value = (await bytesOf(own.database, STORED)) / samples;
    const referenceValue = (await bytesOf(own.database, ["plain"])) / samples;
    yield {
      case: name,
      value,
      unit: "bytes/sample",
      reference: "plain rows with primary key (patient, code, time), indexes included",
      referenceValue,
      ratio: referenceValue / value,
    };
    const merged = (samples / mergeMs) * 1_000;
    const copied = (samples / copyMs) * 1_000;
    yield {
      case: name.replace("bytes", "merge"),
      value: merged,
      unit: "samples/s",
      reference: COPY,
      referenceValue: copied,
      ratio: merged / copied,
    };
    await own.database.pool.query("TRUNCATE lane, arrival, shelf, segment, plain");
  }
}
