/**
 * Remakes docs/screens: `npm run screens`. Starts the real platform with its demonstration ward, signs in as each
 * role, and takes every screen and state on desktop and phone, light and dark. Look at what it made.
 */
import { mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { startTestPlatform } from "../support/platform.ts";
import { openBrowser, openContext, SIZES, signIn, signInLink } from "./browser.ts";

const FOLDER = fileURLToPath(new URL("../../docs/screens/", import.meta.url));
const TOTAL_BYTES_MAX = 3 * 1024 * 1024;
/** The ward's recorded past is uploaded meanwhile, and a block or two are signed. */
const SETTLE_MS = Number(process.env.SCREENS_SETTLE_MS ?? 150_000);
const endings: (() => unknown)[] = [];
const t = { after: (end: () => unknown) => endings.push(end) };

type Theme = "light" | "dark";
type Size = keyof typeof SIZES;

/** A page in that look; closed after. */
async function shoot(
  browser: Browser,
  link: string,
  o: { name: string; theme: Theme; size: Size },
  go: (page: Page) => Promise<void>,
): Promise<void> {
  const context = await openContext(browser, { theme: o.theme, size: SIZES[o.size] });
  try {
    const page = await signIn(context, link);
    await go(page);
    await page.screenshot({ path: join(FOLDER, `${o.name}-${o.size}-${o.theme}.png`) });
  } finally {
    await context.close();
  }
}

async function ward(page: Page): Promise<void> {
  await page.locator(".cell-unit").first().waitFor();
  await sleep(2_000);
}

function patient(family: string, then: (page: Page) => Promise<void> = async () => {}) {
  return async (page: Page) => {
    await page.getByRole("link", { name: new RegExp(family) }).click();
    await page.getByRole("heading", { name: new RegExp(family) }).waitFor();
    // The strip's edge runs across the screen once.
    await sleep(6_000);
    await then(page);
  };
}

/** The oldest row of the table: signed by now. */
async function proof(page: Page): Promise<void> {
  await page.getByText("Table", { exact: true }).click();
  await page.getByRole("table").waitFor();
  await page.getByText("24 h", { exact: true }).click();
  await page.getByText("1 h", { exact: true }).click();
  await page
    .getByRole("button", { name: /^Proof of/ })
    .last()
    .click();
  await page.getByText(/Verified in this browser|Not signed yet/).waitFor();
}

async function palette(page: Page): Promise<void> {
  await ward(page);
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox").fill("o");
  await sleep(300);
}

/** Of a device that nobody will enrol. */
async function claimCode(page: Page): Promise<void> {
  await page.getByRole("button", { name: "New device" }).click();
  await page.getByLabel("Name").fill("Bedside monitor 3");
  await page.getByRole("button", { name: "Make a claim code" }).click();
  await page.getByRole("button", { name: "Copy: claim code" }).waitFor();
}

async function goTo(page: Page, hash: string, heading: string): Promise<void> {
  await page.goto(new URL(`/#${hash}`, page.url()).href);
  await page.getByRole("heading", { name: heading }).waitFor();
  await sleep(500);
}

/** The states in which there is little to see, each in words. */
async function quietStates(browser: Browser, dataDir: string): Promise<void> {
  const shot = { theme: "light", size: "desktop" } as const;
  const nurse = () => signInLink(dataDir, "nurse");
  const administrator = await signInLink(dataDir, "administrator");
  await shoot(browser, administrator, { ...shot, name: "empty" }, (page) =>
    goTo(page, "/ward", "No patients are shared with you"),
  );
  await shoot(browser, await nurse(), { ...shot, name: "not-shared" }, (page) =>
    goTo(page, "/patients/01900000-0000-7000-8000-000000000000", "Not here, or not shared"),
  );
  const context = await openContext(browser);
  await context.route("**/api/ward", (route) => route.fulfill({ status: 503, body: "" }));
  const failing = await signIn(context, await nurse());
  await failing.getByRole("heading", { name: "The platform cannot be reached" }).waitFor();
  await failing.screenshot({ path: join(FOLDER, "error-desktop-light.png") });
  await context.unroute("**/api/ward");
  await context.route("**/api/ward", () => {});
  await failing.reload();
  await failing.locator(".skeleton").first().waitFor();
  await failing.screenshot({ path: join(FOLDER, "loading-desktop-light.png") });
  await context.close();
  const used = await openContext(browser);
  const page = await used.newPage();
  await page.goto((await nurse()).replace(/.{6}$/, "AAAAAA"));
  await page.getByRole("alert").waitFor();
  await page.screenshot({ path: join(FOLDER, "link-used-desktop-light.png") });
  await used.close();
}

/** The platform stops answering while the ward is on screen. */
async function lostConnection(browser: Browser, dataDir: string, pid: number): Promise<void> {
  const context = await openContext(browser);
  const page = await signIn(context, await signInLink(dataDir, "nurse"));
  await ward(page);
  process.kill(pid, "SIGSTOP");
  try {
    await page.locator("p.lost").waitFor();
    await sleep(300);
    await page.screenshot({ path: join(FOLDER, "no-connection-desktop-light.png") });
  } finally {
    process.kill(pid, "SIGCONT");
  }
  await context.close();
}

async function everything(): Promise<void> {
  const platform = await startTestPlatform(t, { args: ["--demo"] });
  const browser = await openBrowser(t);
  await sleep(SETTLE_MS);
  const link = (role: string) => signInLink(platform.dataDir, role);
  for (const theme of ["light", "dark"] as const) {
    for (const size of ["desktop", "phone"] as const) {
      const how = { theme, size };
      await shoot(browser, await link("nurse"), { ...how, name: "ward" }, ward);
      await shoot(browser, await link("nurse"), { ...how, name: "patient" }, patient("Okonkwo"));
    }
  }
  const light = { theme: "light", size: "desktop" } as const;
  const dark = { theme: "dark", size: "desktop" } as const;
  await shoot(browser, await link("nurse"), { ...light, name: "day" }, (page) =>
    patient("Lefèvre", async (opened) => {
      await opened.getByText("24 h", { exact: true }).click();
      await sleep(4_000);
    })(page),
  );
  await shoot(browser, await link("nurse"), { ...light, name: "proof" }, patient("Solberg", proof));
  await shoot(browser, await link("nurse"), { ...dark, name: "palette" }, palette);
  await shoot(browser, await link("nurse"), { ...light, name: "preferences" }, (page) =>
    goTo(page, "/preferences", "Preferences"),
  );
  await shoot(browser, await link("administrator"), { ...light, name: "devices" }, (page) =>
    goTo(page, "/devices", "Devices"),
  );
  await shoot(browser, await link("administrator"), { ...light, name: "claim-code" }, claimCode);
  await quietStates(browser, platform.dataDir);
  await lostConnection(browser, platform.dataDir, platform.pid);
}

mkdirSync(FOLDER, { recursive: true });
for (const file of readdirSync(FOLDER)) if (file.endsWith(".png")) rmSync(join(FOLDER, file));
try {
  await everything();
} finally {
  for (const end of endings.reverse()) await end();
}
const made = readdirSync(FOLDER).filter((file) => file.endsWith(".png"));
const bytes = made.reduce((sum, file) => sum + statSync(join(FOLDER, file)).size, 0);
console.log(`${made.length} screens, ${Math.round(bytes / 1024)} KiB, in docs/screens`);
if (bytes > TOTAL_BYTES_MAX) {
  throw new Error(`docs/screens is larger than ${TOTAL_BYTES_MAX} bytes`);
}
