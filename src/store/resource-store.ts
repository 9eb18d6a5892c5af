/** Encrypted, versioned resources: sealed under their owner's compartment, found by keyed hashes. */
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { COMPARTMENTS, type Compartment, Permit } from "../access/permit.ts";
import type { Clock } from "../clock.ts";
import { limits } from "../limits.ts";
import type { Database } from "../postgres/database.ts";
import { unavailable } from "../postgres/pool.ts";
import { Problem } from "../problems.ts";
import type { Vault } from "../vault/seal.ts";
import { dashed } from "./bytes.ts";
import { associated } from "./lane.ts";
import {
  addVersions,
  countRows,
  lockNewest,
  type ResourceRow,
  type ResourceRows,
  searchRows,
  setTokens,
  tokenMatches,
  versionsOf,
} from "./resource-tables.ts";
import type {
  ResourceJson,
  Resources,
  ResourceVersion,
  ResourceWrite,
  SearchValue,
  StoredResource,
} from "./resources.ts";
import { monthIndexOf } from "./series.ts";

interface ResourceOptions {
  readonly database: Database;
  readonly vault: Vault;
  readonly clock: Clock;
}

const UNIQUE_VIOLATION = "23505";
const PLAIN = 0;
const ZSTD = 1;
/** Below this a resource is stored as it is: compressing costs more time than it saves bytes. */
const COMPRESS_FROM_BYTES = 1_024;
const UNPACKED_MAX = 8 * 2 ** 20;

export function createResources(o: ResourceOptions): Resources {
  const { database, vault } = o;
  const { pool, tenantId } = database;
  const labels = patientLabels(vault);

  const putMany = (writes: readonly ResourceWrite[]) => writeMany(o, labels, writes);

  const kindsFor = (permit: Permit, resourceType: string) => {
    const kinds = new Map<string, Compartment>();
    for (const compartment of COMPARTMENTS) {
      if (!permit.covers(permit.patientId, compartment)) continue;
      kinds.set(labels.kind(permit.patientId, compartment, resourceType), compartment);
    }
    return kinds;
  };
  const open = (permit: Permit, kinds: Map<string, Compartment>, row: ResourceRow) =>
    openRow(vault, permit, kinds.get(row.kind)!, row);

  async function versions(
    permit: Permit,
    of: { resourceType: string; id: string },
    which: { version?: number | undefined; newest: boolean },
  ): Promise<StoredResource[]> {
    Permit.check(permit);
    const kinds = kindsFor(permit, of.resourceType);
    const at = { tenantId, patientId: permit.patientId, id: of.id };
    const rows = await away(versionsOf(pool, at, [...kinds.keys()], which));
    return rows.map((row) => open(permit, kinds, row));
  }

  const planOf = (permit: Permit, query: Parameters<Resources["count"]>[1]) => ({
    kinds: kindsFor(permit, query.resourceType),
    fromMs: query.fromMs ?? null,
    toMs: query.toMs ?? null,
    tokens: (query.tokens ?? []).map((token) => labels.token(permit.patientId, token)),
  });

  return {
    put: async (write) => (await putMany([write]))[0]!,
    putMany,
    get: async (permit, of) =>
      (await versions(permit, of, { version: of.version, newest: of.version === undefined }))[0],
    history: (permit, of) => versions(permit, of, { newest: false }),
    async search(permit, query) {
      Permit.check(permit);
      const plan = planOf(permit, query);
      const page = {
        newestFirst: query.newestFirst ?? false,
        limit: query.limit,
        offset: query.offset ?? 0,
      };
      const wanted = { ...plan, kinds: [...plan.kinds.keys()] };
      const rows = await away(searchRows(pool, tenantId, permit.patientId, wanted, page));
      return rows.map((row) => open(permit, plan.kinds, row));
    },
    async count(permit, query) {
      Permit.check(permit);
      const plan = planOf(permit, query);
      const wanted = { ...plan, kinds: [...plan.kinds.keys()] };
      return away(countRows(pool, tenantId, permit.patientId, wanted));
    },
    candidates(query) {
      const tokens = tokensOf(vault, query.resourceType, query);
      if (tokens.length === 0) return Promise.resolve([]);
      return away(tokenMatches(pool, tenantId, tokens, query.limit));
    },
  };
}

/** All or none: versions, then the tokens by which demographics are found. */
async function writeMany(
  o: ResourceOptions,
  labels: PatientLabels,
  writes: readonly ResourceWrite[],
): Promise<ResourceVersion[]> {
  const { database, vault } = o;
  const { tenantId } = database;
  if (writes.length > limits.resourcesPerWriteMax) throw new Problem("body-too-large");
  if (writes.length === 0) return [];
  for (const patientId of new Set(writes.map((write) => write.patientId))) {
    vault.ensurePatient(patientId);
  }
  const writtenMs = o.clock.nowMs();
  try {
    return await database.transaction(async (client) => {
      const isCreate = writes.every(({ expectedVersion }) => expectedVersion === 0);
      const newest = isCreate
        ? new Map<string, number>()
        : await lockNewest(client, tenantId, ...keysOf(writes));
      const versions = nextVersions(writes, newest);
      const rows = sealRows(vault, labels, writes, versions, writtenMs);
      await addVersions(client, tenantId, rows, !isCreate);
      for (const write of writes) {
        if (write.compartment !== "demographics") continue;
        const at = { tenantId, patientId: write.patientId, id: write.id };
        if (isCreate && !write.tokens?.length && !write.hints?.length) continue;
        await setTokens(client, at, write.deleted ? [] : searchTokens(vault, write));
      }
      return writes.map(({ id }, i) => ({ id, version: versions[i]!, writtenMs }));
    });
  } catch (error) {
    if ((error as { code?: unknown }).code === UNIQUE_VIOLATION) {
      throw new Problem("version-conflict", { cause: error });
    }
    throw error;
  }
}

