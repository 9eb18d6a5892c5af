import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Progress, readProgress, writeProgress } from "./progress.ts";

test("progress is read back as it was written, and a device that never played has none", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "progress-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "device.json");
  assert.equal(readProgress(path), undefined);
  const progress: Progress = { anchorMs: 5, pastTaken: 2 };
  writeProgress(path, progress);
  assert.deepEqual(readProgress(path), progress);
});

test("a file that is not readable is said, not made anew silently", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "progress-"));
  t.after(() => rmSync(folder, { recursive: true }));
  assert.throws(() => readProgress(folder));
});
