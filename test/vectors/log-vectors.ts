/**
 * Writes the log's vectors again: `node test/vectors/log-vectors.ts`. One small shard from fixed seeds: leaves, tiles,
 * index, checkpoint and proofs. ML-DSA-44 signs with fresh chance, so its note stays as it is on file while it holds.
 */
import { createHash, createHmac, createPrivateKey } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { encodeIndexProof } from "../../src/transparency/index-proof.ts";
import { MemoryIndexStore, VerifiableIndex } from "../../src/transparency/index-tree.ts";
import {
  CHAIN_START,
  chainedLeaf,
  chainTag,
  nextShardLeaf,
  revocationLeaf,
} from "../../src/transparency/leaf.ts";
import { encodeIndexRootLeaf, type LogEntry } from "../../src/transparency/leaf-format.ts";
import { formatKey } from "../../src/transparency/note.ts";
import { formatProofFile } from "../../src/transparency/proof-file.ts";
import {
  ed25519Cosigner,
  logSigner,
  mlDsa44Cosigner,
  signCheckpoint,
} from "../../src/transparency/sign.ts";
import { encodeBundle, tilePath } from "../../src/transparency/tile-paths.ts";
import { TileEdge } from "../../src/transparency/tiles.ts";
import { inclusionPath, leafHash } from "../../src/transparency/tree.ts";

export const LOG_VECTORS = fileURLToPath(new URL("vitalward/log.json", import.meta.url));
export const LOG = "hospital.example/log";
export const SHARD = 0;
/** 2027-01-15 08:00 UTC. */
export const SIGNED_S = 1_800_000_000;

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const seedOf = (name: string) =>
  createHash("sha256").update(`vitalward log vectors/${name}`).digest();
const ed25519Of = (name: string) =>
  createPrivateKey({ key: seedOf(name), format: "raw-private", asymmetricKeyType: "ed25519" });
const mlDsa44Of = (name: string) =>
  createPrivateKey({ key: seedOf(name), format: "raw-seed", asymmetricKeyType: "ml-dsa-44" });

const ENTRIES: readonly LogEntry[] = [
  { kind: "enrolment", atMs: 1_799_990_000_000, facts: { by: "person-7", role: "administrator" } },
  {
    kind: "access-opened",
    atMs: 1_799_999_000_000,
    facts: {
      action: "read",
      categories: ["vital-signs"],
      principal: "person-3",
      purpose: "TREAT",
      role: "nurse",
    },
  },
  {
    kind: "access-closed",
    atMs: 1_799_999_060_000,
    late: true,
    facts: { extent: [["vital-signs", 684, 684]], opened: 1 },
  },
];
const STATE = Buffer.from('{"consent":"version 4"}');

/** The intermediate values of a leaf, written from docs/log.md §4 and nothing else. */
function intermediate(key: Uint8Array, n: number, previous: Uint8Array) {
  const place = Buffer.alloc(1 + LOG.length + 16);
  place[0] = LOG.length;
  place.write(LOG, 1);
  place.writeBigUInt64BE(BigInt(SHARD), 1 + LOG.length);
  place.writeBigUInt64BE(BigInt(n), 9 + LOG.length);
  const secret = (label: string, tail = Buffer.alloc(0)) =>
    createHmac("sha256", key)
      .update(Buffer.concat([Buffer.from(`vitalward/1 log ${label}\0`), place, tail]))
      .digest();
  return {
    place: hex(place),
    tag: hex(secret("tag")),
    nonce: hex(secret("nonce")),
    salt: hex(secret("basis")),
    link: hex(secret("link", Buffer.from(previous))),
  };
}

function chainVectors(key: Uint8Array) {
  let previous: Uint8Array = CHAIN_START;
  return ENTRIES.map((entry, n) => {
    const place = { log: LOG, shard: SHARD, n };
    const one = chainedLeaf({ key, place, previous, entry, state: STATE });
    const made = {
      n,
      previous: hex(previous),
      ...intermediate(key, n, previous),
      payload: Buffer.from(one.payload).toString(),
      leaf: hex(one.leaf),
      leafHash: hex(one.leafHash),
    };
    previous = one.leafHash;
    return made;
  });
}

