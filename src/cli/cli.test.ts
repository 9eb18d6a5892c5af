import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanEnvironment, MAIN, startTestPlatform } from "../../test/support/platform.ts";
import { selfSigned } from "../../test/support/self-signed.ts";
import { askOperator } from "./operator-client.ts";

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "cli-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A refusal is a sentence, at most a line of help after it, nothing on standard output, and no stack. */
async function refused(args: string[], exitCode: number, sentence: RegExp, given = {}) {
  const words = args.join(" ");
  const env = { ...cleanEnvironment(), ...given };
  const { code, stdout, stderr } = await new Promise<Ended>((resolve) => {
    execFile(process.execPath, [MAIN, ...args], { env }, (error, stdout, stderr) =>
      resolve({ code: error?.code, stdout, stderr }),
    );
  });
  assert.equal(code, exitCode, `${words}: ${stderr}`);
  assert.equal(stdout, "", words);
  assert.match(stderr, sentence, words);
  const lines = stderr.trim().split("\n");
  assert.ok(lines.length === 1 || /^Help: vitalward .*--help$/.test(lines[1] ?? ""), stderr);
  assert.ok(lines.length <= 2, stderr);
}

interface Ended {
  code: unknown;
  stdout: string;
  stderr: string;
}

test("wrong usage is one sentence, where the help is, and status 2", async () => {
  await refused(["nonsense"], 2, /unknown command 'nonsense'/);
  await refused(["serve", "extra"], 2, /too many arguments for 'serve'/);
  await refused(["token", "--as"], 2, /'--as <person>' argument missing/);
  await refused(["export"], 2, /required option '--as <person>'/);
  await refused(["export", "--as", "x", "--format", "xml"], 2, /Allowed choices are ndjson, csv/);
  await refused(["export", "--as", "x", "--from", "yesterday"], 2, /a time such as 2026-/);
  await refused(
    ["device", "seal"],
    2,
    /required option '--identity <dir>'[\s\S]*vitalward device seal --help/,
  );
  const both = ["--in", "a", "--file", "b", "--identity", "."];
  await refused(["device", "send", ...both], 2, /give --in or --file, not both/);
  const enrol = ["device", "enrol", "--claim", "x", "--out", "x", "--url"];
  await refused([...enrol, "nonsense"], 2, /--url nonsense is no address such as https:/);
  await refused([...enrol, "http://127.0.0.1:1"], 2, /is no address such as https:/);
});

test("where no platform runs, or the folder is wrong, the sentence names the setting", async (t) => {
  const dir = folder(t);
  const file = join(dir, "file");
  writeFileSync(file, "");
  const at = (path: string) => ({ VITALWARD_DATA: path });
  for (const command of [["token"], ["token", "--as", "nurse"], ["export", "--as", "nurse"]]) {
    await refused(command, 78, /no running platform .*VITALWARD_DATA.*start it first/, at(dir));
    await refused(command, 78, /no running platform .*VITALWARD_DATA/, at(join(file, "below")));
  }
  await refused(
    ["serve"],
    78,
    /data folder .* cannot be used .*VITALWARD_DATA/,
    at(join(file, "below")),
  );
  await refused(["serve"], 78, /unknown setting VITALWARD_DATE/, { VITALWARD_DATE: dir });
  const lost = join(dir, "none", "pid");
  await refused(
    ["serve", "--pid-file", lost],
    78,
    /--pid-file .*none is not there/,
    at(join(dir, "new")),
  );
});

test("a device's commands name the option whose file or door is wrong", async (t) => {
  const dir = folder(t);
  const none = join(dir, "none");
  const send = ["device", "send", "--identity"];
  await refused([...send, dir], 1, /--identity .*no device is enrolled in this folder/);
  await refused([...send, none], 1, /--identity .*no device is enrolled/);
  const samples = ["--in", none, "--out", join(dir, "sealed")];
  await refused(["device", "seal", "--identity", dir, ...samples], 1, /--in: .*none is not there/);
  const enrol = ["device", "enrol", "--claim", "x", "--url", "https://127.0.0.1:1", "--out"];
  await refused([...enrol, join(dir, "d")], 1, /127\.0\.0\.1:1: nothing listens there/);
  await refused([...enrol, join(dir, "d"), "--ca", none], 1, /--ca: .*none is not there/);
  mkdirSync(join(dir, "known"));
  writeFileSync(join(dir, "known", "key.pem"), "");
  await refused([...enrol, join(dir, "known")], 1, /holds a device's identity already/);
});

test("export from a platform that serves HTTPS says that it cannot, and how to get the same", async (t) => {
  const dir = folder(t);
  const { pem, keyPem } = selfSigned();
  const env = { VITALWARD_TLS_CERT: join(dir, "c.pem"), VITALWARD_TLS_KEY: join(dir, "k.pem") };
  writeFileSync(env.VITALWARD_TLS_CERT, pem);
  writeFileSync(env.VITALWARD_TLS_KEY, keyPem);
  const platform = await startTestPlatform(t, { env: { ...env, VITALWARD_BIND: "0.0.0.0" } });
  const data = { VITALWARD_DATA: platform.dataDir };
  const person = { ask: "create-person", name: "Dora Example", role: "doctor" } as const;
  await askOperator(platform.dataDir, person);
  await refused(
    ["export", "--as", "doctor"],
    1,
    /plain HTTP at http:.*only while it listens on 127\.0\.0\.1.*\/api\/patients\/<id>\/export/,
    data,
  );
  await refused(["token", "--as", "nobody"], 1, /^[a-z].*\n$/, data);
});
