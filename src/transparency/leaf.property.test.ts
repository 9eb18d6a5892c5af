import assert from "node:assert/strict";
import { test } from "node:test";
import { randomBytes, randomInt } from "../../test/support/seeded.ts";
import { type Canonical, decodeCanonical, encodeCanonical } from "./canonical.ts";
import { CHAIN_START, type ChainedLeaf, chainedLeaf, chainTag, revocationLeaf } from "./leaf.ts";
import {
  decodeEntry,
  decodeIndexRootLeaf,
  decodeLeaf,
  ENTRY_KINDS,
  encodeEntry,
  encodeIndexRootLeaf,
  encodeLeaf,
  LEAF_BYTES,
  type LogEntry,
} from "./leaf-format.ts";
import { sha256 } from "./tree.ts";
import { type Opening, tagOf, walkHistory } from "./verify/history.ts";

const LOG = "hospital.example/log";
const STATE = Buffer.from("consent 7");
const ENTRY: LogEntry = { kind: "denial", atMs: 1_800_000_000_000, facts: { role: "nurse" } };
const key = () => new Uint8Array(randomBytes(32));
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

/** A chain as the sequencer makes it. @param counts leaves per shard. */
function chainOf(subject: Uint8Array, counts: readonly number[], entry = (_: number) => ENTRY) {
  const made: ChainedLeaf[] = [];
  const openings: Opening[] = [];
  let previous: Uint8Array = CHAIN_START;
  for (const [shard, count] of counts.entries()) {
    for (let n = 0; n < count; n += 1) {
      const one = chainedLeaf({
        key: subject,
        place: { log: LOG, shard, n },
        previous,
        entry: entry(made.length),
        state: STATE,
      });
      previous = one.leafHash;
      made.push(one);
      const basis = made.length % 2 === 0 ? { state: STATE } : one.leaf.slice(66, 98);
      openings.push({ shard, n, class: "event", payload: one.payload, basis });
    }
  }
  return { made, openings };
}

test("leaves that say the same about one patient, or about two, share nothing but their form", () => {
  const subjects = [key(), key(), key()];
  const leaves = subjects.flatMap((one) => chainOf(one, [40, 40]).made.map(({ leaf }) => leaf));
  const fields = leaves.flatMap((leaf) => [
    hex(leaf.subarray(2, 34)),
    hex(leaf.subarray(34, 66)),
    hex(leaf.subarray(66, 98)),
  ]);
  assert.equal(new Set(fields).size, fields.length, "a field came twice");
  for (const leaf of leaves) {
    assert.equal(leaf.length, LEAF_BYTES);
    assert.deepEqual([leaf[0], leaf[1]], [1, 1]);
    assert.ok(leaf.subarray(98).every((byte) => byte === 0));
  }
});

test("by no bit of their fields can a patient's leaves be told from other people's", () => {
  // The best single bit of 768 that an observer could choose, learned on one half and used on the other.
  const one = key();
  const mine = chainOf(one, [2000]).made.map(({ leaf }) => leaf);
  const others = Array.from({ length: 2000 }, () => chainOf(key(), [1]).made[0]!.leaf);
  const bit = (leaf: Uint8Array, at: number) => ((leaf[2 + (at >> 3)] ?? 0) >> (at & 7)) & 1;
  const share = (leaves: readonly Uint8Array[], at: number) =>
    leaves.reduce((sum, leaf) => sum + bit(leaf, at), 0) / leaves.length;
  const half = (leaves: readonly Uint8Array[], n: number) =>
    leaves.slice(n * 1000, n * 1000 + 1000);
  let best = 0;
  let gap = 0;
  for (let at = 0; at < 768; at += 1) {
    const found = share(half(mine, 0), at) - share(half(others, 0), at);
    if (Math.abs(found) > Math.abs(gap)) [best, gap] = [at, found];
  }
  const advantage = Math.sign(gap) * (share(half(mine, 1), best) - share(half(others, 1), best));
  // Six standard deviations of a difference of two means over 1,000 fair coins each.
  assert.ok(advantage < 0.14, `advantage ${advantage} by bit ${best}`);
});

