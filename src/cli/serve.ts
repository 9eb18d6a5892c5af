/** `vitalward serve`: runs the platform in the foreground until it is asked to stop. */
import { rmSync, writeFileSync } from "node:fs";
import { Command } from "commander";
import { signInUrl } from "../access/operator.ts";
import { systemClock } from "../clock.ts";
import { loadConfig } from "../config.ts";
import { startDemonstration } from "../demonstration.ts";
import { diagnostics } from "../diagnostics.ts";
import type { Platform } from "../main.ts";
import { checkPidFile } from "./failure.ts";

export function serveCommand(): Command {
  return new Command("serve")
    .description("run the platform in the foreground until SIGTERM or Ctrl-C")
    .option("--demo", "with the demonstration ward: recorded people, not for clinical use")
    .option("--pid-file <file>", "write the process id there while running")
    .action(serve);
}

async function serve(o: { demo?: boolean; pidFile?: string }): Promise<void> {
  const asked = stopAsked();
  const config = loadConfig(process.env);
  diagnostics.level = config.logLevel;
  if (o.pidFile !== undefined) checkPidFile(o.pidFile);
  // The other commands need none of the platform, and should not wait for it to be read.
  const { startPlatform } = await import("../main.ts");
  const platform = await startPlatform(config, systemClock, { demo: o.demo ?? false });
  if (o.pidFile !== undefined) writeFileSync(o.pidFile, `${process.pid}\n`);
  for (const notice of platform.notices) console.log(notice);
  console.log(`Vitalward: ${platform.consoleUrl}/`);
  const demonstration = o.demo ? startDemonstration(config.dataDir) : undefined;
  // Stopping must not wait for links that nobody will use any more.
  void demonstration?.provisioned.then(() => printSignInLinks(platform));
  diagnostics.info({ why: await asked }, "stopping");
  await demonstration?.stop();
  await platform.close();
  if (o.pidFile !== undefined) rmSync(o.pidFile, { force: true });
  // Whatever still keeps the program alive after an orderly close must not hold up its end.
  process.exit(0);
}

/** Resolves on the first request to stop. Later ones change nothing: closing is bounded already. */
function stopAsked(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
      process.on(signal, () => resolve(signal));
    }
    // Started by scripts/: when that process is gone, nobody can stop us any more.
    if (process.channel) {
      process.channel.unref();
      process.once("disconnect", () => resolve("the starting process is gone"));
    }
  });
}

/** One link a person: it works once, for 15 minutes; `vitalward token --link` makes another. */
async function printSignInLinks({ access, consoleUrl }: Platform): Promise<void> {
  console.log("Sign in (each link works once, for 15 minutes):");
  for (const person of (await access.people()).filter(({ active }) => active)) {
    const { secret } = await access.createSignInLink(person.id);
    console.log(`  ${person.role.padEnd(13)}  ${person.name}: ${signInUrl(consoleUrl, secret)}`);
  }
  console.log("Another link: npx vitalward token --link --as nurse");
}
