/** The Devices page in a real browser, on the real platform without its demonstration: what it shows enrols. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { Device, loadIdentity, mqttTransport } from "../../src/device/index.ts";
import { hire, registerPatient } from "../journeys/ward.ts";
import { CLONE, terminalBeside } from "../support/clone.ts";
import { type RunningPlatform, startTestPlatform } from "../support/platform.ts";
import {
  axeFindings,
  isTooWide,
  openBrowser,
  openContext,
  SIZES,
  signIn,
  signInLink,
  temporaryFolder,
} from "./browser.ts";

const ENDINGS: (() => unknown)[] = [];
const t = { after: (end: () => unknown) => ENDINGS.push(end) };
const run = promisify(execFile);
let platform: RunningPlatform;
let browser: Browser;
let context: BrowserContext;
let page: Page;

before(async () => {
  platform = await startTestPlatform(t);
  browser = await openBrowser(t);
  await hire(platform, "Admin Dora Test", "administrator");
  context = await openContext(browser);
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: platform.url });
  page = await signIn(context, await administrator());
  await page.getByRole("heading", { name: "Devices" }).waitFor();
});

after(async () => {
  for (const end of ENDINGS.reverse()) await end();
});

const administrator = () => signInLink(platform.dataDir, "administrator");
const rowOf = (name: string) => page.getByRole("row", { name: new RegExp(name) });

/** What a reader sees of the line below that heading, and what its button copies. */
async function copied(what: string): Promise<string> {
  const button = page.getByRole("button", { name: `Copy: ${what}`, exact: true });
  const line = page.locator(".copy-line").filter({ has: button });
  const shown = await line.locator("code").innerText();
  await button.press("Enter");
  await line.getByText("Copied", { exact: true }).waitFor();
  const taken = await page.evaluate<string>("navigator.clipboard.readText()");
  assert.equal(taken, shown);
  return taken;
}

describe("a platform with nobody recorded", () => {
  test("says that it is not for clinical use, and nothing of recorded people", async () => {
    const stranger = await openContext(browser);
    const signedOut = await stranger.newPage();
    const asked = signedOut.waitForResponse("**/api/about");
    await signedOut.goto(platform.url);
    assert.deepEqual(await (await asked).json(), { demonstration: false });
    for (const shown of [signedOut, page]) {
      const banner = shown.getByRole("note");
      assert.equal(await banner.innerText(), "Not for clinical use.");
    }
    await stranger.close();
  });

  test("an empty list, one on its way and one that does not come each say so", async () => {
    await page.getByText("There is no device yet").waitFor();
    assert.deepEqual(await axeFindings(page), []);
    const other = await openContext(browser);
    await other.route("**/api/devices", () => {});
    const waiting = await signIn(other, await administrator());
    await waiting.getByText("Loading the devices").waitFor();
    assert.deepEqual(await axeFindings(waiting), []);
    await other.unroute("**/api/devices");
    await other.route("**/api/devices", (route) => route.fulfill({ status: 400, body: "" }));
    await waiting.reload();
    await waiting.getByRole("alert").getByRole("button", { name: "Try again" }).waitFor();
    assert.deepEqual(await axeFindings(waiting), []);
    await other.close();
  });
});

describe("a new device", () => {
  test("enrols with the code and the command that the page shows, by keyboard alone", async () => {
    const doctor = await hire(platform, "Dr Ada Test", "doctor");
    const patientId = await registerPatient(platform, doctor.token);
    await page.getByRole("button", { name: "New device" }).focus();
    await page.keyboard.press("Enter");
    const name = page.getByLabel("Name");
    await name.waitFor();
    await page.keyboard.press("Enter");
    await page.getByText("It needs a name.").waitFor();
    await name.focus();
    await page.keyboard.type("My first device");
    await page.getByLabel(/Patient's id/).focus();
    await page.keyboard.type(`${platform.url}/#/patients/${patientId}`);
    await page.keyboard.press("Enter");
    const code = await copied("claim code");
    assert.deepEqual(await axeFindings(page), []);
    const command = await copied("Enrol on the platform's machine");
    assert.ok(command.includes(`--claim ${code} `));
    const trial = await copied("See that it gets through");
    const home = temporaryFolder(t);
    const env = { ...terminalBeside(platform.dataDir, home), HOME: home };
    await page.getByText("Waiting for the device to enrol").waitFor();
    await run("bash", ["-c", command], { env, cwd: CLONE });
    await page.getByText("Enrolled: the device has its certificate").waitFor();
    await run("bash", ["-c", trial], { env, cwd: CLONE });
    await page.getByRole("button", { name: "Done" }).press("Enter");
    const row = rowOf("My first device");
    await row.getByText("active", { exact: true }).waitFor();
    await row.getByText("to a patient").waitFor();
    await row.getByText(/^now$|^\d+ s ago$/).waitFor();
    assert.ok(!((await page.textContent("body")) ?? "").includes(code), "the code is gone");
    await isConnectedWhileItIs(join(home, /device-\w+/.exec(command)?.[0] ?? ""));
  });

  test("that has not enrolled yet can be given another code", async () => {
    await page.getByRole("button", { name: "New device" }).click();
    await page.getByLabel("Name").fill("Forgotten");
    await page.keyboard.press("Enter");
    const first = await copied("claim code");
    await page.keyboard.press("Escape");
    await rowOf("Forgotten")
      .getByRole("button", { name: /^New claim code for Forgotten/ })
      .click();
    await page.getByRole("button", { name: "Make a claim code" }).click();
    assert.notEqual(await copied("claim code"), first);
    await page.keyboard.press("Escape");
  });
});

/** The real device program on that identity, connected by MQTT and closed again. */
async function isConnectedWhileItIs(folder: string): Promise<void> {
  const identity = loadIdentity(folder);
  const transport = mqttTransport(identity, identity.mqttUrl);
  const device = new Device({ identity, folder, transport });
  device.start();
  try {
    await rowOf("My first device").getByText("connected", { exact: true }).waitFor();
  } finally {
    await device.close();
  }
  await rowOf("My first device")
    .getByText(/^not connected since \d\d:\d\d:\d\d/)
    .waitFor();
}

describe("in both themes, on phone and desktop", () => {
  for (const theme of ["light", "dark"] as const) {
    for (const size of ["phone", "desktop"] as const) {
      test(`axe finds nothing and nothing scrolls sideways: ${size} ${theme}`, async () => {
        const own = await openContext(browser, { theme, size: SIZES[size] });
        const shown = await signIn(own, await administrator());
        const look = async () => [await axeFindings(shown), await isTooWide(shown)];
        await shown.getByRole("table").waitFor();
        assert.deepEqual(await look(), [[], false], "the list");
        await shown.getByRole("button", { name: "New device" }).click();
        await shown.getByLabel(/Patient's id/).fill("nobody");
        await shown.getByRole("button", { name: "Make a claim code" }).click();
        await shown.getByText("There is no id in this.").waitFor();
        assert.deepEqual(await look(), [[], false], "the form and what is wrong in it");
        await shown.getByLabel("Name").fill(`${theme} ${size}`);
        await shown.getByLabel(/Patient's id/).fill("");
        await shown.getByRole("button", { name: "Make a claim code" }).click();
        await shown.getByRole("button", { name: "Copy: claim code" }).waitFor();
        assert.deepEqual(await look(), [[], false], "the code");
        await own.close();
      });
    }
  }
});
