import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { lockWithin, tryLock } from "./file-lock.ts";

function lockFile(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "vitalward-lock-"));
  t.after(() => rmSync(dir, { recursive: true }));
  return join(dir, "lock");
}

test("only one holder has the lock, in this process too, and release lets the next in", (t) => {
  const path = lockFile(t);
  const first = tryLock(path);
  assert.ok(first);
  assert.equal(tryLock(path), undefined);
  first.release();
  first.release();
  const second = tryLock(path);
  assert.ok(second);
  second.release();
});

test("the lock of a process that was killed comes free by itself", async (t) => {
  const path = lockFile(t);
  const code = `
    const { tryLock } = await import(${JSON.stringify(new URL("./file-lock.ts", import.meta.url).href)});
    globalThis.lock = tryLock(${JSON.stringify(path)});
    console.log("held");
    setInterval(() => {}, 1000);`;
  const holder = spawn(process.execPath, ["--input-type=module", "-e", code], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => holder.kill("SIGKILL"));
  await once(holder.stdout, "data");
  assert.equal(tryLock(path), undefined);
  holder.kill("SIGKILL");
  const lock = await lockWithin(path, 5_000);
  assert.ok(lock);
  lock.release();
});

test("waiting for a lock is bounded", async (t) => {
  const path = lockFile(t);
  const held = tryLock(path);
  const startMs = performance.now();
  assert.equal(await lockWithin(path, 200), undefined);
  assert.ok(performance.now() - startMs < 5_000);
  held?.release();
});
