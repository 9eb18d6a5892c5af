import assert from "node:assert/strict";
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { limits } from "../limits.ts";
import { Counter } from "./counter.ts";
import { BRIDGE_NUMBERS, Spool } from "./spool.ts";

const SESSION = "00112233445566778899aabbccddeeff";
const bytesOf = (n: number, length = 40) => new Uint8Array(length).fill(n % 251);

function folderOf(t: { after(work: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), "vw-spool-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const openSpool = (folder: string, bytesMax = 1 << 20) =>
  new Spool({ folder, bytesMax, durability: "interval" });
const numbers = (spool: Spool) => [...spool.held()].map(({ sequence }) => sequence);

/** A file of the spool with something done to its bytes. */
function spoil(folder: string, change: (bytes: Buffer) => Buffer): void {
  const [name] = readdirSync(folder);
  const path = join(folder, name!);
  writeFileSync(path, change(readFileSync(path)));
}

test("what was appended is there again, byte for byte, after a start without an orderly end", (t) => {
  const folder = folderOf(t);
  const spool = openSpool(folder);
  for (let n = 1; n <= 50; n++) spool.append(SESSION, n, bytesOf(n), n % 10 === 0);
  const again = openSpool(folder);
  assert.deepEqual(numbers(again), numbers(spool));
  for (const held of again.held())
    assert.deepEqual([...again.read(held)], [...bytesOf(held.sequence)]);
  assert.equal(again.tail?.sequence, 50);
});

test("a record that a power cut left half-written goes; all before it stays", (t: TestContext) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 500 }), (cut) => {
      const folder = folderOf(t);
      const spool = openSpool(folder);
      for (let n = 1; n <= 10; n++) spool.append(SESSION, n, bytesOf(n), false);
      spoil(folder, (bytes) => bytes.subarray(0, Math.max(0, bytes.length - cut)));
      const whole = Math.floor((10 * 73 - cut) / 73);
      const again = openSpool(folder);
      assert.deepEqual(
        numbers(again),
        Array.from({ length: whole }, (_, i) => i + 1),
      );
      again.append(SESSION, 99, bytesOf(99), false);
      const third = openSpool(folder);
      assert.deepEqual(numbers(third), [...numbers(again)]);
    }),
    { numRuns: 40 },
  );
});

test("a damaged record is not sent as if it were whole, and those after it are not lost", (t) => {
  const folder = folderOf(t);
  const spool = openSpool(folder);
  for (let n = 1; n <= 3; n++) spool.append(SESSION, n, bytesOf(n), false);
  spoil(folder, (bytes) => {
    bytes[73 + 60]! ^= 1; // inside the second record
    return bytes;
  });
  assert.deepEqual(numbers(openSpool(folder)), [1, 3]);
});

test("a file that is not a spool's is left alone", (t) => {
  const folder = folderOf(t);
  openSpool(folder).append(SESSION, 1, bytesOf(1), false);
  appendFileSync(join(folder, "notes.txt"), "kept");
  openSpool(folder);
  assert.ok(readdirSync(folder).includes("notes.txt"));
});

test("a spool never grows past its bound, and says which numbers went", (t) => {
  const folder = folderOf(t);
  const bytesMax = 200_000;
  const spool = openSpool(folder, bytesMax);
  const dropped = new Set<number>();
  for (let n = 1; n <= 2_000; n++) {
    for (const [from, to] of spool.append(SESSION, n, bytesOf(n, 300), n % 5 === 0)) {
      for (let gone = from; gone <= to; gone++) dropped.add(gone);
    }
    assert.ok(spool.bytes <= bytesMax);
  }
  const kept = new Set(numbers(spool));
  for (let n = 1; n <= 2_000; n++) assert.ok(kept.has(n) !== dropped.has(n), `number ${n}`);
  // What went is whole blocks: the last number that went carried one.
  assert.equal(Math.max(...dropped) % 5, 0);
});

/** Appends so many numbers; blocks end every fifth. @returns those that went. */
function fill(spool: Spool, session: string, from: number, to: number, length = 40) {
  const dropped = new Set<number>();
  for (let n = from; n <= to; n++) {
    for (const [low, high] of spool.append(session, n, bytesOf(n, length), n % 5 === 0)) {
      for (let gone = low; gone <= high; gone++) dropped.add(gone);
    }
    assert.ok(spool.bytes <= 200_000, "the bound holds");
  }
  return dropped;
}

/** The widest hole between numbers that are held, or before the first of them. */
function widestHole(held: readonly number[], first: number): number {
  return held.reduce((widest, n, i) => Math.max(widest, n - (held[i - 1] ?? first)), 0);
}

const WINDOW = limits.epochEnvelopesMax * limits.epochsAheadMax;
const OTHER = "ffeeddccbbaa99887766554433221100";

