/**
 * Frames a second of the console on the real platform, in headless Chromium: the demonstration ward, and as
 * many more patients with a monitor at 1 Hz each as make thirty.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Page } from "playwright-core";
import { askOperator } from "../src/cli/operator-client.ts";
import { Device, mqttTransport } from "../src/device/index.ts";
import { openBrowser, openContext, signIn, signInLink } from "../test/browser/browser.ts";
import { enrolDevice, registerPatient } from "../test/journeys/ward.ts";
import { type RunningPlatform, startTestPlatform } from "../test/support/platform.ts";
import type { BenchCase } from "./measure.ts";

/** What a screen of today refreshes at; headless Chromium draws no faster. */
const SCREEN_HZ = 60;
const MEASURED_MS = 10_000;
const SETTLE_MS = 60_000;
const PATIENTS = 30;
/** Heart rate, SpO2, respiration rate (IEEE 11073-10101). */
const MONITORED = [147_842, 150_456, 151_562];

interface Ending {
  after(end: () => unknown): void;
}

export async function* cases(): AsyncGenerator<BenchCase> {
  const endings: (() => unknown)[] = [];
  const t = { after: (end: () => unknown) => endings.push(end) };
  try {
    const platform = await startTestPlatform(t, { args: ["--demo"] });
    const browser = await openBrowser(t);
    // The recorded past is uploaded meanwhile: not what this measures.
    await sleep(SETTLE_MS);
    const context = await openContext(browser);
    const page = await signIn(context, await signInLink(platform.dataDir, "nurse"));
    await page.locator(".cell-unit").first().waitFor();
    const more = PATIENTS - (await page.locator(".ward-row").count());
    for (let i = 0; i < more; i++) await addMonitored(t, platform, i);
    await page.reload();
    await page.locator(`.ward-row:nth-child(${PATIENTS}) .cell-unit`).first().waitFor();
    const patients = await page.locator(".ward-row").count();
    yield framesCase(`ward board, ${patients} patients`, await frames(page));
    await page.getByRole("link", { name: /Okonkwo/ }).click();
    await page.locator("canvas").first().waitFor();
    await sleep(3_000);
    const strips = await page.locator(".strip canvas").count();
    yield framesCase(`patient page, ${strips} waveforms`, await frames(page));
  } finally {
    for (const end of endings.reverse()) await end();
  }
}

/** One more patient of the nurse's, whose monitor measures each second. */
async function addMonitored(t: Ending, platform: RunningPlatform, i: number): Promise<void> {
  const { token } = await askOperator<{ token: string }>(platform.dataDir, {
    ask: "token",
    as: "doctor",
  });
  const name = [{ family: "Bench", given: [`Number ${i}`] }];
  const patientId = await registerPatient(platform, token, { name });
  await askOperator(platform.dataDir, { ask: "care-team", as: "nurse", patientId });
  const { identity, prekeys } = await enrolDevice(platform, { patientId });
  const folder = mkdtempSync(join(tmpdir(), "vitalward-bench-device-"));
  const transport = mqttTransport(identity, identity.mqttUrl);
  const device = new Device({ identity, prekeys, folder, transport, durability: "interval" });
  device.start();
  const timer = setInterval(() => {
    const points = MONITORED.map((mdc) => ({
      mdc,
      exponent: 0,
      timesMs: [Date.now()],
      mantissas: [60 + Math.floor(Math.random() * 30)],
      quality: [0],
    }));
    device.measure({ points, waveforms: [] }).catch((error: unknown) => {
      throw error;
    });
  }, 1_000);
  t.after(async () => {
    clearInterval(timer);
    await device.close(0);
    rmSync(folder, { recursive: true, force: true });
  });
}

function framesCase(name: string, value: number): BenchCase {
  return {
    case: name,
    value,
    unit: "frames/s",
    reference: "frames/s of the screen (fixed)",
    referenceValue: SCREEN_HZ,
    ratio: value / SCREEN_HZ,
  };
}

async function frames(page: Page): Promise<number> {
  const counted = await page.evaluate(
    (forMs) =>
      new Promise<{ frames: number; ms: number }>((done) => {
        const beganMs = performance.now();
        let count = 0;
        const { requestAnimationFrame: onFrame } = globalThis as unknown as {
          requestAnimationFrame(callback: () => void): void;
        };
        onFrame(function next() {
          count += 1;
          const ms = performance.now() - beganMs;
          if (ms >= forMs) done({ frames: count, ms });
          else onFrame(next);
        });
      }),
    MEASURED_MS,
  );
  return (counted.frames * 1000) / counted.ms;
}
