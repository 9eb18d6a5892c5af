import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isAlive } from "../test/support/platform.ts";
import { startCompanion } from "./companion.ts";

function program(t: TestContext, code: string): string {
  const dir = mkdtempSync(join(tmpdir(), "vitalward-companion-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const file = join(dir, "companion.ts");
  writeFileSync(file, code);
  return file;
}

async function until(isTrue: () => boolean): Promise<void> {
  const endMs = performance.now() + 20_000;
  while (!isTrue()) {
    assert.ok(performance.now() < endMs, "it did not come true in time");
    await sleep(20);
  }
}

test("a companion that dies is started again, and stop ends it for good", async (t) => {
  const companion = startCompanion({
    name: "test",
    file: program(t, "setInterval(() => {}, 1000);"),
  });
  t.after(() => companion.stop());
  await until(() => companion.pid !== undefined);
  const first = companion.pid as number;
  process.kill(first, "SIGKILL");
  await until(() => companion.pid !== undefined && companion.pid !== first);
  const second = companion.pid as number;
  await companion.stop();
  await companion.stop();
  assert.equal(isAlive(second), false);
});

test("a companion sees none of the platform's settings", async (t) => {
  process.env.VITALWARD_PASSPHRASE_FILE = "secret-place";
  t.after(() => delete process.env.VITALWARD_PASSPHRASE_FILE);
  const file = program(
    t,
    `import { writeFileSync } from "node:fs";
     writeFileSync(process.argv[2]!, JSON.stringify(Object.keys(process.env)));
     setInterval(() => {}, 1000);`,
  );
  const names = `${file}.names`;
  const companion = startCompanion({ name: "test", file, args: [names], env: { WARD: "yes" } });
  t.after(() => companion.stop());
  let found: string[] = [];
  await until(() => {
    try {
      found = JSON.parse(readFileSync(names, "utf8"));
      return true;
    } catch {
      return false; // not written yet
    }
  });
  assert.ok(found.includes("WARD"));
  assert.equal(found.includes("VITALWARD_PASSPHRASE_FILE"), false);
});
