/**
 * Corrects a wrong assignment: the envelopes are stored once more under the right patient, then the
 * old samples are marked entered-in-error. A crash between the two leaves both unmarked; running it
 * again finds what is there already and completes.
 */
import type { Permit } from "../access/permit.ts";
import { unavailable } from "../postgres/pool.ts";
import { Problem } from "../problems.ts";
import { mark } from "../vitals/quality.ts";
import { fromOf, toOf } from "./content.ts";
import { laneName } from "./lane.ts";
import { commitMerge, type Merging } from "./merge.ts";
import type { MergeLoop } from "./merging.ts";
import { categoriesFor, makePlan, monthsInRange, monthsWithData, type Reading } from "./plan.ts";
import { batchOf, collectEnvelopes, contentsOf, type FoundEnvelope } from "./rebuild.ts";
import { type Chosen, remarkLane } from "./remark.ts";
import type { ReassignRange } from "./store.ts";
import { lanesById } from "./tables.ts";

export type Reassigning = Reading & Merging & { readonly merging: MergeLoop };

export async function reassignDevice(
  o: Reassigning,
  wrong: Permit,
  right: Permit,
  what: ReassignRange,
): Promise<{ envelopes: number }> {
  try {
    const found = await envelopesIn(o, wrong, what);
    const there = new Set((await envelopesIn(o, right, what)).map(nameOf));
    for (const envelope of found) {
      if (there.has(nameOf(envelope))) continue;
      await o.committer.appendResealed({
        patientId: right.patientId,
        deviceId: what.deviceId,
        sessionId: envelope.sessionId,
        batch: batchOf(envelope),
        marks: envelope.marks & ~(mark.implausible | mark.enteredInError),
        receivedMs: envelope.receivedMs,
        envelopeHash: new Uint8Array(0),
      });
    }
    const names = new Set(found.map(nameOf));
    const chosen: Chosen = (sessionId, sequence) => names.has(nameOf({ sessionId, sequence }));
    await o.merging.mergePatient(wrong, true);
    await markOld(o, wrong, { deviceId: what.deviceId, chosen, marks: mark.enteredInError });
    return { envelopes: found.length };
  } catch (error) {
    throw unavailable(error) ?? error;
  }
}

const nameOf = (of: { readonly sessionId: string; readonly sequence: number }) =>
  `${of.sessionId} ${of.sequence}`;

/** Whole envelopes of the device of which any sample lies in the range.
 * @throws Problem "series-damaged" when some of one is not readable: then nothing is moved. */
async function envelopesIn(
  o: Reading,
  permit: Permit,
  what: ReassignRange,
): Promise<FoundEnvelope[]> {
  const envelopes = new Map<string, FoundEnvelope>();
  const inRange = new Set<string>();
  const everything = { fromMs: Number.NEGATIVE_INFINITY, toMs: Number.POSITIVE_INFINITY };
  const months = await monthsWithData(o, permit.patientId);
  // A batch may reach into the months beside the range.
  const monthMs = 32 * 86_400_000;
  const around = { fromMs: what.fromMs - monthMs, toMs: what.toMs + monthMs };
  const plan = await makePlan(o, permit, monthsInRange(months, around), everything);
  if (plan.gaps.length > 0) throw new Problem("series-damaged");
  for (const series of plan.series.values()) {
    if (series.key.deviceId !== what.deviceId) continue;
    for (const content of await contentsOf(o, permit, series, () => true)) {
      if (fromOf(content) >= around.toMs || toOf(content) < around.fromMs) continue;
      collectEnvelopes(series.key, content, () => true, envelopes);
    }
  }
  for (const envelope of envelopes.values()) {
    if (touches(envelope, what)) inRange.add(nameOf(envelope));
  }
  const chosen = [...envelopes.values()].filter((envelope) => inRange.has(nameOf(envelope)));
  if (chosen.some(({ found, units }) => found !== units)) throw new Problem("series-damaged");
  return chosen;
}

function touches(envelope: FoundEnvelope, range: ReassignRange): boolean {
  const isIn = (deviceMs: number) => {
    const timeMs = deviceMs + envelope.offsetMs;
    return timeMs >= range.fromMs && timeMs < range.toMs;
  };
  for (const { column } of envelope.points.values()) if (column.timesMs.some(isIn)) return true;
  return envelope.waveforms.some(({ startMs }) => isIn(startMs));
}

async function markOld(
  o: Reassigning,
  permit: Permit,
  what: { readonly deviceId: string; readonly chosen: Chosen; readonly marks: number },
): Promise<void> {
  const { patientId } = permit;
  const { pool, tenantId } = o.database;
  const names = (await monthsWithData(o, patientId)).flatMap((month) =>
    categoriesFor(permit, undefined).map((category) =>
      laneName(o.vault, patientId, category, month),
    ),
  );
  const ids = names.map(({ id }) => id);
  const stored = new Set(
    (await lanesById(pool, tenantId, [patientId], ids)).map(({ lane }) => lane),
  );
  for (const name of names) {
    if (!stored.has(name.id)) continue;
    const lane = await o.committer.lane(name);
    const write = await remarkLane(o, permit, name, { ...lane.state }, what);
    if (write) await commitMerge(o, lane, write);
  }
}
