/** Samples that were just committed, to those who hold a live permit for them. */
import type { Permit } from "../access/permit.ts";
import { diagnostics } from "../diagnostics.ts";
import { packArrival, SeriesCollector, unpackArrival } from "./arrivals.ts";
import type { SeriesChunk } from "./chunk.ts";
import { cutEnvelope } from "./cut.ts";
import { chunksOf } from "./project.ts";
import type { AdmittedEnvelope, LiveListener } from "./store.ts";

export interface Live {
  subscribe(permit: Permit, listener: LiveListener): () => void;
  tell(group: readonly AdmittedEnvelope[]): void;
}

interface Subscription {
  readonly permit: Permit;
  readonly listener: LiveListener;
}

export function createLive(): Live {
  const byPatient = new Map<string, Set<Subscription>>();
  return {
    subscribe(permit, listener) {
      const subscription = { permit, listener };
      const { patientId } = permit;
      const those = byPatient.get(patientId) ?? new Set();
      byPatient.set(patientId, those.add(subscription));
      const stop = () => {
        those.delete(subscription);
        if (those.size === 0 && byPatient.get(patientId) === those) byPatient.delete(patientId);
        permit.signal.removeEventListener("abort", stop);
      };
      permit.signal.addEventListener("abort", stop, { once: true });
      return stop;
    },
    tell(group) {
      if (byPatient.size === 0) return;
      for (const envelope of group) {
        const those = byPatient.get(envelope.patientId);
        if (those) tellOne(envelope, those);
      }
    },
  };
}

function tellOne(envelope: AdmittedEnvelope, to: ReadonlySet<Subscription>): void {
  const parts = cutEnvelope(envelope).map(({ category, part }) => {
    const collector = new SeriesCollector();
    unpackArrival(packArrival([part]), collector);
    const chunks = collector
      .contents()
      .flatMap(({ key, content }) =>
        chunksOf(key, content, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY),
      );
    return { category, chunks };
  });
  for (const { permit, listener } of [...to]) {
    const chunks: SeriesChunk[] = [];
    for (const part of parts) {
      if (!permit.covers(envelope.patientId, part.category)) continue;
      chunks.push(...part.chunks);
    }
    if (chunks.length === 0) continue;
    try {
      listener(chunks, envelope.patientId);
    } catch (error) {
      // One subscriber's fault must not hold the others, nor the ingest behind this call.
      diagnostics.error({ err: error }, "a live listener failed");
    }
  }
}
