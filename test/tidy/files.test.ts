import assert from "node:assert/strict";
import { test } from "node:test";
import { files, filesEnding, importsOf, isTest, text } from "./sources.ts";

const code = filesEnding([".ts", ".tsx", ".mjs"]);

test("file and folder names are lower-case words joined by hyphens, components as React has it", () => {
  const component = /\/[A-Z][A-Za-z]+\.tsx$/;
  const wrong = code.filter((file) =>
    file
      .replace(component, "/component.tsx")
      .split("/")
      .some((part) => !/^\.?[a-z0-9]+(?:[-.][a-z0-9]+)*$/.test(part)),
  );
  assert.deepEqual(wrong, []);
});

test("no file is named by a word that says nothing", () => {
  const banned =
    /(?:^|[/.-])(?:util|utils|helper|helpers|common|core|misc|manager|data|info|handle|process)(?:[.-]|$)/;
  // A data folder is what operators call it.
  const wrong = code.filter((file) => banned.test(file) && file !== "src/data-folder.ts");
  assert.deepEqual(wrong, []);
});

test("a file past 400 lines says why in its header", () => {
  const wrong = code.filter((file) => {
    const lines = text(file).split("\n");
    const header = /^(?:#!.*\n)?\s*(\/\*\*[\s\S]*?\*\/|(?:\/\/.*\n)+)/.exec(text(file))?.[1] ?? "";
    return lines.length > 401 && !/\b400 lines\b/i.test(header.replaceAll(/\s*\n \*\s*/g, " "));
  });
  assert.deepEqual(wrong, []);
});

test("every product file begins by saying what it is", () => {
  const wrong = code.filter(
    (file) =>
      /^(src|demo|scripts|bin)\//.test(file) &&
      !isTest(file) &&
      !/\/\*\*|^\/\/ /m.test(text(file).split(/^export /m)[0] ?? ""),
  );
  assert.deepEqual(wrong, []);
});

test("there are no barrels: a file that only passes others on", () => {
  const wrong = code.filter((file) => {
    const statements = text(file)
      .replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "")
      .split(";")
      .map((statement) => statement.trim())
      .filter(Boolean);
    return statements.length > 1 && statements.every((s) => /^export\s[\s\S]*\sfrom\s+"/.test(s));
  });
  assert.deepEqual(
    wrong.filter((file) => file !== "src/device/index.ts"),
    [],
  );
});

test("no product file is dead: something that runs imports it", () => {
  const entries = [
    ...["src/cli/main.ts", "bench/main.ts", "bin/vitalward.mjs", "console/src/main.tsx"],
    ...["src/device/index.ts", "src/transparency/verify.ts", "console/vite.config.ts"],
  ];
  const isEntry = (file: string) =>
    entries.includes(file) ||
    /^(test|lab|bench|scripts)\//.test(file) ||
    file.startsWith("demo/") ||
    // A program for developers whose header says how to run it.
    /\bnode (?:scripts\/run\.mjs )?[\w./-]+\.ts\b/.test(text(file).split("*/")[0] ?? "");
  const reached = new Set<string>();
  const queue = code.filter(isEntry);
  for (const file of queue) {
    if (reached.has(file)) continue;
    reached.add(file);
    for (const { path } of importsOf(file))
      if (path !== undefined && code.includes(path)) queue.push(path);
  }
  const dead = code.filter((file) => !reached.has(file) && !isTest(file));
  assert.deepEqual(dead, []);
});

test("nothing names a folder of the machine it was written on", () => {
  const machine =
    /(?:^|[\s"'`(=:])(?:\/work\/|\/home\/[a-z]|\/Users\/[A-Za-z]|\/root\/|[A-Z]:\\Users)/m;
  const texts = /\.(?:ts|tsx|mjs|json|md|sql|css|html|yml|yaml|sh)$|^\.ci\/run$/;
  const wrong = files().filter(
    (file) => texts.test(file) && !file.startsWith("test/vectors/") && machine.test(text(file)),
  );
  assert.deepEqual(
    wrong.filter((file) => file !== "test/tidy/files.test.ts"),
    [],
  );
});

test("no private key, token or password is in the repository", () => {
  const secrets = [
    /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s*\n?[A-Za-z0-9+/=\s]{60}/,
    /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/,
    /\bgh[pousr]_[A-Za-z0-9]{36}\b/,
    /\bnpm_[A-Za-z0-9]{36}\b/,
    /postgres(?:ql)?:\/\/[^:/\s]+:(?!secret-word)[^@\s$]{6,}@(?!127\.0\.0\.1|localhost|example)/,
  ];
  const wrong = files().filter(
    (file) =>
      /\.(?:ts|tsx|mjs|json|md|sql|pem|key|txt|yml|env)$/.test(file) &&
      !file.startsWith("test/vectors/") &&
      secrets.some((secret) => secret.test(text(file))),
  );
  assert.deepEqual(wrong, []);
});

test("comments promise nothing for later without an issue number", () => {
  const later = /\b(?:TODO|FIXME|XXX|HACK)\b(?!.*#\d)/;
  const wrong = code.filter((file) => file !== "test/tidy/files.test.ts" && later.test(text(file)));
  assert.deepEqual(wrong, []);
});
