import assert from "node:assert/strict";
import fs, { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, type TestContext, test } from "node:test";
import { LoopbackPlatform } from "../../test/support/loopback-platform.ts";
import { Device, type DeviceEvent, type DeviceOptions } from "./device.ts";

const HEART_RATE = 147842;

const folders: string[] = [];
after(() => {
  for (const path of folders) rmSync(path, { recursive: true, force: true });
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "vw-device-"));
  folders.push(path);
  return path;
}

function deviceOf(
  t: TestContext,
  platform: LoopbackPlatform,
  path: string,
  o: Partial<DeviceOptions> = {},
) {
  const device = new Device({
    identity: platform.identity,
    folder: path,
    transport: platform.transport(),
    openWaitMs: 100,
    ...o,
  });
  t.after(() => device.close(0));
  device.start();
  return device;
}

let time = 1_790_000_000_000;
function beat(count = 1) {
  const timesMs = Array.from({ length: count }, () => ++time);
  const zeros = timesMs.map(() => 0);
  const mantissas = timesMs.map((_, i) => 70 + (i % 9));
  return {
    points: [{ mdc: HEART_RATE, exponent: 0, timesMs, mantissas, quality: zeros }],
    waveforms: [],
  };
}

async function until(holds: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 400 && !holds(); i++) await new Promise((r) => setTimeout(r, 10));
  assert.ok(holds(), what);
}

/** While it is full, each write stops half-way and fails, as on a disk without room. */
function fullDisk(t: TestContext): { isFull: boolean } {
  const disk = { isFull: false };
  const { writeSync } = fs;
  const write = writeSync as (...a: unknown[]) => number;
  // Only the spool writes at a position.
  fs.writeSync = ((...asked: unknown[]) => {
    const [file, bytes, offset, length, at] = asked;
    if (!disk.isFull || typeof at !== "number") return write(...asked);
    write(file, bytes, offset, (length as number) >> 1, at);
    const words = { code: "ENOSPC", syscall: "write" };
    throw Object.assign(new Error("ENOSPC: no space left on device, write"), words);
  }) as typeof writeSync;
  syncBuiltinESMExports();
  t.after(() => {
    fs.writeSync = writeSync;
    syncBuiltinESMExports();
  });
  return disk;
}

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);

test("what the platform could not take at the time goes soon after it can, however often it was tried", async (t) => {
  const platform = new LoopbackPlatform();
  const device = deviceOf(t, platform, folder());
  await device.measure(beat());
  await until(() => device.status.held === 0, "first receipt");
  for (let outage = 0; outage < 3; outage++) {
    platform.notNow = true;
    await device.measure(beat());
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(device.status.held, 1);
    platform.notNow = false;
    await until(() => device.status.held === 0, "taken again");
  }
});

test("a prekey's opening that could not be taken at the time goes again before its envelopes", async (t) => {
  const platform = new LoopbackPlatform();
  platform.online = false;
  const device = deviceOf(t, platform, folder(), { prekeys: platform.prekeys(1) });
  await device.measure(beat());
  platform.notNow = true;
  platform.online = true;
  await until(() => device.status.online, "online");
  await new Promise((resolve) => setTimeout(resolve, 100));
  platform.notNow = false;
  await until(() => device.status.held === 0, "taken again");
  assert.deepEqual(platform.numbers(), [1]);
});

test("what a device measures arrives once, in order, under signed blocks, and frees the spool", async (t) => {
  const platform = new LoopbackPlatform();
  const device = deviceOf(t, platform, folder(), { durability: "interval" });
  for (let i = 0; i < 600; i++) await device.measure(beat());
  await device.close();
  assert.deepEqual(platform.numbers(), upTo(601));
  assert.equal(platform.provenBatches(), 600);
  assert.equal(device.status.held, 0);
  assert.deepEqual(platform.forks, []);
});

