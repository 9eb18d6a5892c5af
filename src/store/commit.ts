/**
 * Group commit: what arrives while one commit is in flight goes into the next. A crash before
 * COMMIT leaves nothing, after it everything, with admission's state in the same transaction.
 */
import type { Clock } from "../clock.ts";
import { limits } from "../limits.ts";
import type { Database } from "../postgres/database.ts";
import { unavailable } from "../postgres/pool.ts";
import { Problem } from "../problems.ts";
import type { Sealer } from "../vault/seal.ts";
import type { Category } from "../vitals/metric.ts";
import { type ArrivalPart, packArrival } from "./arrivals.ts";
import { cutEnvelope, type LanePart } from "./cut.ts";
import {
  associated,
  checkedState,
  digestOf,
  type LaneName,
  type LaneState,
  laneName,
  laneSeal,
  packDirectory,
} from "./lane.ts";
import type { AdmittedEnvelope, CommitHook, StoreCounters } from "./store.ts";
import { type ArrivalRows, addArrivals, addLane, lanesById } from "./tables.ts";

export interface Lane {
  readonly name: LaneName;
  readonly state: LaneState;
  /** Monotonic clock at the oldest arrival not merged yet, as far as this process knows. */
  waitingSinceMs: number | undefined;
}

export interface Committer {
  append(envelope: AdmittedEnvelope): Promise<void>;
  /** Stores again, for another patient, what was admitted before: the hook does not see it. */
  appendResealed(envelope: AdmittedEnvelope): Promise<void>;
  /** Runs `work` while no group commit is in flight; its lanes are re-read if it throws. */
  exclusive<T>(work: () => Promise<T>): Promise<T>;
  /** The manifests in memory; merging looks here for what is due. */
  readonly lanes: ReadonlyMap<string, Lane>;
  lane(name: LaneName): Promise<Lane>;
  forget(laneId: string): void;
  close(): Promise<void>;
}

interface Group {
  readonly envelopes: AdmittedEnvelope[];
  readonly parts: LanePart[];
  /** Those that were refused, each with its reason; undefined when none was. */
  readonly done: PromiseWithResolvers<Refused | undefined>;
}

type Refused = ReadonlyMap<AdmittedEnvelope, unknown>;

interface CommitterOptions {
  readonly database: Database;
  readonly sealer: Sealer;
  readonly clock: Clock;
  readonly counters: StoreCounters;
  readonly hook: () => CommitHook | undefined;
  readonly committed: (group: readonly AdmittedEnvelope[]) => void;
}

const ATTEMPTS = 3;
const resealed = new WeakSet<AdmittedEnvelope>();

export function createCommitter(o: CommitterOptions): Committer {
  const lanes = new Map<string, Lane>();
  const names: Names = new Map();
  const groups: Group[] = [];
  const turns: (() => Promise<void>)[] = [];
  let waiting = 0;
  let isClosed = false;
  let running: Promise<void> | undefined;

  function append(envelope: AdmittedEnvelope, isResealed = false): Promise<void> {
    if (isClosed || waiting >= limits.commitWaitingMax) {
      return Promise.reject(new Problem("storage-unavailable"));
    }
    let parts: LanePart[];
    try {
      parts = cutEnvelope(envelope);
      if (parts.length > 0) o.sealer.ensurePatient(envelope.patientId);
    } catch (error) {
      return Promise.reject(error);
    }
    let group = groups[groups.length - 1];
    if (!group || group.envelopes.length >= limits.commitEnvelopesMax) {
      group = { envelopes: [], parts: [], done: Promise.withResolvers() };
      groups.push(group);
    }
    group.envelopes.push(envelope);
    if (isResealed) resealed.add(envelope);
    for (const part of parts) group.parts.push(part);
    waiting += 1;
    start();
    return group.done.promise.then((refused) => {
      if (refused?.has(envelope)) throw refused.get(envelope);
    });
  }

  function start(): void {
    running ??= new Promise((resolve) => {
      setImmediate(() => {
        work().then(resolve, resolve);
      });
    });
  }

  /** One at a time: a turn of merging, then a group, until there is neither. */
  async function work(): Promise<void> {
    for (;;) {
      const turn = turns.shift();
      if (turn) await turn();
      const group = groups.shift();
      if (group) await settle(group);
      if (turns.length === 0 && groups.length === 0) break;
    }
    running = undefined;
  }

  async function settle(group: Group): Promise<void> {
    const refused = await commitOrSplit(o, lanes, names, group);
    waiting -= group.envelopes.length;
    const stored =
      refused.size === 0
        ? group.envelopes
        : group.envelopes.filter((envelope) => !refused.has(envelope));
    o.counters.commits += 1;
    o.counters.envelopes += stored.length;
    group.done.resolve(refused.size === 0 ? undefined : refused);
    o.committed(stored);
  }

  return {
    append: (envelope) => append(envelope),
    appendResealed: (envelope) => append(envelope, true),
    lanes,
    lane: (name) => laneOf(o, lanes, name),
    forget: (laneId) => void lanes.delete(laneId),
    exclusive: <T>(task: () => Promise<T>) =>
      new Promise<T>((resolve, reject) => {
        turns.push(() => task().then(resolve, reject));
        start();
      }),
    async close() {
      isClosed = true;
      while (running) await running;
    },
  };
}

