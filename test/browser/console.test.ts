/** The console in a real browser, on the real platform with its demonstration ward. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { type RunningPlatform, startTestPlatform } from "../support/platform.ts";
import {
  axeFindings,
  isTooWide,
  openBrowser,
  openContext,
  SIZES,
  signIn,
  signInLink,
  type View,
} from "./browser.ts";

const ENDINGS: (() => unknown)[] = [];
const t = { after: (end: () => unknown) => ENDINGS.push(end) };
let platform: RunningPlatform;
let browser: Browser;
let nurse: BrowserContext;
let ward: Page;

before(async () => {
  platform = await startTestPlatform(t, { args: ["--demo"] });
  browser = await openBrowser(t);
  for (let waited = 0; !platform.output().includes("Sign in"); waited += 100) {
    assert.ok(waited < 60_000, platform.output());
    await sleep(100);
  }
  nurse = await openContext(browser);
  ward = await signIn(nurse, await signInLink(platform.dataDir, "nurse"));
  await ward.getByRole("heading", { name: "Ward" }).waitFor();
});

after(async () => {
  for (const end of ENDINGS.reverse()) await end();
});

/** Polled from here: in the page it would take eval, which the Content-Security-Policy forbids. */
async function until(isTrue: () => Promise<boolean>): Promise<void> {
  for (let waited = 0; waited < 30_000; waited += 100) {
    if (await isTrue()) return;
    await sleep(100);
  }
  throw new Error("it did not come true in time");
}

/** The page of one patient by family name, in the nurse's session. */
async function patientPage(family: string): Promise<Page> {
  const page = await nurse.newPage();
  await page.goto(`${platform.url}/#/ward`);
  await page.getByRole("link", { name: new RegExp(family) }).click();
  await page.getByRole("heading", { name: new RegExp(family) }).waitFor();
  return page;
}

describe("signing in", () => {
  test("a link signs in once; used again it says how to get another", async () => {
    const context = await openContext(browser);
    const link = await signInLink(platform.dataDir, "doctor");
    const page = await signIn(context, link);
    await page.getByRole("heading", { name: "Ward" }).waitFor();
    assert.ok(!page.url().includes("sign-in"), "the secret leaves the address at once");
    const other = await openContext(browser);
    const again = await other.newPage();
    await again.goto(link);
    await again.getByRole("alert").waitFor();
    assert.match((await again.textContent("body")) ?? "", /vitalward token/);
    assert.deepEqual(await axeFindings(again), []);
    await context.close();
    await other.close();
  });

  test("without a link there is nothing but the way to one", async () => {
    const context = await openContext(browser);
    const page = await context.newPage();
    await page.goto(platform.url);
    await page.getByText("vitalward token").first().waitFor();
    assert.deepEqual(await axeFindings(page), []);
    await context.close();
  });
});

describe("the ward board", () => {
  test("shows everybody, and readings that move by themselves", async () => {
    await until(async () => (await ward.locator(".ward-row").count()) === 23);
    await until(async () => (await ward.locator(".cell-unit").count()) > 20);
    const values = async () => (await ward.locator(".cell-value").allTextContents()).join();
    const first = await values();
    await until(async () => (await values()) !== first);
    assert.match(
      (await ward.textContent("body")) ?? "",
      /Recorded people\. Not for clinical use\./,
    );
  });

  test("says ×60 where a recording is played faster than life", async () => {
    assert.ok((await ward.getByText("×60 recording").count()) >= 5);
  });

  test("someone who is on no care team sees a page that says so", async () => {
    const context = await openContext(browser);
    const page = await signIn(context, await signInLink(platform.dataDir, "administrator"));
    await page.getByRole("heading", { name: "Devices" }).waitFor();
    await page.goto(`${platform.url}/#/ward`);
    await page.getByText("No patients are shared with you").waitFor();
    assert.deepEqual(await axeFindings(page), []);
    await context.close();
  });
});

describe("a patient's page", () => {
  test("the waveform moves, and trends reach from an hour to a week", async () => {
    const page = await patientPage("Solberg");
    const strip = page.locator("canvas").first();
    await strip.waitFor();
    // More than once: the first change may be that it appears.
    for (let changes = 0; changes < 3; changes += 1) {
      const before = await strip.screenshot();
      await until(async () => !(await strip.screenshot()).equals(before));
    }
    for (const span of ["24 h", "7 d", "1 h"]) {
      await page.getByText(span, { exact: true }).click();
      await page.locator(".trend canvas").first().waitFor();
    }
    await page.close();
  });

  test("a patient with an ECG alone is told apart from one of whom nothing comes", async () => {
    const page = await patientPage("Mensah");
    await page.getByText("Nothing but waveforms is measured").waitFor();
    await page.close();
  });

  test("proof: what a device signed is verified in the browser; what was altered is not", async () => {
    const page = await patientPage("Solberg");
    await page.getByText("Table", { exact: true }).click();
    const rows = page.getByRole("button", { name: /^Proof of/ });
    await rows.nth(20).waitFor();
    await rows.last().click();
    await page
      .getByText(/Verified in this browser|Not signed yet/)
      .first()
      .waitFor();
    // A device signs a block once a minute; the page asks again by itself until it is there.
    await page.getByText("Verified in this browser").waitFor({ timeout: 100_000 });
    assert.deepEqual(await axeFindings(page), []);
    await page.getByRole("button", { name: "Close", exact: true }).click();
    await page.route("**/proof?**", async (route) => {
      const response = await route.fetch();
      const body = JSON.stringify(await response.json());
      // One letter of the batch in the middle: another batch than the one signed.
      const altered = body.replace(/("batch":"[^"]{20})(.)/, (_, head, letter) => {
        return `${head}${letter === "A" ? "B" : "A"}`;
      });
      assert.notEqual(altered, body);
      await route.fulfill({ response, body: altered });
    });
    await rows.last().click();
    await page.getByText("This proof does not hold").waitFor();
    assert.deepEqual(await axeFindings(page), []);
    await page.close();
  });
});

