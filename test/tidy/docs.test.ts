import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { SETTINGS } from "../../src/config.ts";
import { problemsPage } from "./problems-page.ts";
import { filesEnding, ROOT, text } from "./sources.ts";

const pages = filesEnding([".md"]).filter((file) => !file.startsWith("test/vectors/"));

/** The text without code, where brackets mean other things. */
function prose(file: string): string {
  return text(file)
    .replaceAll(/^```[\s\S]*?^```/gm, "")
    .replaceAll(/`[^`\n]*`/g, "");
}

/** GitHub's rule: lower case, words joined by hyphens, everything else dropped. */
function anchors(file: string): Set<string> {
  const headings = text(file).matchAll(/^#{1,6}\s+(.+?)\s*$/gm);
  return new Set(
    [...headings].map(([, heading = ""]) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
        .trim()
        .replaceAll(/\s/g, "-"),
    ),
  );
}

test("every link in the pages leads to a file and a heading that are there", () => {
  const broken: string[] = [];
  for (const page of pages) {
    for (const [, target = ""] of prose(page).matchAll(/\]\(([^)\s]+)(?:\s+"[^"]*")?\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [path = "", anchor] = target.split("#");
      const file = path === "" ? page : normalize(join(dirname(page), decodeURIComponent(path)));
      if (!existsSync(join(ROOT, file))) broken.push(`${page} → ${target}`);
      else if (anchor !== undefined && file.endsWith(".md") && !anchors(file).has(anchor)) {
        broken.push(`${page} → ${target}`);
      }
    }
  }
  assert.deepEqual(broken, []);
});

test("every setting is in the administrator's page with its default and its consequence", () => {
  const rows = text("docs/administrator.md").split("\n");
  for (const setting of SETTINGS) {
    const row = rows.find((line) => line.startsWith(`| \`${setting.name}\` |`));
    assert.ok(row, `${setting.name} has no row`);
    assert.ok(row.includes(setting.unit), `${setting.name}: unit "${setting.unit}"`);
    assert.ok(row.includes(setting.consequence), `${setting.name}: "${setting.consequence}"`);
    if (setting.fallback !== undefined) {
      assert.ok(row.includes(`\`${setting.fallback}\``), `${setting.name}: ${setting.fallback}`);
    }
  }
});

test("no VITALWARD_ name in the pages is one that the program does not know", () => {
  const known = new Set<string>(SETTINGS.map((setting) => setting.name));
  const wrong = pages.flatMap((page) =>
    [...text(page).matchAll(/\bVITALWARD_[A-Z_]*[A-Z]\b/g)]
      .filter(([name]) => !known.has(name))
      .map(([name]) => `${page}: ${name}`),
  );
  assert.deepEqual(wrong, []);
});

test("every refusal is in docs/problems.md, as the code has it", () => {
  assert.equal(
    text("docs/problems.md"),
    problemsPage(),
    "write it again: node scripts/run.mjs test/tidy/problems-page.ts",
  );
});