test("who has the key finds and walks the chain, over shards too; who has another finds nothing", () => {
  for (let round = 0; round < 30; round += 1) {
    const subject = key();
    const counts = [randomInt(5), randomInt(5), randomInt(5)];
    const { made, openings } = chainOf(subject, counts, (n) => ({
      ...ENTRY,
      kind: ENTRY_KINDS[n % ENTRY_KINDS.length]!,
      facts: { n },
    }));
    const walked = walkHistory(subject, LOG, openings);
    assert.ok(walked);
    assert.deepEqual(
      walked.leafHashes.map(hex),
      made.map(({ leafHash }) => hex(leafHash)),
    );
    assert.deepEqual(
      walked.entries.map(({ facts }) => facts.n),
      made.map((_, n) => n),
    );
    assert.deepEqual(
      walked.heads.map(({ shard, count }) => [shard, count]),
      [...counts.entries()].filter(([, count]) => count > 0),
    );
    for (const { shard, count, tag } of walked.heads) {
      assert.equal(hex(tag), hex(tagOf(subject, LOG, shard, count - 1)));
      assert.equal(hex(tag), hex(chainTag(subject, { log: LOG, shard, n: count - 1 })));
    }
    const stranger = walkHistory(key(), LOG, openings);
    const known = new Set(made.map(({ leafHash }) => hex(leafHash)));
    assert.ok(stranger?.leafHashes.every((hash) => !known.has(hex(hash))));
  }
});

test("a missing, doubled or moved entry shows, and so does a changed one from there on", () => {
  const subject = key();
  const { made, openings } = chainOf(subject, [6, 4], (n) => ({ ...ENTRY, facts: { n } }));
  const truth = made.map(({ leafHash }) => hex(leafHash));
  const last = (changed: readonly Opening[]) => {
    const walked = walkHistory(subject, LOG, changed);
    return walked && hex(walked.leafHashes.at(-1) ?? new Uint8Array());
  };
  assert.equal(last(openings), truth.at(-1));
  for (let at = 0; at < openings.length; at += 1) {
    const without = openings.filter((_, n) => n !== at);
    const isEnd = at === 5 || at === 9;
    if (!isEnd) assert.equal(last(without), undefined, `without ${at}`);
    else assert.notEqual(last(without), truth.at(-1), `without ${at}`);
    // As if it had never been: everything after it takes the number before.
    const closed = without.map((one, n) =>
      n >= at && one.shard === openings[at]?.shard ? { ...one, n: one.n - 1 } : one,
    );
    assert.notEqual(last(closed), truth.at(-1), `closed over ${at}`);
    assert.equal(last(openings.toSpliced(at, 0, openings[at]!)), undefined, `doubled ${at}`);
    const payload = encodeEntry({ ...ENTRY, facts: { n: 99 } });
    const changed = walkHistory(subject, LOG, openings.with(at, { ...openings[at]!, payload }));
    assert.deepEqual(
      changed?.leafHashes.map((hash, n) => hex(hash) === truth[n]),
      truth.map((_, n) => n < at),
      `changed ${at}`,
    );
    const other = openings[(at + 1) % 6]!;
    const swapped = { ...openings[at]!, payload: other.payload };
    if (at !== (at + 1) % 6) assert.notEqual(last(openings.with(at, swapped)), truth.at(-1));
  }
  const reordered = openings.with(2, openings[3]!).with(3, openings[2]!);
  assert.equal(last(reordered), undefined);
  // An invented entry cannot be hung on by going back to a shard that was left.
  assert.equal(last([...openings, openings[0]!]), undefined);
  assert.equal(last([...openings.slice(6), ...openings.slice(0, 6)]), undefined);
});

test("another log, shard or number gives other fields, and only 32 bytes are a key", () => {
  const subject = key();
  const places = [
    { log: LOG, shard: 0, n: 0 },
    { log: LOG, shard: 0, n: 1 },
    { log: LOG, shard: 1, n: 0 },
    { log: `${LOG}2`, shard: 0, n: 0 },
  ];
  const fields = places.flatMap((place) => {
    const { leaf } = chainedLeaf({
      key: subject,
      place,
      previous: CHAIN_START,
      entry: ENTRY,
      state: STATE,
    });
    return [leaf.slice(2, 34), leaf.slice(34, 66), leaf.slice(66, 98)].map(hex);
  });
  assert.equal(new Set(fields).size, 12);
  const o = { key: subject, place: places[0]!, previous: CHAIN_START, entry: ENTRY, state: STATE };
  for (const wrong of [
    { key: new Uint8Array(31) },
    { previous: new Uint8Array() },
    { place: { log: "", shard: 0, n: 0 } },
    { place: { log: "x".repeat(256), shard: 0, n: 0 } },
    { place: { log: LOG, shard: 0.5, n: 0 } },
    { place: { log: LOG, shard: 0, n: -1 } },
  ]) {
    assert.throws(() => chainedLeaf({ ...o, ...wrong }), RangeError);
  }
});