/** When a group fails for another reason than a database that is away, its patients are tried one
 * by one: what is wrong with one of them does not hold the others. */
async function commitOrSplit(
  o: CommitterOptions,
  lanes: Map<string, Lane>,
  names: Names,
  group: Pick<Group, "envelopes" | "parts">,
): Promise<Map<AdmittedEnvelope, unknown>> {
  const refused = new Map<AdmittedEnvelope, unknown>();
  try {
    await commit(o, lanes, names, group);
  } catch (error) {
    const patients = new Set(group.envelopes.map(({ patientId }) => patientId));
    const isAway = error instanceof Problem && error.code === "storage-unavailable";
    if (isAway || patients.size < 2) {
      for (const envelope of group.envelopes) refused.set(envelope, error);
      return refused;
    }
    for (const patientId of patients) {
      const envelopes = group.envelopes.filter((envelope) => envelope.patientId === patientId);
      const parts = group.parts.filter(({ part }) => part.envelope.patientId === patientId);
      const more = await commitOrSplit(o, lanes, names, { envelopes, parts });
      for (const [envelope, reason] of more) refused.set(envelope, reason);
    }
  }
  return refused;
}

/** The rows of one group, lane by lane, in one transaction. */
async function commit(
  o: CommitterOptions,
  lanes: Map<string, Lane>,
  names: Names,
  group: Pick<Group, "envelopes" | "parts">,
): Promise<void> {
  const byLane = gather(o.sealer, names, group.parts);
  for (let attempt = 1; ; attempt++) {
    try {
      await loadLanes(
        o,
        lanes,
        [...byLane.values()].map(({ name }) => name),
      );
      const { rows, next } = sealRows(o, lanes, byLane);
      await o.database.transaction(async (client) => {
        if (next.length > 0) {
          const moved = await addArrivals(client, o.database.tenantId, rows);
          if (moved !== next.length) throw new LaneMoved();
        }
        const admitted = group.envelopes.filter((envelope) => !resealed.has(envelope));
        if (admitted.length > 0) await o.hook()?.(client, admitted);
      });
      const nowMs = o.clock.monotonicMs();
      for (const lane of next) {
        lane.state.nextArrival += 1;
        lane.waitingSinceMs ??= nowMs;
      }
      o.counters.samples += samplesOf(group.envelopes);
      return;
    } catch (error) {
      // Whether it was committed is unknown now: the manifests are read again before their next use.
      for (const { name } of byLane.values()) lanes.delete(name.id);
      if (!(error instanceof LaneMoved)) throw error;
      if (attempt === ATTEMPTS) throw new Problem("storage-unavailable", { cause: error });
    }
  }
}

/** Another program changed a manifest since it was read. */
class LaneMoved extends Error {
  override readonly name = "LaneMoved";
}

interface Gathered {
  readonly name: LaneName;
  readonly parts: ArrivalPart[];
}

/** Keyed hashes are slow to make and small to keep. */
type Names = Map<string, LaneName>;
const NAMES_KEPT = 50_000;

function gather(sealer: Sealer, names: Names, parts: readonly LanePart[]): Map<string, Gathered> {
  const byLane = new Map<string, Gathered>();
  for (const { category, monthIndex, part } of parts) {
    const { patientId } = part.envelope;
    const key = `${patientId}${category}${monthIndex}`;
    const found = byLane.get(key);
    if (found) found.parts.push(part);
    else
      byLane.set(key, {
        name: nameOf(sealer, names, key, patientId, category, monthIndex),
        parts: [part],
      });
  }
  return byLane;
}

