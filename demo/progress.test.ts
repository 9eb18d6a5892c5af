import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Progress, readProgress, settle, writeProgress } from "./progress.ts";

test("progress is read back as it was written, and a device that never played has none", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "progress-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "device.json");
  assert.equal(readProgress(path), undefined);
  const progress: Progress = { anchorMs: 5, pastDone: 2, begun: { piece: 2, nextSequence: 9 } };
  writeProgress(path, progress);
  assert.deepEqual(readProgress(path), progress);
});

test("a piece begun before a crash is done if its number was used, and open if not", () => {
  const progress: Progress = { anchorMs: 5, pastDone: 2, begun: { piece: 2, nextSequence: 9 } };
  assert.deepEqual(settle(progress, 10), { anchorMs: 5, pastDone: 3 });
  assert.deepEqual(settle(progress, 9), { anchorMs: 5, pastDone: 2 });
  assert.deepEqual(settle({ anchorMs: 5, pastDone: 2 }, 99), { anchorMs: 5, pastDone: 2 });
});