test("leaves and entries have one form; anything else is none", () => {
  const { leaf } = chainOf(key(), [1]).made[0]!;
  const read = decodeLeaf(leaf);
  assert.ok(read);
  assert.deepEqual(hex(encodeLeaf(read)), hex(leaf));
  const with_ = (at: number, byte: number) => Uint8Array.from(leaf).with(at, byte);
  const wrong = [leaf.slice(1), with_(0, 2), with_(1, 0), with_(1, 5), with_(98, 1), with_(106, 1)];
  for (const bytes of wrong) assert.equal(decodeLeaf(bytes), undefined);
  const index = { root: new Uint8Array(32).fill(7), covered: 2 ** 40, tags: 12 };
  const root = encodeIndexRootLeaf(index);
  assert.deepEqual(decodeIndexRootLeaf(root), index);
  assert.equal(decodeIndexRootLeaf(leaf), undefined);
  for (const at of [34, 50, 66, 97]) {
    assert.equal(decodeIndexRootLeaf(Uint8Array.from(root).with(at, 255)), undefined, `byte ${at}`);
  }
  const secret = key();
  const revoked = decodeLeaf(revocationLeaf(secret));
  assert.equal(revoked?.class, "revocation");
  assert.equal(hex(revoked?.tag ?? secret), hex(sha256(secret)));
  assert.throws(() => revocationLeaf(new Uint8Array(16)), RangeError);

  const entry: LogEntry = { ...ENTRY, late: true, facts: { b: [1, "ä"], a: null } };
  const payload = encodeEntry(entry);
  assert.equal(
    Buffer.from(payload).toString(),
    '{"atMs":1800000000000,"facts":{"a":null,"b":[1,"ä"]},"kind":"denial","late":true,"v":1}',
  );
  assert.deepEqual(decodeEntry(payload), entry);
  const early = { ...entry, atMs: -1 };
  assert.deepEqual(decodeEntry(encodeEntry(early)), early);
  const text = Buffer.from(payload).toString();
  for (const other of [
    text.replace(",", ", "),
    text.replace('"v":1', '"v":2'),
    text.replace("denial", "dinner"),
    text.replace('"late":true', '"late":false'),
    text.replace('"v":1', '"v":1,"w":1'),
    text.replace("1800000000000", "1.8e12"),
    text.replace("1800000000000", '"noon"'),
    "[]",
    "",
  ]) {
    assert.equal(decodeEntry(Buffer.from(other)), undefined, other);
  }
});

test("canonical values come back as they were, and have no other form", () => {
  const values: Canonical[] = [null, true, 0, -5, "", '"\\\u0007€😀', [], {}, [[{ z: 1, a: [2] }]]];
  for (const value of values) {
    const bytes = encodeCanonical(value);
    assert.deepEqual(decodeCanonical(bytes), value);
    assert.equal(decodeCanonical(Buffer.concat([bytes, Buffer.from(" ")])), undefined);
  }
  assert.throws(() => encodeCanonical(0.5), RangeError);
  assert.throws(() => encodeCanonical(2 ** 53), RangeError);
  assert.throws(() => encodeCanonical("\ud800"), RangeError);
  const nested = (lists: number, inner: string) =>
    `${"[".repeat(lists)}${inner}${"]".repeat(lists)}`;
  assert.ok(decodeCanonical(Buffer.from(nested(16, "1"))));
  assert.equal(decodeCanonical(Buffer.from(nested(17, "1"))), undefined);
  const wrong = ['{"b":1,"a":2}', '{"a":1,"a":1}', "1.0", "-0", "1e3", '"\\u0041"', "\ufeff1"];
  for (const text of wrong) assert.equal(decodeCanonical(Buffer.from(text)), undefined, text);
  assert.equal(decodeCanonical(Buffer.from([0x22, 0xff, 0x22])), undefined);
});
