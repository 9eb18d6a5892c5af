import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { systemClock } from "./clock.ts";
import { type Config, loadConfig } from "./config.ts";
import { readPassphrase } from "./passphrase.ts";
import { StartRefusal } from "./start-refusal.ts";

function settings(t: TestContext, passphrase?: string): Config {
  const dataDir = mkdtempSync(join(tmpdir(), "vitalward-passphrase-"));
  t.after(() => rmSync(dataDir, { recursive: true }));
  const file = join(dataDir, "words");
  if (passphrase !== undefined) writeFileSync(file, passphrase);
  return loadConfig({
    VITALWARD_DATA: dataDir,
    ...(passphrase === undefined ? {} : { VITALWARD_PASSPHRASE_FILE: file }),
  });
}

test("the passphrase is the first line of its file", async (t) => {
  const config = settings(t, "correct horse battery\nstaple\n");
  const found = await readPassphrase(config, { demo: false, clock: systemClock });
  assert.deepEqual(found, { text: "correct horse battery", warning: undefined });
});

test("a passphrase too short to mean it is refused", async (t) => {
  const asked = readPassphrase(settings(t, "short\n"), { demo: false, clock: systemClock });
  await assert.rejects(asked, (e) => e instanceof StartRefusal && !e.message.includes("short\n"));
});

test("the demonstration makes its own once, readable by its owner only, and says so", async (t) => {
  const config = settings(t);
  const first = await readPassphrase(config, { demo: true, clock: systemClock });
  const file = join(config.dataDir, "demo-passphrase");
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(readFileSync(file, "utf8"), `${first.text}\n`);
  assert.match(first.warning ?? "", /try-out only/);
  const again = await readPassphrase(config, { demo: true, clock: systemClock });
  assert.equal(again.text, first.text);
});

test("a passphrase beside the data is refused when the doors are open to the network", async (t) => {
  const config = { ...settings(t), bind: "0.0.0.0" };
  await assert.rejects(
    readPassphrase(config, { demo: true, clock: systemClock }),
    (error) => error instanceof StartRefusal && /VITALWARD_BIND/.test(error.message),
  );
  assert.equal(existsSync(join(config.dataDir, "demo-passphrase")), false);
});

test("without a file, and with nobody at a terminal to ask, it is refused", async (t) => {
  if (process.stdin.isTTY) return t.skip("standard input is a terminal");
  const config = settings(t);
  await assert.rejects(
    readPassphrase(config, { demo: false, clock: systemClock }),
    (error) => error instanceof StartRefusal && /VITALWARD_PASSPHRASE_FILE/.test(error.message),
  );
  assert.equal(existsSync(join(config.dataDir, "demo-passphrase")), false);
});