describe("preferences", () => {
  test("units follow the person, on every page, and what is stored does not change", async () => {
    const page = await nurse.newPage();
    await page.goto(`${platform.url}/#/preferences`);
    await page.getByText("mmol/L", { exact: true }).first().click();
    await page.getByText("Saved", { exact: true }).waitFor();
    await ward.reload();
    await ward.getByText("mmol/L").first().waitFor();
    await page.getByText("mg/dL", { exact: true }).first().click();
    await page.getByText("Saved", { exact: true }).waitFor();
    await page.close();
  });
});

describe("the administrator", () => {
  test("suspends a device at once and lets it go on, by keyboard", async () => {
    const context = await openContext(browser);
    const page = await signIn(context, await signInLink(platform.dataDir, "administrator"));
    const suspend = page.getByRole("button", { name: /^Suspend/ }).first();
    await suspend.waitFor();
    assert.deepEqual(await axeFindings(page), []);
    await suspend.focus();
    await page.keyboard.press("Enter");
    const dialog = page.getByRole("dialog");
    await dialog.waitFor();
    assert.deepEqual(await axeFindings(page), []);
    await dialog.getByRole("button", { name: "Suspend", exact: true }).press("Enter");
    const resume = page.getByRole("button", { name: /^Resume/ }).first();
    await resume.waitFor();
    await resume.press("Enter");
    await page
      .getByRole("dialog")
      .getByRole("button", { name: "Resume", exact: true })
      .press("Enter");
    await resume.waitFor({ state: "detached" });
    await context.close();
  });
});

describe("without a mouse", () => {
  test("the palette finds a patient by name, and Tab reaches the content first", async () => {
    const page = await nurse.newPage();
    await page.goto(`${platform.url}/#/ward`);
    await page.getByRole("heading", { name: "Ward" }).waitFor();
    // Without it the window may not have the focus, and takes the first key to get it.
    await page.bringToFront();
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate("document.activeElement.textContent"), "Skip to the content");
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox").waitFor();
    assert.deepEqual(await axeFindings(page), []);
    await page.keyboard.type("okonkwo");
    // The board may still be on its way.
    await page.getByRole("option", { name: /Okonkwo/ }).waitFor();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: /Okonkwo/ }).waitFor();
    await page.close();
  });
});

test("the palette finds a patient from a page that never showed the ward", async () => {
  const page = await nurse.newPage();
  await page.goto(`${platform.url}/#/preferences`);
  await page.getByRole("button", { name: "Find" }).click();
  await page.getByRole("combobox", { name: /^Find a patient/ }).fill("okonkwo");
  await page.getByRole("option", { name: /Okonkwo/ }).waitFor();
  await page.close();
});

describe("on every screen, in both themes, on phone and desktop, and at 200 %", () => {
  const views: [string, View][] = [
    ["desktop light", { theme: "light" }],
    ["desktop dark", { theme: "dark" }],
    ["phone light", { size: SIZES.phone, theme: "light" }],
    ["phone dark", { size: SIZES.phone, theme: "dark" }],
    ["desktop at 200 %", { zoom: 2 }],
  ];
  for (const [name, view] of views) {
    test(`axe finds nothing and nothing scrolls sideways: ${name}`, async () => {
      const context = await openContext(browser, view);
      const page = await signIn(context, await signInLink(platform.dataDir, "nurse"));
      await page.locator(".cell-unit").first().waitFor();
      const seen: Record<string, string[] | boolean> = {};
      const look = async (screen: string) => {
        seen[screen] = await axeFindings(page);
        seen[`${screen}, too wide`] = await isTooWide(page);
        const banner = await page.getByRole("note").first().innerText();
        assert.equal(banner, "Recorded people. Not for clinical use.", screen);
      };
      await look("ward");
      await page.getByRole("link", { name: /Solberg/ }).click();
      await page.locator(".trend canvas").first().waitFor();
      await look("patient");
      await page.getByText("Table", { exact: true }).click();
      await page.getByRole("table").waitFor();
      await look("patient, table");
      await page.goto(`${platform.url}/#/preferences`);
      await page.getByRole("heading", { name: "Preferences" }).waitFor();
      await look("preferences");
      await page.goto(`${platform.url}/#/nowhere`);
      await page.getByRole("heading", { name: "There is no such page" }).waitFor();
      await look("not found");
      const expected = Object.keys(seen).map((screen) => [
        screen,
        screen.endsWith("too wide") ? false : [],
      ]);
      assert.deepEqual(seen, Object.fromEntries(expected));
      await context.close();
    });
  }
});

describe("when the platform goes quiet", () => {
  test("the page says since when, within seconds, and shows nothing as current", async () => {
    process.kill(platform.pid, "SIGSTOP");
    try {
      // Beats come every 2 s; the promise is 5 s, the rest is the browser's own.
      await ward
        .getByText(/No connection since/)
        .first()
        .waitFor({ timeout: 8_000 });
      const fresh = await ward.locator('.cell[data-freshness="current"]').count();
      assert.equal(fresh, 0);
      const words = (await ward.textContent("main")) ?? "";
      assert.match(words, /Last known, not current/);
      assert.doesNotMatch(words, /waveform live|(?<!no )\bconnected\b/);
      assert.deepEqual(await axeFindings(ward), []);
    } finally {
      process.kill(platform.pid, "SIGCONT");
    }
    await ward.getByText(/^Live/).first().waitFor({ timeout: 30_000 });
  });
});