test("a device that starts without a connection seals on a prekey and sends when it can", async (t) => {
  const platform = new LoopbackPlatform();
  platform.online = false;
  const device = deviceOf(t, platform, folder(), { prekeys: platform.prekeys(2) });
  for (let i = 0; i < 20; i++) await device.measure(beat());
  assert.equal(device.status.held, 20);
  platform.online = true;
  assert.ok(await device.drained(5_000));
  assert.deepEqual(platform.numbers(), upTo(20));
});

test("a program that died goes on with new numbers in a new session and sends what it left", async (t) => {
  const platform = new LoopbackPlatform();
  const path = folder();
  platform.receipts = false;
  const first = deviceOf(t, platform, path);
  for (let i = 0; i < 30; i++) await first.measure(beat());
  await until(() => platform.numbers().length === 30, "the first thirty arrive");
  platform.cut(); // no orderly end: `first` is left as a killed program leaves its folder
  platform.receipts = true;
  platform.online = true;
  const spooled = readdirSync(join(path, "spool"));
  assert.equal(spooled.length, 1);
  const second = deviceOf(t, platform, path);
  await second.measure(beat());
  assert.ok(await second.drained(5_000));
  assert.deepEqual(platform.numbers(), upTo(31));
  assert.deepEqual(platform.forks, []);
  const [one, two] = [...platform.kept.values()];
  const previous = two?.get(31)?.content.previous;
  assert.equal(previous?.lastSequence, 30);
  assert.equal(previous?.sessionId, [...platform.sessions.keys()][0]);
  assert.equal(one?.get(30)?.hash, Buffer.from(previous!.head).toString("hex"));
});

test("envelopes without a receipt are sent again byte for byte", async (t) => {
  const platform = new LoopbackPlatform();
  platform.receipts = false;
  const device = deviceOf(t, platform, folder());
  await device.measure(beat());
  await until(() => platform.numbers().length === 1, "it arrives");
  platform.cut();
  platform.receipts = true;
  platform.online = true;
  assert.ok(await device.drained(5_000));
  const [session] = [...platform.kept.values()];
  assert.equal(session?.get(1)?.arrivals, 2);
  assert.deepEqual(platform.forks, []);
});

test("a full spool drops whole blocks, oldest first, and states the gap", async (t) => {
  const platform = new LoopbackPlatform();
  platform.online = false;
  const events: DeviceEvent[] = [];
  const device = deviceOf(t, platform, folder(), {
    prekeys: platform.prekeys(1),
    spoolBytesMax: 65_536,
    blockEveryMs: 0,
    durability: "interval",
    onEvent: (event) => events.push(event),
  });
  for (let i = 0; i < 600; i++) await device.measure(beat(8));
  const dropped = device.status.dropped;
  assert.ok(dropped > 0 && device.status.spoolBytes <= 65_536);
  platform.online = true;
  await until(() => device.status.held === 0, "the spool empties");
  await device.measure(beat());
  await device.close();
  const gaps = [...platform.kept.values()].flatMap((session) =>
    [...session.values()].flatMap(({ content }) => content.gaps ?? []),
  );
  const stated = new Set(gaps.flatMap((g) => upTo(g.to - g.from + 1).map((i) => g.from + i - 1)));
  for (const number of upTo(601)) {
    assert.ok(platform.numbers().includes(number) !== stated.has(number), `number ${number}`);
  }
  assert.equal(events.filter((e) => e.type === "dropped").length > 0, true);
  assert.ok(platform.provenBatches() > 0);
});

