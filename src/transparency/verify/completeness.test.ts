import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { test } from "node:test";
import { cutLater } from "../../../test/support/index-forgery.ts";
import { MemoryIndexStore, VerifiableIndex } from "../index-tree.ts";
import { CHAIN_START, type ChainedLeaf, chainedLeaf, nextShardLeaf } from "../leaf.ts";
import { encodeIndexRootLeaf, type LogEntry } from "../leaf-format.ts";
import { formatKey } from "../note.ts";
import { formatProofFile, parseProofFile } from "../proof-file.ts";
import { ed25519Cosigner, logSigner, signCheckpoint } from "../sign.ts";
import { tilePath } from "../tile-paths.ts";
import { TiledTree, TileEdge } from "../tiles.ts";
import { inclusionPath, leafHash } from "../tree.ts";
import {
  nextShardTag,
  type ShardEvidence,
  TAGS_AHEAD,
  verifyCompleteness,
} from "./completeness.ts";
import { type Opening, tagOf } from "./history.ts";
import { verifyProofFile } from "./proof-file.ts";

const LOG = "hospital.example/log";
const NOW = 1_800_000_000;
const privateKey = generateKeyPairSync("ed25519").privateKey;
const witnesses = ["a", "b", "c", "d"].map((name) =>
  ed25519Cosigner(name, generateKeyPairSync("ed25519").privateKey),
);
const policy = {
  operator: "hospital",
  logKeys: [0, 1].map((shard) => formatKey(logSigner(`${LOG}/${shard}`, privateKey).key)),
  witnesses: witnesses.map(({ key }) => ({ operator: key.name, keys: [formatKey(key)] })),
  quorum: 3,
  freshWithinS: 300,
  aheadS: 60,
};
// One log key signs under the name of each shard, so each shard's policy names its own.
const policyOf = (shard: number) => ({ ...policy, logKeys: [policy.logKeys[shard]!] });

class Shard {
  readonly entries: Uint8Array[] = [];
  readonly index = new VerifiableIndex(new MemoryIndexStore());
  readonly shard: number;
  constructor(shard: number) {
    this.shard = shard;
  }

  publish(timeS = NOW): string {
    this.index.append(this.entries.slice(this.index.head.covered));
    const { root, covered, tags } = this.index.head;
    this.entries.push(encodeIndexRootLeaf({ root, covered, tags }));
    return this.sign(timeS);
  }

  sign(timeS = NOW): string {
    const edge = new TileEdge();
    for (const entry of this.entries) edge.append(leafHash(entry));
    const origin = `${LOG}/${this.shard}`;
    const signers = [logSigner(origin, privateKey), ...witnesses.slice(0, 3)];
    return signCheckpoint({ origin, size: edge.size, root: edge.root() }, signers, timeS);
  }

  evidence(subject: Uint8Array, count: number, checkpoint: string): ShardEvidence {
    const hashes = this.entries.map(leafHash);
    const of = (n: number) => this.index.prove(tagOf(subject, LOG, this.shard, n));
    return {
      checkpoint,
      indexRootLeaf: this.entries.at(-1)!,
      path: inclusionPath(hashes, hashes.length - 1),
      nextShard: this.index.prove(nextShardTag(LOG, this.shard)),
      ...(count > 0 && { last: of(count - 1) }),
      ahead: Array.from({ length: TAGS_AHEAD }, (_, n) => of(count + n)),
    };
  }
}

/** Two shards, the first closed, with a patient among others. */
function demonstration() {
  const subject = new Uint8Array(randomBytes(32));
  const made: ChainedLeaf[] = [];
  const openings: Opening[] = [];
  const state = Buffer.from("state");
  const entry: LogEntry = { kind: "access-opened", atMs: NOW * 1000, facts: { role: "nurse" } };
  const add = (shard: Shard, n: number) => {
    const place = { log: LOG, shard: shard.shard, n };
    const previous = made.at(-1)?.leafHash ?? CHAIN_START;
    const one = chainedLeaf({ key: subject, place, previous, entry, state });
    made.push(one);
    openings.push({
      shard: place.shard,
      n,
      class: "event",
      payload: one.payload,
      basis: { state },
    });
    shard.entries.push(one.leaf);
    for (let k = 0; k < 3; k += 1) {
      const key = new Uint8Array(randomBytes(32));
      const other = { key, place: { ...place, n: 0 }, previous: CHAIN_START, entry, state };
      shard.entries.push(chainedLeaf(other).leaf);
    }
  };
  const first = new Shard(0);
  for (let n = 0; n < 5; n += 1) add(first, n);
  first.publish(NOW - 90_000_000);
  add(first, 5);
  first.entries.push(nextShardLeaf(LOG, 0));
  const closing = first.publish(NOW - 80_000_000);
  const second = new Shard(1);
  for (let n = 0; n < 3; n += 1) add(second, n);
  const newest = second.publish();
  const shards = [first.evidence(subject, 6, closing), second.evidence(subject, 3, newest)];
  return { subject, openings, first, second, shards, add, made };
}

