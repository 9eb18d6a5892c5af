/**
 * Security events: what was wrong at a device door, typed and counted. However many arrive, one row
 * a type, device and minute is written, so an attacker cannot fill the disk with complaints.
 *
 * Lost: operators miss a warning; the counters in /metrics still show it. Altered: the same.
 */
import type { Clock } from "../clock.ts";
import { counter, diagnostics } from "../diagnostics.ts";
import { limits } from "../limits.ts";
import type { ProblemCode } from "../problems.ts";
import { type SecurityEventRow, writeSecurityEvents } from "./event-tables.ts";
import type { IngestDatabase } from "./tables.ts";

export type SecurityEventKind =
  | ProblemCode
  | "sequence-forked"
  | "device-rolled-back"
  | "clone-suspected"
  | "block-failed"
  | "gap-stated"
  | "assignment-straddled"
  | "store-restored";

/** Session ids and sequence numbers; never a value, a name or a patient. */
export type Evidence = Readonly<Record<string, string | number | boolean>>;

export interface SecurityEvents {
  /** Counts it now, writes it within a second. @param deviceId empty when nobody is known. */
  note(kind: SecurityEventKind, deviceId: string, evidence?: Evidence): void;
  /** Writes what waits. @throws Problem "storage-unavailable"; what waits is kept. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

const FLUSH_MS = 1_000;

const refusals = counter("vitalward_refusals_total", "envelopes and openings refused, by reason", [
  "code",
] as const);
const events = counter("vitalward_security_events_total", "security events, by kind", [
  "kind",
] as const);

/** Counts a refusal of admission for /metrics. */
export function countRefusal(code: ProblemCode): void {
  refusals.inc({ code });
}

export function createSecurityEvents(o: {
  readonly database: IngestDatabase;
  readonly clock: Clock;
}): SecurityEvents {
  const open = new Map<string, SecurityEventRow>();
  const dirty = new Set<SecurityEventRow>();
  let writing: Promise<void> = Promise.resolve();

  const write = async () => {
    if (dirty.size === 0) return;
    const rows = [...dirty];
    dirty.clear();
    try {
      await writeSecurityEvents(o.database, rows);
    } catch (error) {
      for (const row of rows) dirty.add(row);
      throw error;
    }
  };
  const flush = () => {
    writing = writing.then(write, write);
    return writing;
  };
  const timer = setInterval(() => {
    flush().catch((error) => diagnostics.warn({ err: error }, "security events wait for storage"));
  }, FLUSH_MS);
  timer.unref();

  return {
    note(kind, deviceId, evidence = {}) {
      events.inc({ kind });
      const nowMs = o.clock.nowMs();
      const key = `${deviceId} ${kind}`;
      let row = open.get(key);
      if (row === undefined || nowMs - row.firstMs >= limits.securityEventWindowMs) {
        if (open.size >= limits.securityEventsOpenMax) open.clear();
        if (dirty.size >= limits.securityEventsOpenMax) return;
        row = { deviceId, kind, firstMs: nowMs, lastMs: nowMs, count: 0, evidence };
        open.set(key, row);
      }
      row.count++;
      row.lastMs = nowMs;
      dirty.add(row);
    },
    flush,
    async close() {
      clearInterval(timer);
      await flush().catch((error) =>
        diagnostics.warn({ err: error }, "security events were lost at the end"),
      );
    },
  };
}
