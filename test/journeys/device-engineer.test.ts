/** Runs the code of docs/device-engineer.md, block by block, as its reader would type it. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import type { Bundle, Observation } from "@medplum/fhirtypes";
import { systemClock } from "../../src/clock.ts";
import { httpsAgent, httpsRequest } from "../../src/device/https-transport.ts";
import { loadIdentity } from "../../src/device/identity.ts";
import { sealOnce, sendPayload } from "../../src/device/one-shot.ts";
import { metricById } from "../../src/vitals/metric.ts";
import { CLONE, terminalBeside } from "../support/clone.ts";
import { startTestPlatform } from "../support/platform.ts";
import { without } from "../support/tools.ts";
import { getJson, hire } from "./ward.ts";

const SDK = new URL("../../src/device/index.ts", import.meta.url).href;
const PAGE = readFileSync(join(CLONE, "docs", "device-engineer.md"), "utf8");
const run = promisify(execFile);

interface Block {
  language: "sh" | "ts";
  code: string;
}

const blocks: Block[] = [...PAGE.matchAll(/^```(sh|ts) run\n([\s\S]*?)^```$/gm)].map(
  ([, language, code = ""]) => ({ language: language as Block["language"], code }),
);

test("every fenced block of shell or TypeScript on the page is one that runs", () => {
  assert.equal([...PAGE.matchAll(/^```(?:sh|ts)\b/gm)].length, blocks.length);
  assert.ok(blocks.length >= 10);
});

test("the page leads from a claim code to readings, by every road it names", {
  skip: without("curl", "mosquitto_pub"),
}, async (t) => {
  const platform = await startTestPlatform(t);
  const doctor = await hire(platform, "Dr Ada Test", "doctor");
  await hire(platform, "Admin Dora Test", "administrator");
  const folder = mkdtempSync(join(tmpdir(), "vitalward-page-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const saved = join(folder, "saved.sh");
  writeFileSync(saved, "");
  const env = {
    ...terminalBeside(platform.dataDir, folder),
    CONSOLE: platform.url,
    DOOR: `https://127.0.0.1:${platform.ports.device}`,
    MQTT_PORT: String(platform.ports.mqtt),
    D: join(folder, "my-device"),
  };
  const outputs: string[] = [];
  for (const [i, { language, code }] of blocks.entries()) {
    // Variables and functions live on from block to block, as they do in a terminal.
    const script = `set -eu\n. "${saved}"\n${code}\nexport -p > "${saved}"; declare -f >> "${saved}"`;
    const [program, args] =
      language === "sh"
        ? ["bash", ["-c", script]]
        : [process.execPath, [programFile(folder, code)]];
    await t.test(`block ${i + 1}: ${code.trim().split("\n")[0]}`, async () => {
      const { stdout } = await run(program as string, args as string[], { env, cwd: CLONE });
      outputs.push(stdout);
    });
  }
  const output = outputs.join("");
  assert.match(output, /receipt: everything up to number 1 is kept/);
  assert.match(output, /^202$/m);
  assert.match(output, /everything has its receipt: true/);
  await t.test("each road's reading is there, once", async () => {
    const [, patientId] = /PATIENT="([^"]+)"/.exec(readFileSync(saved, "utf8")) ?? [];
    const { body } = await getJson<Bundle<Observation>>(
      platform,
      `/fhir/R4/Observation?patient=${patientId}&code=http://loinc.org|8867-4&_count=100`,
      doctor.token,
    );
    const values = (body.entry ?? []).map(({ resource }) => resource?.valueQuantity?.value);
    assert.deepEqual(values.sort(), [72, 73, 74, 75]);
  });
  await t.test("a device whose answers are all lost still gets prekeys when it asks", async () => {
    const identity = loadIdentity(env.D);
    const agent = httpsAgent(identity);
    t.after(() => agent.destroy());
    for (let i = 0; i < 6; i++) {
      await sendPayload(env.D, new Uint8Array());
      for (let left = 2; left > 0; left--) {
        const sealed = sealOnce(env.D, reading(), systemClock);
        const url = `${identity.httpsUrl}/v1/envelopes`;
        const { status } = await httpsRequest(url, { agent, method: "POST", body: sealed.payload });
        assert.equal(status, 202); // its body, with receipt and prekeys, is lost
      }
    }
  });
});

const PULSE_RATE = metricById("MDC_PULS_OXIM_PULS_RATE")?.mdc ?? 0;
const reading = () => ({
  points: [{ mdc: PULSE_RATE, exponent: 0, timesMs: [Date.now()], mantissas: [76], quality: [0] }],
  waveforms: [],
});

/** The published name is this folder's here. */
function programFile(folder: string, code: string): string {
  const file = join(folder, "program.ts");
  const local = code.replace('"@vitalward/device"', JSON.stringify(SDK));
  assert.notEqual(local, code);
  writeFileSync(file, local);
  return file;
}
