import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { LoopbackPlatform } from "../../test/support/loopback-platform.ts";
import { systemClock } from "../clock.ts";
import { Device } from "./device.ts";
import { saveIdentity } from "./identity.ts";
import { keepPrekeys, sealOnce } from "./one-shot.ts";

const heartRate = () => ({
  points: [{ mdc: 147842, exponent: 0, timesMs: [Date.now()], mantissas: [72], quality: [0] }],
  waveforms: [],
});

/** The folder of a device that sealed five numbers and was killed; nothing of it arrived. */
async function killed(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), "vw-one-shot-"));
  const platform = new LoopbackPlatform();
  saveIdentity(folder, platform.identity);
  const device = new Device({
    identity: platform.identity,
    folder,
    transport: platform.transport(),
    prekeys: platform.prekeys(3),
    openWaitMs: 0,
  });
  platform.online = false;
  t.after(async () => {
    await device.close(0);
    rmSync(folder, { recursive: true, force: true });
  });
  device.start();
  for (let i = 0; i < 5; i++) await device.measure(heartRate());
  const [name] = readdirSync(join(folder, "spool"));
  const file = join(folder, "spool", name!);
  return { folder, platform, file };
}

/** Spoils the last byte of that envelope's record. */
function spoil(file: string, sequence: number): void {
  const bytes = readFileSync(file);
  let at = 0;
  while (bytes.readBigUInt64BE(at + 25) !== BigInt(sequence)) at += 8 + bytes.readUInt32BE(at);
  const end = at + 8 + bytes.readUInt32BE(at);
  bytes[end - 1]! ^= 1;
  writeFileSync(file, bytes);
}

/** Seals once more and gives what the platform reads in it. */
async function sealedNext(folder: string, platform: LoopbackPlatform) {
  const { payload, sequence, sessionId } = sealOnce(folder, heartRate(), systemClock);
  platform.online = true;
  const events = { downlink: () => undefined, closed: () => undefined };
  const connection = await platform.transport().connect(events);
  await connection.send(payload);
  platform.online = false;
  const content = platform.kept.get(sessionId)?.get(sequence)?.content;
  assert.ok(content, "the payload opens");
  return { sequence, gaps: content.gaps ?? [] };
}

test("sealing by hand states what a damaged record of the spool took", async (t) => {
  const { folder, platform, file } = await killed(t);
  spoil(file, 3);
  const { sequence, gaps } = await sealedNext(folder, platform);
  assert.equal(sequence, 6);
  assert.deepEqual(gaps, [{ from: 3, to: 3, reason: "damaged" }]);
});

test("sealing by hand after a damaged end of the spool uses none of its numbers again", async (t) => {
  const { folder, platform, file } = await killed(t);
  spoil(file, 5);
  // A command before it that only looks has cut the damaged end off: the next must know all the same.
  keepPrekeys(folder, platform.prekeys(1));
  const { sequence, gaps } = await sealedNext(folder, platform);
  assert.ok(sequence > 5, `number ${sequence}`);
  const [gap] = gaps;
  assert.deepEqual(gap, { from: 5, to: sequence - 1, reason: "damaged" });
});