function nameOf(
  sealer: Sealer,
  names: Names,
  key: string,
  patientId: string,
  category: Category,
  monthIndex: number,
): LaneName {
  const known = names.get(key);
  if (known) return known;
  const made = laneName(sealer, patientId, category, monthIndex);
  if (names.size >= NAMES_KEPT) names.clear();
  names.set(key, made);
  return made;
}

/** Reads the manifests that are not in memory, making those that do not exist. */
async function loadLanes(
  o: CommitterOptions,
  lanes: Map<string, Lane>,
  wanted: readonly LaneName[],
): Promise<void> {
  const missing = wanted.filter((name) => !lanes.has(name.id));
  if (missing.length === 0) return;
  const { pool, tenantId } = o.database;
  try {
    for (const name of missing) {
      const fresh = freshState(o.sealer, name);
      await addLane(pool, tenantId, {
        patientId: name.patientId,
        id: name.id,
        month: name.monthIndex,
        directory: fresh.directory,
        seal: laneSeal(o.sealer, name, fresh),
      });
    }
    const patientIds = [...new Set(missing.map((name) => name.patientId))];
    const ids = missing.map((name) => name.id);
    const rows = await lanesById(pool, tenantId, patientIds, ids);
    for (const name of missing) {
      if (lanes.has(name.id)) continue; // read by somebody else meanwhile, and in use
      const row = rows.find(({ lane }) => lane === name.id);
      if (!row) throw new Problem("storage-unavailable");
      const state = checkedState(o.sealer, name, row);
      const hasArrivals = state.nextArrival > state.firstArrival;
      const waitingSinceMs = hasArrivals ? o.clock.monotonicMs() : undefined;
      lanes.set(name.id, { name, state, waitingSinceMs });
    }
  } catch (error) {
    throw unavailable(error) ?? error;
  }
}

/** The manifest in memory, read or made when it is not there. */
async function laneOf(
  o: CommitterOptions,
  lanes: Map<string, Lane>,
  name: LaneName,
): Promise<Lane> {
  for (;;) {
    const known = lanes.get(name.id);
    if (known) return known;
    await loadLanes(o, lanes, [name]);
  }
}

function freshState(sealer: Sealer, name: LaneName): LaneState {
  const aad = associated("directory", name.id, 1);
  const { patientId, category, monthIndex } = name;
  const directory = sealer.seal(patientId, category, monthIndex, aad, packDirectory([]));
  return { firstArrival: 1, nextArrival: 1, version: 1, directory };
}

/** Packs and seals one row for each lane. */
function sealRows(
  o: CommitterOptions,
  lanes: Map<string, Lane>,
  byLane: Map<string, Gathered>,
): { rows: ArrivalRows; next: Lane[] } {
  const patientIds: string[] = [];
  const laneIds: string[] = [];
  const numbers: number[] = [];
  const versions: number[] = [];
  const starts: number[] = [];
  const lengths: number[] = [];
  const sealed: Buffer[] = [];
  const seals: Buffer[] = [];
  const next: Lane[] = [];
  let start = 1;
  for (const { name, parts } of byLane.values()) {
    const lane = lanes.get(name.id);
    if (!lane) throw new LaneMoved(); // forgotten since it was read
    const { state } = lane;
    const number = state.nextArrival;
    const aad = associated("arrival", name.id, number);
    const { patientId, category, monthIndex } = name;
    const row = o.sealer.seal(patientId, category, monthIndex, aad, packArrival(parts));
    patientIds.push(patientId);
    laneIds.push(name.id);
    numbers.push(number);
    versions.push(state.version);
    starts.push(start);
    lengths.push(row.length);
    sealed.push(row);
    seals.push(laneSeal(o.sealer, name, { ...state, nextArrival: number + 1 }));
    next.push(lane);
    start += row.length;
  }
  const rows = {
    patientIds,
    laneIds,
    numbers,
    versions,
    starts,
    lengths,
    sealed: Buffer.concat(sealed),
    seals: Buffer.concat(seals),
    digest: digestOf(seals),
    writtenMs: o.clock.nowMs(),
  };
  return { rows, next };
}

function samplesOf(envelopes: readonly AdmittedEnvelope[]): number {
  let samples = 0;
  for (const { batch } of envelopes) {
    for (const column of batch.points) samples += column.timesMs.length;
    for (const run of batch.waveforms) samples += run.values.length;
  }
  return samples;
}
