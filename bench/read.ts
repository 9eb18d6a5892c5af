/** From sealed segments to a chart's columns, beside SELECT of the same plain rows. */
import { randomUUID } from "node:crypto";
import type { Permit } from "../src/access/permit.ts";
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
import type { Case } from "./store.ts";

const HEART_RATE = 147_842;
const ROUNDS = 5;
const DAY_MS = 86_400_000;
const FROM_MS = Date.UTC(2026, 9, 1);

export async function* cases(): AsyncGenerator<Case> {
  const own = await openOwnStore();
  try {
    yield await readCase(own, { name: "24 h", intervalMs: 1_000, lastsMs: DAY_MS });
    yield await readCase(own, { name: "30 d", intervalMs: 60_000, lastsMs: 30 * DAY_MS });
  } finally {
    await own.close();
  }
}

async function readCase(
  own: OwnStore,
  o: { name: string; intervalMs: number; lastsMs: number },
): Promise<Case> {
  const patientId = randomUUID();
  const envelopes = Math.floor(o.lastsMs / o.intervalMs);
  const list = [
    ...envelopesOf({
      patientIds: [patientId],
      mdcs: [HEART_RATE],
      fromMs: FROM_MS,
      envelopes,
      samplesEach: 1,
      intervalMs: o.intervalMs,
    }),
  ];
  const permit = testPermit({ tenantId: own.database.tenantId, patientId });
  // Arrivals of the last minutes are not merged yet, as in a running ward.
  const hot = 300;
  for (let at = 0; at < list.length - hot; at += 20_000) {
    await appendAll(own.store, list.slice(at, Math.min(at + 20_000, list.length - hot)), 200);
    await own.store.merge(permit, { all: true });
  }
  for (const envelope of list.slice(-hot)) await own.store.append(envelope);
  await copyAll(own.database, list);
  await bytesOf(own.database, ["plain"]); // leaves it packed and its statistics fresh
  await own.database.pool.query("ANALYZE plain");
  const toMs = FROM_MS + o.lastsMs + DAY_MS;
  const ours: number[] = [];
  const plain: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    ours.push(await timeRead(own, permit, toMs, envelopes));
    plain.push(await timeSelect(own, patientId, toMs, envelopes));
  }
  const value = median(ours);
  const referenceValue = median(plain);
  return {
    case: o.name,
    value,
    unit: "ms",
    reference: "SELECT time, value of the same plain rows into two arrays",
    referenceValue,
    ratio: referenceValue / value,
  };
}

async function timeRead(
  own: OwnStore,
  permit: Permit,
  toMs: number,
  expected: number,
): Promise<number> {
  const startMs = performance.now();
  let samples = 0;
  const range = { mdcs: [HEART_RATE], fromMs: FROM_MS, toMs };
  for await (const chunk of own.store.read(permit, range)) samples += chunk.timesMs.length;
  if (samples !== expected) throw new Error(`read ${samples} of ${expected} samples`);
  return performance.now() - startMs;
}

async function timeSelect(
  own: OwnStore,
  patientId: string,
  toMs: number,
  expected: number,
): Promise<number> {
  const startMs = performance.now();
  const found = await own.database.pool.query<{ time: Date; value: number }>(
    `SELECT time, value FROM plain WHERE patient = $1 AND code = $2 AND time >= $3 AND time < $4
     ORDER BY time`,
    [patientId, HEART_RATE, new Date(FROM_MS), new Date(toMs)],
  );
  const times = Float64Array.from(found.rows, ({ time }) => time.getTime());
  const values = Float64Array.from(found.rows, ({ value }) => value);
  if (times.length !== expected || values.length !== expected) throw new Error("rows are missing");
  return performance.now() - startMs;
}