test("whatever a full spool drops of one session, the platform can open all that is still held", async (t) => {
  const platform = new LoopbackPlatform();
  platform.online = false;
  const device = deviceOf(t, platform, folder(), {
    prekeys: platform.prekeys(1),
    spoolBytesMax: 262_144,
    durability: "interval",
  });
  const sealed = 3 * 16_384;
  for (let i = 0; i < sealed; i++) await device.measure(beat());
  const { held, dropped, spoolBytes } = device.status;
  assert.ok(dropped > 2 * 16_384 && held === sealed - dropped && spoolBytes <= 262_144);
  platform.online = true;
  assert.ok(await device.drained(10_000));
  assert.equal(platform.unknown, 0, "nothing was sent before it could be opened");
  assert.equal(platform.sessions.size, 1);
  assert.ok(platform.numbers().length >= held);
  const last = platform.numbers().at(-1)!;
  const stated = [...platform.kept.values()].flatMap((session) =>
    [...session.values()].flatMap(({ content }) => content.gaps ?? []),
  );
  const gone = stated.flatMap((gap) => upTo(gap.to - gap.from + 1).map((i) => gap.from + i - 1));
  assert.deepEqual(
    [...new Set([...gone, ...platform.numbers()])].sort((a, b) => a - b),
    upTo(last),
  );
});

test("however long the disk was full, what is measured after it can be opened", async (t) => {
  const platform = new LoopbackPlatform();
  const device = deviceOf(t, platform, folder(), { durability: "interval" });
  await device.measure(beat());
  const full = fullDisk(t);
  full.isFull = true;
  for (let i = 0; i < 20_000; i++) await assert.rejects(device.measure(beat()), /ENOSPC/);
  full.isFull = false;
  await device.measure(beat());
  assert.ok(await device.drained(5_000));
  assert.equal(platform.unknown, 0);
  const [first, next] = platform.numbers();
  assert.ok(first === 1 && next! > 4_096, "a wide hole, and what came after it");
});

test("a permanent refusal is told and does not block the spool", async (t) => {
  const platform = new LoopbackPlatform();
  platform.refuse.add(2);
  const events: DeviceEvent[] = [];
  const device = deviceOf(t, platform, folder(), { onEvent: (event) => events.push(event) });
  for (let i = 0; i < 3; i++) await device.measure(beat());
  assert.ok(await device.drained(5_000));
  assert.equal(device.status.refused, 1);
  assert.deepEqual(
    events.filter((e) => e.type === "refused"),
    [{ type: "refused", sequence: 2, problem: "batch-refused" }],
  );
});

test("after a restore of the platform everything held goes again, and the new epoch is remembered", async (t) => {
  const platform = new LoopbackPlatform();
  const path = folder();
  platform.receipts = false;
  const device = deviceOf(t, platform, path);
  await device.measure(beat());
  await until(() => platform.numbers().length === 1, "it arrives");
  platform.kept.values().next().value?.clear(); // the restore lost it
  platform.storeEpoch = 2;
  platform.receipts = true;
  await device.measure(beat());
  assert.ok(await device.drained(5_000));
  assert.deepEqual(platform.numbers(), [1, 2]);
  const state = JSON.parse(readFileSync(join(path, "state.json"), "utf8")) as {
    storeEpoch: number;
  };
  assert.equal(state.storeEpoch, 2);
});

test("sixty devices in one program keep up with a reading each", async (t) => {
  const platforms = Array.from({ length: 60 }, () => new LoopbackPlatform());
  const devices = platforms.map((platform) =>
    deviceOf(t, platform, folder(), { durability: "interval", keyExchange: "classical" }),
  );
  for (let i = 0; i < 10; i++) await Promise.all(devices.map((device) => device.measure(beat())));
  await Promise.all(devices.map((device) => device.close()));
  for (const platform of platforms) assert.equal(platform.numbers().length, 11);
});