async function away<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw unavailable(error) ?? error;
  }
}

function keysOf(writes: readonly ResourceWrite[]): [string[], string[]] {
  return [[...new Set(writes.map((write) => write.patientId))], writes.map((write) => write.id)];
}

/** @throws Problem "version-conflict"; also when one call writes the same resource twice. */
function nextVersions(
  writes: readonly ResourceWrite[],
  newest: ReadonlyMap<string, number>,
): number[] {
  const seen = new Set<string>();
  return writes.map(({ patientId, id, expectedVersion }) => {
    const key = `${patientId} ${id}`;
    const current = newest.get(key) ?? 0;
    const isOther = expectedVersion !== undefined && expectedVersion !== current;
    if (isOther || seen.has(key)) throw new Problem("version-conflict");
    seen.add(key);
    return current + 1;
  });
}

function sealRows(
  vault: Vault,
  labels: PatientLabels,
  writes: readonly ResourceWrite[],
  versions: readonly number[],
  writtenMs: number,
): ResourceRows {
  const starts: number[] = [];
  const lengths: number[] = [];
  let start = 1;
  const sealed = writes.map((write, i) => {
    const { patientId, compartment, id, timeMs } = write;
    const aad = associatedOf(id, versions[i]!, timeMs, write.deleted ?? false);
    const plain = packJson(write.resource);
    const bytes = vault.seal(patientId, compartment, monthIndexOf(timeMs), aad, plain);
    starts.push(start);
    lengths.push(bytes.length);
    start += bytes.length;
    return bytes;
  });
  return {
    patientIds: writes.map((write) => write.patientId),
    ids: writes.map((write) => write.id),
    versions,
    kinds: writes.map((write) =>
      labels.kind(write.patientId, write.compartment, write.resource.resourceType),
    ),
    timesMs: writes.map((write) => write.timeMs),
    writtenMs,
    deleted: writes.map((write) => write.deleted ?? false),
    tokens: writes.map(({ patientId, tokens }) => {
      const found = (tokens ?? []).map((token) => labels.token(patientId, token));
      return `{${found.join()}}`;
    }),
    starts,
    lengths,
    sealed: Buffer.concat(sealed),
  };
}

function associatedOf(id: string, version: number, timeMs: number, deleted: boolean): Buffer {
  return associated("resource", id, version, timeMs, deleted ? 1 : 0);
}

function packJson(resource: ResourceJson): Buffer {
  const plain = Buffer.from(JSON.stringify(resource), "utf8");
  if (plain.length < COMPRESS_FROM_BYTES) return Buffer.concat([Uint8Array.of(PLAIN), plain]);
  return Buffer.concat([Uint8Array.of(ZSTD), zstdCompressSync(plain)]);
}

function openRow(
  vault: Vault,
  permit: Permit,
  compartment: Compartment,
  row: ResourceRow,
): StoredResource {
  const { id, version, deleted } = row;
  const aad = associatedOf(id, version, row.time_ms, deleted);
  const month = monthIndexOf(row.time_ms);
  const packed = vault.open(permit, row.patient_id, compartment, month, aad, row.sealed);
  const body = packed.subarray(1);
  const plain =
    packed[0] === ZSTD ? zstdDecompressSync(body, { maxOutputLength: UNPACKED_MAX }) : body;
  return {
    patientId: row.patient_id,
    compartment,
    id,
    version,
    writtenMs: row.written_ms,
    timeMs: row.time_ms,
    deleted,
    resource: JSON.parse(plain.toString("utf8")) as ResourceJson,
  };
}

interface PatientLabels {
  kind(patientId: string, compartment: Compartment, resourceType: string): string;
  /** A searchable value under the patient's own key, as the text of a bigint. */
  token(patientId: string, value: SearchValue): string;
}

const LABELS_KEPT = 50_000;

function patientLabels(vault: Vault): PatientLabels {
  const kept = new Map<string, Buffer>();
  const label = (patientId: string, what: string) => {
    const key = `${patientId}\0${what}`;
    let found = kept.get(key);
    if (!found) {
      found = vault.label(patientId, what);
      if (kept.size >= LABELS_KEPT) kept.clear();
      kept.set(key, found);
    }
    return found;
  };
  return {
    kind: (patientId, compartment, resourceType) =>
      dashed(label(patientId, `resource\0${compartment}\0${resourceType}`).toString("hex")),
    token: (patientId, { column, value }) =>
      label(patientId, `token\0${column}\0${value}`).readBigInt64BE(0).toString(),
  };
}

const TOKEN_BYTES = 16;

function searchTokens(vault: Vault, write: ResourceWrite): Buffer[] {
  return tokensOf(vault, write.resource.resourceType, write);
}

/** Equality tokens keep 128 bits; hints keep 12, so that each stands for many values. */
function tokensOf(
  vault: Vault,
  resourceType: string,
  o: { readonly tokens?: readonly SearchValue[]; readonly hints?: readonly SearchValue[] },
): Buffer[] {
  const unique = new Map<string, Buffer>();
  const add = (token: Buffer) => unique.set(token.toString("latin1"), token);
  for (const { column, value } of o.tokens ?? []) {
    add(vault.token(`${resourceType}.${column}`, value).subarray(0, TOKEN_BYTES));
  }
  for (const { column, value } of o.hints ?? []) {
    const token = vault.token(`${resourceType}.${column}`, value);
    const place = vault.token("hint-column", `${resourceType}.${column}`)[0]!;
    add(Buffer.of(place, token[0]!, token[1]! & 0xf0));
  }
  return [...unique.values()];
}