test("however much goes, what a spool holds has no hole that the platform could not get over", (t) => {
  const folder = folderOf(t);
  const spool = openSpool(folder, 200_000);
  const dropped = fill(spool, SESSION, 3, 40_000);
  for (const n of fill(spool, OTHER, 40_001, 60_000)) dropped.add(n);
  const check = (one: Spool) => {
    const mine = [...one.heldOf(SESSION)].map(({ sequence }) => sequence);
    const others = [...one.heldOf(OTHER)].map(({ sequence }) => sequence);
    assert.ok(widestHole(mine, 3) <= WINDOW && mine.at(-1)! > 40_000 - WINDOW);
    assert.ok(widestHole(others, 40_001) <= WINDOW);
    for (let n = 3; n <= 60_000; n++) {
      assert.ok(one.holds(n <= 40_000 ? SESSION : OTHER, n) !== dropped.has(n), `number ${n}`);
    }
    // A block whose other envelopes went cannot be checked: it had better go with them.
    assert.ok(mine.every((n) => n % 5 !== 0));
    for (const held of one.held()) {
      assert.deepEqual([...one.read(held)], [...bytesOf(held.sequence)]);
    }
  };
  check(spool);
  const again = openSpool(folder, 200_000);
  check(again);
  assert.equal(again.tail?.sequence, 60_000);
  assert.deepEqual(again.lost, []);
  assert.deepEqual(
    numbers(again),
    [...numbers(again)].sort((a, b) => a - b),
    "sent in their order",
  );
  for (const n of fill(again, OTHER, 60_001, 80_000)) dropped.add(n);
  const others = [...again.heldOf(OTHER)].map(({ sequence }) => sequence);
  assert.ok(widestHole(others, 40_001) <= WINDOW);
});

test("a bridge whose old segment did not leave in time is one envelope, not two", (t) => {
  const folder = folderOf(t);
  const spool = openSpool(folder, 200_000);
  fill(spool, SESSION, 1, 200);
  const [name] = readdirSync(folder);
  const old = readFileSync(join(folder, name!));
  fill(spool, SESSION, 201, 5_000);
  assert.ok(!readdirSync(folder).includes(name!));
  writeFileSync(join(folder, name!), old);
  const again = openSpool(folder);
  assert.equal(new Set(numbers(again)).size, again.count);
  for (const held of [...again.held()]) again.settle(held);
  assert.ok(readdirSync(folder).length <= 1, "nothing is left that waits for ever");
});

test("bridges never take the room of what is new: the bound holds even if nothing else is left", (t) => {
  const folder = folderOf(t);
  const spool = new Spool({ folder, bytesMax: 20_000, durability: "interval" });
  for (let n = 1; n <= 60; n++) {
    spool.append(SESSION, n * BRIDGE_NUMBERS, bytesOf(n, 3_000), true);
    assert.ok(spool.bytes <= 20_000);
  }
  assert.ok(spool.holds(SESSION, 60 * BRIDGE_NUMBERS));
});

test("the last number is known after a kill, even when everything was received by then", (t) => {
  const folder = folderOf(t);
  const spool = openSpool(folder);
  let number = 0;
  // Until a segment ends with what was just received.
  for (let files = 0; files < 2; files = readdirSync(folder).length) {
    spool.append(SESSION, ++number, bytesOf(number, 300), true);
    for (const held of [...spool.held()]) spool.settle(held);
    assert.equal(openSpool(folder).tail?.sequence, number);
    if (number > 200) break;
  }
  assert.ok(number > 100);
});

test("settled segments leave the disk", (t) => {
  const folder = folderOf(t);
  const spool = openSpool(folder, 1 << 20);
  for (let n = 1; n <= 1_000; n++) spool.append(SESSION, n, bytesOf(n, 300), true);
  const files = readdirSync(folder).length;
  for (const held of [...spool.held()]) spool.settle(held);
  assert.equal(spool.count, 0);
  assert.ok(files > 5 && readdirSync(folder).length <= 1);
});

test("the opening of a session on a prekey outlives every segment that leaves", (t) => {
  const folder = folderOf(t);
  const spool = openSpool(folder, 200_000);
  const opening = bytesOf(7, 1_300);
  spool.keepOpening(SESSION, opening);
  for (let n = 1; n <= 2_000; n++) spool.append(SESSION, n, bytesOf(n, 300), true);
  assert.deepEqual([...openSpool(folder, 200_000).opening(SESSION)!], [...opening]);
});

test("no number is used twice, wherever a start finds the state", (t) => {
  const folder = folderOf(t);
  const path = join(folder, "state.json");
  const used = new Set<number>();
  const state = () => JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  let counter = new Counter(path);
  counter.recover(undefined);
  for (let start = 0; start < 20; start++) {
    for (let i = 0; i < 7 * start; i++) {
      const sequence = counter.nextSequence;
      counter.claim(sequence);
      assert.ok(!used.has(sequence), `number ${sequence}`);
      used.add(sequence);
      counter.used(sequence, SESSION, bytesOf(1, 32));
    }
    // A power cut: the machine starts anew and the spool's end is lost.
    writeFileSync(path, JSON.stringify({ ...state(), bootId: "another start" }));
    counter = new Counter(path);
    counter.recover(undefined);
  }
});

test("after an orderly end numbers go on without a gap", (t) => {
  const path = join(folderOf(t), "state.json");
  const counter = new Counter(path);
  counter.recover(undefined);
  counter.claim(1);
  counter.used(1, SESSION, bytesOf(1, 32));
  counter.saveClean();
  const again = new Counter(path);
  again.recover(undefined);
  assert.equal(again.nextSequence, 2);
  assert.equal(again.hasGaps, false);
  assert.equal(again.previous?.lastSequence, 1);
});

test("a state file that is not ours stops the device instead of starting at one again", (t) => {
  const path = join(folderOf(t), "state.json");
  for (const text of ["{}", "[]", '{"version":2,"lastSequence":5}', '{"version":1}']) {
    writeFileSync(path, text);
    assert.throws(() => new Counter(path));
  }
});
