/** The store of encrypted series, as the rest of the platform sees it. `append.ts` makes it. */
import type pg from "pg";
import type { Permit } from "../access/permit.ts";
import type { Batch } from "../envelope/batch.ts";
import type { SeriesChunk } from "./chunk.ts";

/** One envelope that admission let in. A batch without samples stores nothing, but its hook runs. */
export interface AdmittedEnvelope {
  readonly patientId: string;
  readonly deviceId: string;
  /** 32 hex digits. */
  readonly sessionId: string;
  readonly batch: Batch;
  /** Bits of `vitals/quality.ts` for every sample of it; "implausible" is added here per sample. */
  readonly marks: number;
  readonly receivedMs: number;
  readonly envelopeHash: Uint8Array;
}

/** Runs inside the transaction of a group commit, before COMMIT; throwing refuses the whole group. */
export type CommitHook = (
  client: pg.PoolClient,
  group: readonly AdmittedEnvelope[],
) => Promise<void>;

export interface TimeRange {
  /** Catalogue codes; without it every metric the permit covers. */
  readonly mdcs?: readonly number[];
  readonly fromMs: number;
  /** Not included. */
  readonly toMs: number;
}

export interface ReassignRange {
  readonly deviceId: string;
  readonly fromMs: number;
  /** Not included. */
  readonly toMs: number;
}

/** Numbers of one session, both ends included. */
export interface BatchRange {
  readonly sessionId: string;
  readonly fromSequence: number;
  readonly toSequence: number;
}

/** Samples that were just committed, as far as the permit covers them. */
export type LiveListener = (chunks: readonly SeriesChunk[], patientId: string) => void;

export interface Store {
  /** Set once by admission: writes the sequence state of the group in the same transaction. */
  beforeCommit: CommitHook | undefined;
  /** Resolves after the durable commit. A rejected append may still have been committed (a lost
   * connection): admission's own rows in the same transaction tell which.
   * @throws Problem "storage-unavailable", "keystore-unavailable", "patient-erased", or the hook's. */
  append(envelope: AdmittedEnvelope): Promise<void>;
  /** Ascending in time within each series. Each chunk checks the lease again.
   * @throws Problem "permit-ended"; "series-damaged" when stored parts were removed, doubled or
   *   rolled back and the rest can not be trusted to be complete. */
  read(permit: Permit, range: TimeRange): AsyncIterable<SeriesChunk>;
  /** The newest sample of each series. One chunk of one sample a series (waveforms: the last run). */
  latest(permit: Permit, o?: { readonly mdcs?: readonly number[] }): Promise<SeriesChunk[]>;
  /** Live samples until the permit ends or the answer is called. */
  subscribe(permit: Permit, listener: LiveListener): () => void;
  /** The canonical batch as the device sealed it, bit-exact.
   * @throws Problem "not-found" when not all of it is stored here and covered by the permit. */
  rebuildBatch(
    permit: Permit,
    of: { readonly sessionId: string; readonly sequence: number },
  ): Promise<Batch>;
  /** Many at once, by number, at little more than the price of one. Numbers without samples, or of
   * which not everything is here and covered by the permit, are left out. */
  rebuildBatches(permit: Permit, of: BatchRange): Promise<Map<number, Batch>>;
  /** Reseals the envelopes of one device that have a sample in the range under the right patient;
   * the old ones stay, marked entered-in-error. May be run again after a crash.
   * @param wrong a maintenance permit for the patient it was stored for.
   * @param right one for the patient it belongs to. */
  reassign(
    wrong: Permit,
    right: Permit,
    what: ReassignRange,
  ): Promise<{ readonly envelopes: number }>;
  /** Destroys the patient's keys, then deletes the rows. */
  erasePatient(patientId: string): Promise<void>;
  /** Starts merging in the background; each patient's turn asks for a maintenance permit. */
  startMerging(permitFor: (patientId: string) => Promise<Permit>): void;
  /** Merges everything of the permit's patient that is due; `all`: also what is young and small. */
  merge(permit: Permit, o?: { readonly all?: boolean }): Promise<{ readonly merged: number }>;
  /** Counts for /metrics. */
  readonly counters: Readonly<StoreCounters>;
  /** Ends after what is under way; later appends are refused. */
  close(): Promise<void>;
}

export interface StoreCounters {
  envelopes: number;
  samples: number;
  commits: number;
  segmentsMerged: number;
  /** Stored parts that could not be opened. */
  unreadable: number;
}
