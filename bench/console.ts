/** Frames a second of the console on the real platform with its demonstration ward, in headless Chromium. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Page } from "playwright-core";
import { openBrowser, openContext, signIn, signInLink } from "../test/browser/browser.ts";
import { startTestPlatform } from "../test/support/platform.ts";
import type { BenchCase } from "./measure.ts";

/** What a screen of today refreshes at; headless Chromium draws no faster. */
const SCREEN_HZ = 60;
const MEASURED_MS = 10_000;
const SETTLE_MS = 60_000;

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
