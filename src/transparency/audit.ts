/**
 * The audit of every access, append-only: an entry is durable before its access happens.
 * Concurrent entries share one transaction, as each of them waits for the disk.
 *
 * Crash before the commit: no access happened. Crash after it: an entry without its closing entry,
 * which reads "open, extent = the whole scope asked for".
 */
import type { Clock } from "../clock.ts";
import { counter } from "../diagnostics.ts";
import { limits } from "../limits.ts";
import type { Database } from "../postgres/database.ts";
import { Problem } from "../problems.ts";
import { openSealedFields, type SealedFields, type Secrets } from "../sealed-fields.ts";
import { auditTables } from "./tables.ts";

/** What happened, in ids and codes only. */
export interface AuditStatement {
  readonly what: "permitted" | "denied" | "closed" | "signed-in" | "signed-out" | "changed";
  readonly principalId: string;
  readonly role: string;
  readonly sessionId?: string | undefined;
  readonly purpose?: string;
  readonly action?: string;
  readonly categories?: readonly string[] | "all";
  /** Why it was denied, or why a lease ended. */
  readonly reason?: string;
  /** Of a closing entry: the entry it closes. */
  readonly opened?: string;
  /** Of a closing entry: what was opened, as compartment, first and last month (since January 1970). */
  readonly extent?: readonly (readonly [string, number, number])[];
  /** Of a change: whom or what it changed. */
  readonly subjectId?: string;
}

export interface AuditEntry extends AuditStatement {
  readonly entryId: string;
  readonly patientId: string;
  readonly atMs: number;
}

export interface Audit {
  /** Resolves with the entry's id when it is durable.
   * @param patientId undefined where the entry is about no patient.
   * @throws Problem "storage-unavailable": then the access must not happen. */
  append(patientId: string | undefined, statement: AuditStatement): Promise<string>;
  /** A patient's entries, oldest first; undefined for those about no patient. */
  entries(patientId: string | undefined): Promise<AuditEntry[]>;
  /** Resolves when everything handed over is durable or refused. */
  close(): Promise<void>;
}

interface Waiting {
  readonly patientId: string;
  readonly entryId: string;
  readonly atMs: number;
  readonly sealed: Uint8Array;
  resolve(entryId: string): void;
  reject(error: unknown): void;
}

const entriesTotal = counter("vitalward_audit_entries_total", "audit entries made durable", [
  "what",
]);

export async function openAudit(o: {
  database: Database;
  secrets: Secrets;
  clock: Clock;
}): Promise<Audit> {
  const fields = await openSealedFields({
    secrets: o.secrets,
    tenantId: o.database.tenantId,
    name: "audit",
    clock: o.clock,
  });
  return new GroupedAudit(o.database, fields, o.clock);
}

class GroupedAudit implements Audit {
  readonly #database: Database;
  readonly #tables: ReturnType<typeof auditTables>;
  readonly #fields: SealedFields;
  readonly #clock: Clock;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;

  constructor(database: Database, fields: SealedFields, clock: Clock) {
    this.#database = database;
    this.#tables = auditTables(database.tenantId);
    this.#fields = fields;
    this.#clock = clock;
  }

  append(patientId: string | undefined, statement: AuditStatement): Promise<string> {
    if (this.#waiting.length >= limits.auditWaitingMax) {
      return Promise.reject(new Problem("rate-limited"));
    }
    const entryId = this.#clock.uuid();
    const subject = patientId ?? this.#database.tenantId;
    const sealed = this.#fields.seal(`audit/${subject}/${entryId}`, JSON.stringify(statement));
    const durable = new Promise<string>((resolve, reject) => {
      const atMs = Math.floor(this.#clock.nowMs());
      this.#waiting.push({ patientId: subject, entryId, atMs, sealed, resolve, reject });
    });
    this.#writing ??= this.#write();
    return durable.then((id) => {
      entriesTotal.inc({ what: statement.what });
      return id;
    });
  }

  /** While one group is on its way to the disk, the next one gathers. */
  async #write(): Promise<void> {
    await Promise.resolve(); // what was asked for in the same turn goes into the same group
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, limits.auditGroupMax);
      try {
        await this.#database.transaction((client) => this.#tables.append(client, group));
        for (const entry of group) entry.resolve(entry.entryId);
      } catch (error) {
        for (const entry of group) entry.reject(error);
      }
    }
    this.#writing = undefined;
  }

  async entries(patientId: string | undefined): Promise<AuditEntry[]> {
    const subject = patientId ?? this.#database.tenantId;
    const rows = await this.#database.transaction((client) => this.#tables.of(client, subject));
    return rows.map((row) => ({
      ...(JSON.parse(
        this.#fields.open(`audit/${subject}/${row.entry_id}`, row.sealed),
      ) as AuditStatement),
      entryId: row.entry_id,
      patientId: subject,
      atMs: row.at_ms,
    }));
  }

  async close(): Promise<void> {
    await this.#writing;
  }
}
