/** The installation: whole, interrupted, damaged. npm really runs here, from its cache where it can. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { makeClone, shell, type } from "./clone.ts";

test("an install that lost a package, and one that was killed half-way, mend themselves", async (t) => {
  const clone = mkdtempSync(join(tmpdir(), "vitalward-install-"));
  t.after(() => rmSync(clone, { recursive: true, force: true, maxRetries: 5 }));
  makeClone(clone);
  writeFileSync(join(clone, "hello.ts"), "console.log('hello from', process.version);\n");
  // The machine's own npm cache and settings; prefer what is there already.
  const env = { ...shell(process.env.HOME ?? clone), npm_config_prefer_offline: "true" };
  const hello = ["node", "scripts/run.mjs", "hello.ts"] as const;
  const modules = join(clone, "node_modules");

  await t.test("a whole install is not repeated", async () => {
    const typed = type(clone, [...hello], { env });
    assert.equal(await typed.ended, 0, typed.output());
    assert.match(typed.output(), /^hello from v26\.\S+\n$/);
  });

  await t.test(
    "a package that is gone is noticed; then the installer is killed half-way",
    async () => {
      rmSync(join(modules, "pg"), { recursive: true });
      const typed = type(clone, [...hello], { env });
      const endMs = performance.now() + 120_000;
      while (!typed.output().includes("Installing") || !isHalfWay(modules)) {
        assert.ok(performance.now() < endMs && typed.child.exitCode === null, typed.output());
        await sleep(20);
      }
      const installers = childrenOf(typed.child.pid as number);
      for (const pid of [typed.child.pid as number, ...installers]) process.kill(pid, "SIGKILL");
      await typed.ended;
      assert.doesNotMatch(typed.output(), /hello/);
      assert.equal(existsSync(join(modules, ".vitalward-stamp")), false);
    },
  );

  await t.test("the next start installs again, shows progress, and runs Node 26", async () => {
    const typed = type(clone, [...hello], { env });
    assert.equal(await typed.ended, 0, typed.output());
    assert.match(typed.output(), /Installing \d+ packages/);
    assert.match(typed.output(), /npm ended after \d+ s/);
    assert.match(typed.output(), /hello from v26\./);
    assert.ok(existsSync(join(modules, "pg", "package.json")));
  });

  await t.test("npx vitalward runs under Node 26, whatever Node the shell has", () => {
    const typed = spawnSync("npx", ["vitalward", "--version"], {
      cwd: clone,
      env,
      encoding: "utf8",
    });
    assert.equal(typed.status, 0, typed.stderr);
    assert.match(typed.stdout, /^\d+\.\d+\.\d+\n$/);
  });
});

/** npm ci begins by emptying the folder: half-way is after that, and before the end. */
function isHalfWay(modules: string): boolean {
  const present = existsSync(modules) ? readdirSync(modules).length : 0;
  return !existsSync(join(modules, ".package-lock.json")) && present > 20;
}

function childrenOf(pid: number): number[] {
  const found = spawnSync("ps", ["-eo", "pid=,ppid="], { encoding: "utf8" });
  const pairs = found.stdout.split("\n").map((line) => line.trim().split(/\s+/).map(Number));
  const below = pairs.filter(([, parent]) => parent === pid).map(([child]) => child as number);
  return below.flatMap((child) => [child, ...childrenOf(child)]);
}