/** @param known the note of ML-DSA-44 on file; undefined to sign a new one. */
export function logVectors(known: readonly string[] | undefined) {
  const key = seedOf("subject");
  const origin = `${LOG}/${SHARD}`;
  const chain = chainVectors(key);
  const secret = seedOf("revocation");
  const leafOf = (n: number) => Buffer.from(chain[n]?.leaf ?? "", "hex");
  const entries: Uint8Array[] = [leafOf(0), leafOf(1), revocationLeaf(secret), leafOf(2)];
  const index = new VerifiableIndex(new MemoryIndexStore());
  const { root, covered, tags } = index.append(entries);
  entries.push(encodeIndexRootLeaf({ root, covered, tags }));
  const edge = new TileEdge();
  for (const entry of entries) edge.append(leafHash(entry));
  const bundle = { level: "entries" as const, index: 0, width: entries.length };
  const tiles = [...edge.partial(), { tile: bundle, bytes: encodeBundle(entries) }];
  const log = logSigner(origin, ed25519Of("log"));
  const witnesses = ["a", "b", "c", "d"].map((name) =>
    ed25519Cosigner(`witness-${name}.example`, ed25519Of(name)),
  );
  const checkpoint = { origin, size: edge.size, root: edge.root() };
  const note = signCheckpoint(checkpoint, [log, ...witnesses.slice(0, 3)], SIGNED_S);
  const proof = formatProofFile({
    index: 1,
    path: inclusionPath(entries.map(leafHash), 1),
    checkpoint: note,
    extra: Buffer.from(chain[1]?.payload ?? ""),
  });
  const postQuantum = mlDsa44Cosigner(origin, mlDsa44Of("log, ML-DSA-44"));
  const proofOf = (tag: Uint8Array) => ({
    tag: hex(tag),
    proof: hex(encodeIndexProof(index.prove(tag))),
  });
  const tagOf = (n: number) => chainTag(key, { log: LOG, shard: SHARD, n });
  const opening = nextShardLeaf(LOG, SHARD);
  return {
    log: LOG,
    shard: SHARD,
    logKey: { seed: hex(seedOf("log")), vkey: formatKey(log.key) },
    witnessKeys: witnesses.map(({ key: { name, ...rest } }, n) => ({
      seed: hex(seedOf("abcd"[n] ?? "")),
      vkey: formatKey({ name, ...rest }),
    })),
    subjectKey: hex(key),
    state: hex(STATE),
    chain,
    revocation: { secret: hex(secret), leaf: hex(revocationLeaf(secret)) },
    nextShardLeaf: hex(opening),
    entries: entries.map(hex),
    index: { root: hex(root), covered, tags },
    indexProofs: {
      last: proofOf(tagOf(2)),
      ahead: [3, 4, 5, 6, 7, 8, 9, 10].map((n) => proofOf(tagOf(n))),
      nextShard: proofOf(opening.slice(2, 34)),
    },
    lastPath: inclusionPath(entries.map(leafHash), 4).map(hex),
    tiles: Object.fromEntries(tiles.map(({ tile, bytes }) => [tilePath(tile), hex(bytes)])),
    root: hex(checkpoint.root),
    checkpoint: note.split("\n"),
    proofFile: proof.split("\n"),
    mlDsa44: {
      seed: hex(seedOf("log, ML-DSA-44")),
      vkey: formatKey(postQuantum.key),
      note: known ?? signCheckpoint(checkpoint, [postQuantum], SIGNED_S).split("\n"),
    },
  };
}

export type LogVectors = ReturnType<typeof logVectors>;

export function textOf(made: LogVectors): string {
  return `${JSON.stringify(made, null, 1)}\n`;
}

if (import.meta.main) {
  const before = existsSync(LOG_VECTORS) ? readFileSync(LOG_VECTORS, "utf8") : undefined;
  const known = before === undefined ? undefined : (JSON.parse(before) as LogVectors);
  const made = logVectors(undefined);
  // The note on file stays as long as it is of the same checkpoint and key.
  const isSame = known?.root === made.root && known.mlDsa44.vkey === made.mlDsa44.vkey;
  const text = textOf(isSame ? logVectors(known.mlDsa44.note) : made);
  if (text !== before) {
    writeFileSync(LOG_VECTORS, text);
    console.log("changed: log.json");
  }
}
