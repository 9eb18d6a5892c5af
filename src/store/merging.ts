/** The background work of the store: merges what is due, under maintenance permits, one lane a time. */
import type { Permit } from "../access/permit.ts";
import type { Clock } from "../clock.ts";
import { diagnostics } from "../diagnostics.ts";
import { limits } from "../limits.ts";
import { unavailable } from "../postgres/pool.ts";
import { Problem } from "../problems.ts";
import type { Lane } from "./commit.ts";
import { laneName } from "./lane.ts";
import { type Merging, mergeLane } from "./merge.ts";
import { CATEGORIES } from "./plan.ts";
import { lanesWithArrivals, pruneOutbox } from "./tables.ts";

export interface MergeLoop {
  /** Merges all lanes of the permit's patient. */
  mergePatient(permit: Permit, all: boolean): Promise<number>;
  start(permitFor: (patientId: string) => Promise<Permit>): void;
  stop(): Promise<void>;
}

export function createMergeLoop(o: Merging & { readonly clock: Clock }): MergeLoop {
  let turn: Promise<unknown> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  const damaged = new Set<string>();

  /** One merge at a time, whoever asks. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = turn.then(work);
    turn = mine.catch(() => undefined); // whoever asked gets the error; the next may go on
    return mine;
  }

  /** Manifests with arrivals that are not in memory yet: after a start, or of another program. */
  async function loadWaiting(patientId?: string): Promise<void> {
    const { pool, tenantId } = o.database;
    for (const row of await lanesWithArrivals(pool, tenantId)) {
      if (o.committer.lanes.has(row.laneId) || damaged.has(row.laneId)) continue;
      if (patientId !== undefined && row.patientId !== patientId) continue;
      // Rows that an erasure cut off by a crash left behind: no key opens them.
      if (!o.vault.hasPatient(row.patientId)) continue;
      for (const category of CATEGORIES) {
        const name = laneName(o.vault, row.patientId, category, row.month);
        if (name.id !== row.laneId) continue;
        if (patientId !== undefined) await o.committer.lane(name);
        else noteDamaged(name.id, await damageOf(o.committer.lane(name)));
      }
    }
  }

  function noteDamaged(laneId: string, damage: Problem | undefined): void {
    if (damage === undefined) return;
    damaged.add(laneId);
    o.counters.unreadable += 1;
    diagnostics.error({ code: damage.code }, "stored arrivals can not be merged");
  }

  async function round(permitFor: (patientId: string) => Promise<Permit>): Promise<void> {
    const due = [...o.committer.lanes.values()].filter(
      (lane) => isDue(o.clock, lane) && !damaged.has(lane.name.id),
    );
    for (const lane of due) {
      if (isStopped) return;
      const permit = await permitFor(lane.name.patientId);
      const merged = inTurn(() => mergeLane(o, permit, lane.name));
      noteDamaged(lane.name.id, await damageOf(merged));
    }
    await pruneOutbox(o.database.pool, o.database.tenantId, limits.outboxRowsMax);
  }

  return {
    mergePatient: (permit, all) =>
      inTurn(async () => {
        try {
          await loadWaiting(permit.patientId);
          let merged = 0;
          for (const lane of [...o.committer.lanes.values()]) {
            if (lane.name.patientId !== permit.patientId) continue;
            if (all || isDue(o.clock, lane)) merged += await mergeAll(o, permit, lane);
          }
          return merged;
        } catch (error) {
          throw unavailable(error) ?? error;
        }
      }),
    start(permitFor) {
      let isLoaded = false;
      const next = () => {
        if (isStopped) return;
        timer = setTimeout(async () => {
          try {
            if (!isLoaded) await inTurn(() => loadWaiting());
            isLoaded = true;
            await round(permitFor);
          } catch (error) {
            diagnostics.warn({ err: error }, "merging waits for its next turn");
          }
          next();
        }, limits.mergeEveryMs);
        timer.unref();
      };
      next();
    },
    async stop() {
      isStopped = true;
      clearTimeout(timer);
      await turn;
    },
  };
}

const DAMAGE: ReadonlySet<string> = new Set([
  "series-damaged",
  "sealed-data-damaged",
  "patient-erased",
]);

/** Damage stays where it is, so that readers see it: merging goes round it until a restart, and what
 * is wrong with one lane stops no other. Whatever else fails rises and is tried again. */
async function damageOf(work: Promise<unknown>): Promise<Problem | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (error instanceof Problem && DAMAGE.has(error.code)) return error;
    throw error;
  }
}

function isDue(clock: Clock, { state, waitingSinceMs }: Lane): boolean {
  const arrivals = state.nextArrival - state.firstArrival;
  if (arrivals === 0 || waitingSinceMs === undefined) return false;
  if (arrivals >= limits.arrivalsBeforeMerge) return true;
  return clock.monotonicMs() - waitingSinceMs >= limits.arrivalAgeMaxMs;
}

async function mergeAll(o: Merging, permit: Permit, lane: Lane): Promise<number> {
  let merged = 0;
  for (;;) {
    const step = await mergeLane(o, permit, lane.name);
    merged += step;
    if (step === 0) return merged;
  }
}
