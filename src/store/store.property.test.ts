import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { openTestStore, type TestStore } from "../../test/support/store.ts";
import type { Permit } from "../access/permit.ts";
import { type Batch, decodeBatch, encodeBatch } from "../envelope/batch.ts";
import { METRICS } from "../vitals/metric.ts";
import type { SeriesChunk } from "./chunk.ts";
import type { AdmittedEnvelope } from "./store.ts";

const numeric = METRICS.filter(({ kind }) => kind !== "waveform").map(({ mdc }) => mdc);
const waves = METRICS.filter(({ kind }) => kind === "waveform").map(({ mdc }) => mdc);
/** Around a turn of the month, so that batches are cut. */
const CENTRE_MS = Date.UTC(2026, 10, 1);
const SPAN_MS = 40 * 86_400_000;

const column = fc
  .record({
    mdc: fc.constantFrom(...numeric),
    exponent: fc.constantFrom(-2, -1, 0),
    startMs: fc.integer({ min: CENTRE_MS - SPAN_MS, max: CENTRE_MS + SPAN_MS }),
    samples: fc.array(
      fc.record({
        stepMs: fc.constantFrom(1, 999, 1_000, 60_000, 86_400_000),
        value: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer()),
        quality: fc.constantFrom(0, 0, 0, 2, 63),
      }),
      { minLength: 1, maxLength: 12 },
    ),
  })
  .map(({ mdc, exponent, startMs, samples }) => {
    let timeMs = startMs;
    const timesMs = samples.map(({ stepMs }) => (timeMs += stepMs));
    const mantissas = samples.map(({ value }) => value | 0);
    return { mdc, exponent, timesMs, mantissas, quality: samples.map((sample) => sample.quality) };
  });

const run = fc
  .record({
    mdc: fc.constantFrom(...waves),
    startMs: fc.integer({ min: CENTRE_MS - SPAN_MS, max: CENTRE_MS + SPAN_MS }),
    rate: fc.constantFrom({ numerator: 125, denominator: 1 }, { numerator: 1_000, denominator: 7 }),
    exponent: fc.constantFrom(-3, 0),
    values: fc.array(fc.integer({ min: -5_000, max: 5_000 }), { minLength: 1, maxLength: 300 }),
    quality: fc.constantFrom(0, 4),
  })
  .map((one) => ({ ...one, values: Int32Array.from(one.values) }));

const by =
  (...names: string[]) =>
  (one: Record<string, unknown>) =>
    names.map((name) => one[name]).join();

const content = fc
  .record({
    clockMs: fc.integer({ min: CENTRE_MS - SPAN_MS, max: CENTRE_MS + SPAN_MS }),
    offsetMs: fc.constantFrom(0, 0, -3_600_000, 5),
    points: fc.uniqueArray(column, { maxLength: 4, selector: by("mdc", "exponent") }),
    waveforms: fc.uniqueArray(run, { maxLength: 2, selector: by("mdc", "startMs") }),
  })
  .filter(({ points, waveforms }) => points.length + waveforms.length > 0)
  .map((batch) => ({
    ...batch,
    points: batch.points.toSorted((a, b) => a.mdc - b.mdc || a.exponent - b.exponent),
    waveforms: batch.waveforms.toSorted((a, b) => a.mdc - b.mdc || a.startMs - b.startMs),
  }));

const script = fc.array(
  fc.record({
    batch: content,
    device: fc.nat({ max: 1 }),
    next: fc.constantFrom("nothing", "nothing", "nothing", "wait", "merge", "restart"),
  }),
  { minLength: 1, maxLength: 20 },
);

