/** Admitted envelopes for tests of the store. */
import { randomUUID } from "node:crypto";
import type { SeriesChunk } from "../../src/store/chunk.ts";
import type { AdmittedEnvelope } from "../../src/store/store.ts";

export const HEART_RATE = 147_842;
export const START_MS = Date.UTC(2026, 10, 10, 12);

/** One device of one patient, an envelope a second with one sample each metric. */
export function source(patientId: string = randomUUID(), mdcs: readonly number[] = [HEART_RATE]) {
  const deviceId = randomUUID();
  const sessionId = randomUUID().replaceAll("-", "");
  let sequence = 0;
  function next(o: Partial<AdmittedEnvelope> = {}): AdmittedEnvelope {
    sequence += 1;
    const clockMs = START_MS + sequence * 1_000;
    const points = mdcs.map((mdc) => ({
      mdc,
      exponent: 0,
      timesMs: [clockMs - 5],
      mantissas: [60 + (sequence % 40)],
      quality: [0],
    }));
    return {
      patientId,
      deviceId,
      sessionId,
      batch: { sequence, clockMs, offsetMs: 0, points, waveforms: [] },
      marks: 0,
      receivedMs: clockMs + 20,
      envelopeHash: new Uint8Array(32),
      ...o,
    };
  }
  return { patientId, deviceId, sessionId, next };
}

export async function gather(chunks: AsyncIterable<SeriesChunk>): Promise<SeriesChunk[]> {
  const all: SeriesChunk[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}

export function valuesOf(chunks: readonly SeriesChunk[]): number[] {
  return chunks.flatMap((chunk) => [...chunk.mantissas]);
}

export function sequencesOf(chunks: readonly SeriesChunk[]): number[] {
  return chunks.flatMap((chunk) => [...chunk.sequences]);
}
