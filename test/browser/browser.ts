/** A headless Chromium for the tests, and what every test of the console does first: sign in. */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import axe from "axe-core";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import type { AtEnd } from "../support/database.ts";
import { MAIN } from "../support/platform.ts";

const SYSTEM_CHROMIUM = "/usr/bin/chromium";
/** Without these a browser in a closed network keeps asking for its vendor's hosts. */
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const runFile = promisify(execFile);

export const SIZES = {
  desktop: { width: 1440, height: 900 },
  phone: { width: 390, height: 844 },
} as const;

/** The system's Chromium if there is one, else the one shipped as an npm package. */
export async function openBrowser(t: AtEnd): Promise<Browser> {
  const packaged = existsSync(SYSTEM_CHROMIUM)
    ? undefined
    : (await import("@sparticuz/chromium")).default;
  const browser = await chromium.launch({
    executablePath: packaged ? await packaged.executablePath() : SYSTEM_CHROMIUM,
    args: packaged ? [...packaged.args, ...FLAGS] : FLAGS,
    headless: true,
  });
  t.after(() => browser.close());
  return browser;
}

export interface View {
  readonly size?: { readonly width: number; readonly height: number };
  readonly theme?: "light" | "dark";
  /** 2 is a browser zoomed to 200 %: half the CSS pixels on the same screen. */
  readonly zoom?: number;
  readonly timeZone?: string;
  readonly locale?: string;
}

export async function openContext(browser: Browser, o: View = {}): Promise<BrowserContext> {
  const size = o.size ?? SIZES.desktop;
  const zoom = o.zoom ?? 1;
  return browser.newContext({
    viewport: { width: Math.round(size.width / zoom), height: Math.round(size.height / zoom) },
    deviceScaleFactor: zoom,
    colorScheme: o.theme ?? "light",
    timezoneId: o.timeZone ?? "Europe/Berlin",
    locale: o.locale ?? "en-GB",
  });
}

/** A fresh sign-in link of that role, as an operator would print it. */
export async function signInLink(dataDir: string, role: string): Promise<string> {
  const env = { ...process.env, VITALWARD_DATA: dataDir };
  const args = ["--no-warnings", MAIN, "token", "--as", role, "--link"];
  const { stdout } = await runFile(process.execPath, args, { env });
  const link = /https?:\/\/\S+/.exec(stdout)?.[0];
  if (link === undefined) throw new Error(`no link in: ${stdout}`);
  return link;
}

export async function signIn(context: BrowserContext, link: string): Promise<Page> {
  const page = await context.newPage();
  await page.goto(link);
  await page.getByRole("banner").waitFor();
  return page;
}

/** A folder that goes with the test. */
export function temporaryFolder(t: AtEnd): string {
  const folder = mkdtempSync(join(tmpdir(), "vitalward-browser-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** What axe-core finds wrong on the page as it is now: "rule: place", empty when all is well. */
export async function axeFindings(page: Page): Promise<string[]> {
  // By the debugger's protocol, so the page's own Content-Security-Policy stays in force. As text,
  // because this folder is compiled for Node, which knows no window.
  await page.evaluate(axe.source);
  return page.evaluate<string[]>(
    `axe.run().then(({ violations }) =>
      violations.flatMap(({ id, nodes }) => nodes.map((node) => id + ": " + node.target)))`,
  );
}

/** Whether the page is wider than what it is shown on: then it scrolls sideways. */
export function isTooWide(page: Page): Promise<boolean> {
  const root = "document.documentElement";
  return page.evaluate<boolean>(`${root}.scrollWidth > ${root}.clientWidth + 1`);
}