const ask = (d: ReturnType<typeof demonstration>, change: object = {}) =>
  verifyCompleteness({
    key: d.subject,
    log: LOG,
    openings: d.openings,
    shards: d.shards,
    policyOf,
    nowS: NOW,
    ...change,
  });

test("a patient's entries over two shards are shown to be all", async () => {
  const verdict = await ask(demonstration());
  assert.equal(verdict.reason, undefined);
  assert.equal(verdict.entries.length, 9);
});

test("a patient without any entry is shown to have none", async () => {
  const d = demonstration();
  const subject = new Uint8Array(randomBytes(32));
  const shards = [d.first, d.second].map((shard, n) =>
    shard.evidence(subject, 0, d.shards[n]!.checkpoint),
  );
  const verdict = await ask({ ...d, subject, openings: [], shards });
  assert.deepEqual([verdict.holds, verdict.entries.length], [true, 0]);
});

test("a withheld entry shows wherever it stood", async () => {
  const d = demonstration();
  for (let at = 0; at < d.openings.length; at += 1) {
    const openings = d.openings.filter((_, n) => n !== at);
    assert.equal((await ask(d, { openings })).holds, false, `without ${at}`);
  }
  // The last one withheld together with honest proofs for what is left: its tag is not absent.
  const shards = [d.shards[0]!, d.second.evidence(d.subject, 2, d.shards[1]!.checkpoint)];
  const openings = d.openings.slice(0, -1);
  assert.equal((await ask(d, { openings, shards })).reason, "more-entries");
  // The same proofs cut elsewhere, so that they look like another tag's.
  const ahead = shards[1]!.ahead.map((proof, n) => (n === 0 ? cutLater(proof) : proof));
  const cut = [d.shards[0]!, { ...shards[1]!, ahead }];
  assert.equal((await ask(d, { openings, shards: cut })).reason, "more-entries");
  // A whole shard's entries withheld.
  const none = [d.shards[0]!, d.second.evidence(d.subject, 0, d.shards[1]!.checkpoint)];
  assert.equal(
    (await ask(d, { openings: d.openings.slice(0, 6), shards: none })).reason,
    "more-entries",
  );
});

test("an old view is refused: stale cosignatures, a shard before it was closed, a hidden shard", async () => {
  const d = demonstration();
  assert.equal((await ask(d, { nowS: NOW + 301 })).reason, "checkpoint");
  const hidden = { openings: d.openings.slice(0, 6), shards: d.shards.slice(0, 1) };
  const verdict = await ask(d, hidden);
  assert.equal(verdict.holds, false);
  // Freshly cosigned, the closed shard still says itself that there is another.
  const shown = [{ ...d.shards[0]!, checkpoint: d.first.sign(NOW) }];
  assert.equal((await ask(d, { ...hidden, shards: shown })).reason, "shards");
  assert.equal((await ask(d, { shards: [] })).reason, "shards");
  assert.equal((await ask(d, { shards: d.shards.slice(0, 1) })).reason, "shards");
  const early = new Shard(0);
  early.entries.push(...d.first.entries.slice(0, 20));
  const note = early.publish();
  const cut = [early.evidence(d.subject, 5, note), d.shards[1]!];
  assert.equal((await ask(d, { shards: cut })).holds, false);
});

test("entries after the leaf that closes a shard are refused", async () => {
  const d = demonstration();
  d.add(d.first, 6);
  const checkpoint = d.first.publish();
  const openings = [...d.openings.slice(0, 6), d.openings.at(-1)!];
  const shards = [d.first.evidence(d.subject, 7, checkpoint), d.shards[1]!];
  assert.equal((await ask(d, { openings, shards })).reason, "shards");
});