function modelOf(envelopes: readonly AdmittedEnvelope[]): string[] {
  const rows: string[] = [];
  for (const { batch, deviceId, sessionId, receivedMs } of envelopes) {
    const source = `${deviceId} ${sessionId} ${batch.sequence} ${receivedMs}`;
    for (const { mdc, exponent, timesMs, mantissas, quality } of batch.points) {
      timesMs.forEach((timeMs, i) => {
        rows.push(
          `${mdc} ${exponent} ${timeMs + batch.offsetMs} ${mantissas[i]} ${quality[i]} ${source}`,
        );
      });
    }
    for (const { mdc, exponent, startMs, rate, values, quality } of batch.waveforms) {
      values.forEach((value, n) => {
        const timeMs = startMs + batch.offsetMs + (n * 1_000 * rate.denominator) / rate.numerator;
        rows.push(`${mdc} ${exponent} ${Math.round(timeMs * 100)} ${value} ${quality} ${source}`);
      });
    }
  }
  return rows.sort();
}

function rowsOf(chunks: readonly SeriesChunk[]): string[] {
  const rows: string[] = [];
  for (const chunk of chunks) {
    assert.equal(chunk.unreadable, undefined);
    for (let i = 0; i < chunk.timesMs.length; i++) {
      assert.ok(i === 0 || chunk.timesMs[i]! >= chunk.timesMs[i - 1]!, "ascending in a chunk");
      const timeMs = chunk.timesMs[i]!;
      const shown = chunk.kind === "points" ? timeMs : Math.round(timeMs * 100);
      const source = `${chunk.deviceId} ${chunk.sessions[chunk.sessionOf[i]!]} ${chunk.sequences[i]} ${chunk.receivedMs[i]}`;
      rows.push(
        `${chunk.mdc} ${chunk.exponent} ${shown} ${chunk.mantissas[i]} ${chunk.quality[i]} ${source}`,
      );
    }
  }
  return rows.sort();
}

async function readAll(opened: TestStore, permit: Permit, fromMs = 0, toMs = 1e15) {
  const chunks: SeriesChunk[] = [];
  for await (const chunk of opened.store.read(permit, { fromMs, toMs })) chunks.push(chunk);
  return chunks;
}

test("whatever is appended in whatever order, with merges and restarts between, reads as written, and every batch can be rebuilt bit for bit", async (t) => {
  const opened = await openTestStore(t);
  await fc.assert(
    fc.asyncProperty(script, async (steps) => {
      const patientId = randomUUID();
      const permit = opened.permit(patientId);
      const devices = [randomUUID(), randomUUID()];
      const session = [randomUUID(), randomUUID()].map((id) => id.replaceAll("-", ""));
      const stored: AdmittedEnvelope[] = [];
      let pending: Promise<void>[] = [];
      for (const [i, { batch, device, next }] of steps.entries()) {
        const envelope: AdmittedEnvelope = {
          patientId,
          deviceId: devices[device]!,
          sessionId: session[device]!,
          batch: { sequence: i + 1, ...batch },
          marks: 0,
          receivedMs: CENTRE_MS + i,
          envelopeHash: new Uint8Array(32),
        };
        encodeBatch(envelope.batch); // the device could have sealed it
        stored.push(envelope);
        pending.push(opened.store.append(envelope));
        if (next === "nothing") continue;
        await Promise.all(pending);
        pending = [];
        if (next === "merge") await opened.store.merge(permit, { all: true });
        if (next === "restart") await opened.restart();
      }
      await Promise.all(pending);
      assert.deepEqual(rowsOf(await readAll(opened, permit)), modelOf(stored));
      await opened.store.merge(permit, { all: true });
      assert.deepEqual(rowsOf(await readAll(opened, permit)), modelOf(stored));
      for (const { batch, sessionId } of stored) {
        const of = { sessionId, sequence: batch.sequence };
        const rebuilt: Batch = await opened.store.rebuildBatch(permit, of);
        assert.deepEqual(encodeBatch(rebuilt), encodeBatch(batch));
        assert.deepEqual(decodeBatch(encodeBatch(rebuilt)), batch);
      }
      const some = stored[0]!.batch;
      const fromMs = (some.points[0]?.timesMs[0] ?? some.waveforms[0]!.startMs) + some.offsetMs;
      const toMs = fromMs + 86_400_000;
      for (const chunk of await readAll(opened, permit, fromMs, toMs)) {
        assert.ok(chunk.timesMs[0]! >= fromMs && chunk.timesMs.at(-1)! < toMs);
      }
    }),
    { numRuns: 40 },
  );
});