test("what a full disk takes is one number, stated as a gap: the next readings arrive under blocks that verify", async (t) => {
  const platform = new LoopbackPlatform();
  const events: DeviceEvent[] = [];
  const device = deviceOf(t, platform, folder(), {
    blockEveryMs: 0,
    onEvent: (event) => events.push(event),
  });
  const full = fullDisk(t);
  full.isFull = true;
  await assert.rejects(device.measure(beat()), /ENOSPC/); // the one with the salt key
  full.isFull = false;
  await device.measure(beat());
  await device.measure(beat());
  full.isFull = true;
  await assert.rejects(device.measure(beat()), /ENOSPC/);
  full.isFull = false;
  await device.measure(beat());
  assert.ok(await device.drained(5_000));
  await device.close();
  assert.deepEqual(platform.numbers(), [2, 3, 5, 6]);
  assert.equal(platform.provenBatches(), 3);
  const stated = [...platform.kept.values()].flatMap((session) =>
    [...session.values()].flatMap(({ content }) => content.gaps ?? []),
  );
  assert.deepEqual(stated, [
    { from: 1, to: 1, reason: "damaged" },
    { from: 4, to: 4, reason: "damaged" },
  ]);
  const last = events.filter((e) => e.type === "receipt").at(-1);
  assert.equal(last?.type === "receipt" && last.contiguous, 6);
  assert.equal(device.status.dropped, 2);
});

test("a block that a full disk took is signed again with the next envelope", async (t) => {
  const platform = new LoopbackPlatform();
  const device = deviceOf(t, platform, folder());
  const full = fullDisk(t);
  for (let i = 0; i < 3; i++) await device.measure(beat());
  full.isFull = true;
  await assert.rejects(device.close(), /ENOSPC/);
  full.isFull = false;
  await device.close();
  assert.deepEqual(platform.numbers(), [1, 2, 3, 5]);
  assert.equal(platform.provenBatches(), 3);
});

test("one damaged record of the spool takes its own number, never those after it, and no number twice", async (t) => {
  const platform = new LoopbackPlatform();
  const path = folder();
  platform.receipts = false;
  const first = deviceOf(t, platform, path);
  for (let i = 0; i < 10; i++) await first.measure(beat());
  await until(() => platform.numbers().length === 10, "all ten arrive");
  platform.cut(); // the program is gone without an orderly end
  platform.kept.values().next().value?.clear();
  const [name] = readdirSync(join(path, "spool"));
  const file = join(path, "spool", name!);
  const bytes = readFileSync(file);
  let at = 0;
  for (let record = 1; record < 5; record++) at += 8 + bytes.readUInt32BE(at);
  bytes[at + 40]! ^= 1; // envelope 5
  fs.writeFileSync(file, bytes);
  platform.receipts = true;
  platform.online = true;
  const second = deviceOf(t, platform, path);
  await second.measure(beat());
  assert.ok(await second.drained(5_000));
  assert.deepEqual(platform.numbers(), [1, 2, 3, 4, 6, 7, 8, 9, 10, 11]);
  const stated = [...platform.kept.values()].flatMap((session) =>
    [...session.values()].flatMap(({ content }) => content.gaps ?? []),
  );
  assert.deepEqual(stated, [{ from: 5, to: 5, reason: "damaged" }]);
});

test("a damaged end of the spool uses none of its numbers again", async (t) => {
  const platform = new LoopbackPlatform();
  const path = folder();
  platform.receipts = false;
  const first = deviceOf(t, platform, path);
  for (let i = 0; i < 5; i++) await first.measure(beat());
  await until(() => platform.numbers().length === 5, "all five arrive");
  platform.cut(); // the program is gone without an orderly end
  const [name] = readdirSync(join(path, "spool"));
  const file = join(path, "spool", name!);
  const bytes = readFileSync(file);
  bytes[bytes.length - 1]! ^= 1;
  fs.writeFileSync(file, bytes);
  platform.receipts = true;
  platform.online = true;
  const second = deviceOf(t, platform, path);
  await second.measure(beat());
  assert.ok(await second.drained(5_000));
  const [, later] = [...platform.kept.values()];
  assert.ok([...later!.keys()].every((number) => number > 5));
  assert.deepEqual(platform.forks, []);
});
