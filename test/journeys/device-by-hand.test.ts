/** Being a device with a shell: enrol, seal, send by curl, by mosquitto_pub and by `device send`, and send again. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import type { Bundle, Observation } from "@medplum/fhirtypes";
import { askOperator } from "../../src/cli/operator-client.ts";
import { MAIN, type RunningPlatform, startTestPlatform } from "../support/platform.ts";
import { without } from "../support/tools.ts";
import { fillWard, getJson, type Ward } from "./ward.ts";

const run = promisify(execFile);

interface Answer {
  status: number;
  problem: string | null;
  sequence?: number;
  receipts: { contiguous: number; refused: unknown[] }[];
  prekeysLeft: number;
}

/** `vitalward device …` with --json. A refusal's exit code is part of the answer. */
async function device<T>(...args: string[]): Promise<T & { exitCode: number }> {
  try {
    const { stdout } = await run(process.execPath, [MAIN, "device", ...args, "--json"]);
    return { ...(JSON.parse(stdout) as T), exitCode: 0 };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    if (typeof code !== "number" || !stdout.startsWith("{"))
      throw new Error(stderr || String(error));
    return { ...(JSON.parse(stdout) as T), exitCode: code };
  }
}

async function enrolled(t: TestContext, platform: RunningPlatform, ward: Ward) {
  const work = mkdtempSync(join(tmpdir(), "vitalward-by-hand-"));
  t.after(() => rmSync(work, { recursive: true, force: true }));
  const { claimCode, deviceId } = await askOperator<{ claimCode: string; deviceId: string }>(
    platform.dataDir,
    {
      ask: "claim",
      label: "By hand",
      kind: "patient-monitor",
      patientId: ward.patientId,
      assignedFromMs: Date.now() - 3_600_000,
    },
  );
  const folder = join(work, "identity");
  const url = `https://127.0.0.1:${platform.ports.device}`;
  const ca = join(platform.dataDir, "ca.pem");
  const args = ["--url", url, "--claim", claimCode, "--out", folder, "--ca", ca];
  const answer = await device<{ deviceId: string }>("enrol", ...args);
  assert.equal(answer.deviceId, deviceId);
  return { work, folder, url, deviceId };
}

async function heartRates(platform: RunningPlatform, ward: Ward): Promise<number[]> {
  const query = `patient=${ward.patientId}&code=http://loinc.org|8867-4&_sort=date`;
  const path = `/fhir/R4/Observation?${query}`;
  const { body } = await getJson<Bundle<Observation>>(platform, path, ward.doctor.token);
  return (body.entry ?? []).map(({ resource }) => resource?.valueQuantity?.value ?? Number.NaN);
}

async function arrives(platform: RunningPlatform, ward: Ward, values: number[]): Promise<void> {
  for (let i = 0; i < 100; i++) {
    if ((await heartRates(platform, ward)).length >= values.length) break;
    await sleep(100);
  }
  assert.deepEqual(await heartRates(platform, ward), values);
}