test("a changed entry, another's key and a checkpoint without its index root are refused", async () => {
  const d = demonstration();
  const payload = d.openings[4]!.payload;
  const text = Buffer.from(Buffer.from(payload).toString().replace("nurse", "nobody"));
  const openings = d.openings.with(4, { ...d.openings[4]!, payload: text });
  assert.equal((await ask(d, { openings })).reason, "last-entry");
  assert.equal((await ask(d, { key: new Uint8Array(randomBytes(32)) })).holds, false);
  const second = d.shards[1]!;
  const other = [{ ...second, indexRootLeaf: d.second.entries[0]! }];
  assert.equal((await ask(d, { shards: [d.shards[0]!, ...other] })).reason, "index-root");
  const without = { ...second, ahead: second.ahead.slice(1) };
  assert.equal((await ask(d, { shards: [d.shards[0]!, without] })).reason, "more-entries");
  d.second.entries.push(d.made[0]!.leaf);
  const open = { ...second, checkpoint: d.second.sign() };
  assert.equal((await ask(d, { shards: [d.shards[0]!, open] })).reason, "index-root");
  const { last: _, ...nothing } = second;
  assert.equal((await ask(d, { shards: [d.shards[0]!, nothing] })).reason, "last-entry");
});

test("an index root that does not cover all leaves before it closes no checkpoint", async () => {
  const d = demonstration();
  const second = d.shards[1]!;
  // A new entry, and the old index root once more after it: by that one the entry is absent.
  d.add(d.second, 3);
  d.second.entries.push(second.indexRootLeaf);
  const hashes = d.second.entries.map(leafHash);
  const path = inclusionPath(hashes, hashes.length - 1);
  const stale = { ...second, checkpoint: d.second.sign(), path };
  const openings = d.openings.slice(0, -1);
  const verdict = await ask(d, { openings, shards: [d.shards[0]!, stale] });
  assert.equal(verdict.reason, "index-root");
});

test("a proof file from tiles shows one event to anybody, and nothing else", async () => {
  const d = demonstration();
  const tiles = new Map<string, Uint8Array>();
  const edge = new TileEdge();
  for (const entry of d.second.entries) edge.append(leafHash(entry));
  for (const { tile, bytes } of edge.partial()) tiles.set(tilePath(tile), bytes);
  const tree = new TiledTree(edge.size, async (tile) => tiles.get(tilePath(tile))!);
  const index = 4;
  const leaf = d.second.entries[index]!;
  const { checkpoint } = d.shards[1]!;
  const extra = d.openings[7]!.payload;
  const file = formatProofFile({ index, path: await tree.inclusionPath(index), checkpoint, extra });
  const whole = { ...policyOf(1), origin: `${LOG}/1`, freshWithinS: Number.POSITIVE_INFINITY };
  const check = (text: string, entry = leaf, change = {}) =>
    verifyProofFile(text, entry, { ...whole, ...change }, NOW + 10 ** 8);
  const verdict = await check(file);
  assert.equal(verdict.reason, undefined);
  assert.deepEqual([verdict.index, verdict.extra], [index, new Uint8Array(extra)]);
  assert.equal((await check(file, d.second.entries[5])).reason, "not-included");
  assert.equal((await check(file.replace("index 4", "index 5"))).reason, "not-included");
  assert.equal((await check(file, leaf, { quorum: 4 })).reason, "checkpoint");
  assert.equal((await check(file, leaf, { freshWithinS: 300 })).reason, "checkpoint");
  const parsed = parseProofFile(file);
  assert.ok(parsed);
  assert.equal(formatProofFile(parsed), file);
  const wrong = [
    file.replace("@v1", "@v2"),
    file.replace("index 4\n", ""),
    file.replace("index 4", "index 04"),
    file.replace("index 4", "index -4"),
    file.replace("index 4", "index 9007199254740992"),
    file.replace("extra ", "extra  "),
    file.replace("extra ", "extras "),
    file.replace("\n\n", "\nAAAA\n\n"),
    file.replace("\n\n", "\n"),
    "",
  ];
  for (const text of wrong) assert.equal((await check(text)).holds, false, text.slice(0, 60));
  for (const text of [...wrong.slice(0, 8), ""]) assert.equal(parseProofFile(text), undefined);
  assert.throws(() => formatProofFile({ ...parsed, index: -1 }), RangeError);
  assert.throws(() => formatProofFile({ ...parsed, path: [leaf] }), RangeError);
  const big = new Uint8Array(65_537);
  assert.throws(() => formatProofFile({ ...parsed, extra: big }), RangeError);
});
