import assert from "node:assert/strict";
import { test } from "node:test";
import { testDatabase } from "../../test/support/database.ts";
import { Presence } from "../presence.ts";
import { lastHeard } from "./last-heard.ts";
import { insertSession, type SessionRow } from "./tables.ts";

test("when a device was last heard is known after a start, over all its sessions; more is not", async (t) => {
  const database = await testDatabase(t);
  const session = (deviceId: string, sessionId: string, openedMs: number): SessionRow => ({
    ...{ deviceId, sessionId: sessionId.repeat(16), openedMs, lastMs: openedMs },
    ...{ certificateHash: "00", openingHash: "00", suite: "classical", ranges: new Uint8Array() },
    ...{ firstNumber: undefined, closedAt: undefined, previous: undefined, endedMs: undefined },
    standing: "regular",
  });
  const [one, two] = [
    "0190dddd-0000-7000-8000-000000000001",
    "0190dddd-0000-7000-8000-000000000002",
  ];
  await insertSession(database, session(one, "aa", 3_000));
  await insertSession(database, session(one, "bb", 2_000));
  await insertSession(database, session(two, "cc", 1_000));
  const presence = new Presence(await lastHeard(database));
  const before = { connectedSinceMs: null, disconnectedMs: null };
  assert.deepEqual(presence.of(one), { ...before, lastSeenMs: 3_000 });
  assert.deepEqual(presence.of(two), { ...before, lastSeenMs: 1_000 });
});