test("a person with a shell is a device: enrol, seal, curl, mosquitto_pub, send, replay", async (t) => {
  const platform = await startTestPlatform(t);
  const ward = await fillWard(platform);
  const { work, folder, url, deviceId } = await enrolled(t, platform, ward);
  const inFolder = (name: string) => join(folder, name);
  const startMs = Date.now() - 60_000;
  const sealed = async (name: string, value: number, second: number) => {
    const samples = join(work, `${name}.json`);
    const at = new Date(startMs + second * 1_000).toISOString();
    writeFileSync(
      samples,
      JSON.stringify({ points: [{ metric: "MDC_ECG_HEART_RATE", value, at }] }),
    );
    const file = join(work, `${name}.cbor`);
    const args = ["--identity", folder, "--in", samples, "--out", file];
    return { samples, file, ...(await device<{ sequence: number }>("seal", ...args)) };
  };
  const expected: number[] = [];

  await t.test(
    "the folder holds key, certificate and authority as PEM, the key for its owner only",
    () => {
      for (const name of ["key.pem", "certificate.pem", "ca.pem"]) {
        assert.match(readFileSync(inFolder(name), "utf8"), /^-----BEGIN /);
      }
      assert.equal(statSync(inFolder("key.pem")).mode & 0o777, 0o600);
    },
  );

  await t.test("sealing advances the number and shows no reading", async () => {
    const first = await sealed("first", 71, 1);
    assert.equal(first.sequence, 1);
    assert.ok(!readFileSync(first.file).includes("MDC_ECG_HEART_RATE"));
    const sent = await device<Answer>("send", "--identity", folder, "--file", first.file);
    assert.equal(sent.status, 202, JSON.stringify(sent));
    assert.equal(sent.receipts.at(-1)?.contiguous, 1);
    expected.push(71);
    await arrives(platform, ward, expected);
  });

  await t.test("curl sends a sealed file", { skip: without("curl") }, async () => {
    const { file } = await sealed("curl", 72, 2);
    const { stdout } = await run("curl", [
      ...["--silent", "--show-error", "--tlsv1.3", "--cacert", inFolder("ca.pem")],
      ...["--cert", inFolder("certificate.pem"), "--key", inFolder("key.pem")],
      ...["--data-binary", `@${file}`, "--output", join(work, "answer")],
      ...["--write-out", "%{http_code}", `${url}/v1/envelopes`],
    ]);
    assert.equal(stdout, "202");
    expected.push(72);
    await arrives(platform, ward, expected);
  });

  await t.test(
    "mosquitto_pub sends a sealed file",
    { skip: without("mosquitto_pub") },
    async () => {
      const { file } = await sealed("mosquitto", 73, 3);
      await run("mosquitto_pub", [
        ...["-h", "127.0.0.1", "-p", String(platform.ports.mqtt), "-q", "1", "-i", deviceId],
        ...["--cafile", inFolder("ca.pem"), "--cert", inFolder("certificate.pem")],
        ...["--key", inFolder("key.pem"), "-t", `v1/${deviceId}/up`, "-f", file],
      ]);
      expected.push(73);
      await arrives(platform, ward, expected);
    },
  );

  await t.test("send seals, sends and shows the receipt; a replay changes nothing", async () => {
    const samples = join(work, "sent.json");
    const at = new Date(startMs + 4_000).toISOString();
    writeFileSync(
      samples,
      JSON.stringify({ points: [{ metric: "MDC_ECG_HEART_RATE", value: 74, at }] }),
    );
    const sent = await device<Answer>("send", "--identity", folder, "--in", samples);
    assert.equal(sent.exitCode, 0, JSON.stringify(sent));
    expected.push(74);
    await arrives(platform, ward, expected);
    const first = join(work, "first.cbor");
    const again = await device<Answer>("replay", "--identity", folder, "--file", first);
    assert.equal(again.exitCode, 0, JSON.stringify(again));
    await arrives(platform, ward, expected);
  });

  await t.test("one flipped bit is refused, exit code 1", async () => {
    const { file } = await sealed("flipped", 75, 5);
    const bytes = readFileSync(file);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(file, bytes);
    const sent = await device<Answer>("send", "--identity", folder, "--file", file);
    assert.equal(sent.exitCode, 1);
    assert.ok(sent.status >= 400);
    await arrives(platform, ward, expected);
  });

  await t.test("prekeys come with each contact, so that a device can go on for ever", async () => {
    for (let second = 6; second < 12; second++) {
      const samples = join(work, "sent.json");
      const at = new Date(startMs + second * 1_000).toISOString();
      writeFileSync(
        samples,
        JSON.stringify({ points: [{ metric: "MDC_ECG_HEART_RATE", value: 80, at }] }),
      );
      const sent = await device<Answer>("send", "--identity", folder, "--in", samples);
      assert.equal(sent.exitCode, 0, JSON.stringify(sent));
      assert.ok(sent.prekeysLeft > 0);
    }
  });

  await t.test("a folder with an identity is never overwritten", async () => {
    const args = ["--url", url, "--claim", "XXXXX-XXXXX", "--out", folder];
    await assert.rejects(device("enrol", ...args));
    assert.ok(existsSync(inFolder("key.pem")));
  });
});
