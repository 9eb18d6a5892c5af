/** `vitalward serve`: runs the platform in the foreground until it is asked to stop. */
import { rmSync, writeFileSync } from "node:fs";
import { Command } from "commander";
import { systemClock } from "../clock.ts";
import { loadConfig } from "../config.ts";
import { diagnostics } from "../diagnostics.ts";
import { startPlatform } from "../main.ts";

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
  const platform = await startPlatform(config, systemClock, { demo: o.demo ?? false });
  if (o.pidFile !== undefined) writeFileSync(o.pidFile, `${process.pid}\n`);
  for (const notice of platform.notices) console.log(notice);
  console.log(`Vitalward: http://${urlHost(config.bind)}:${platform.ports.http}/`);
  diagnostics.info({ why: await asked }, "stopping");
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

function urlHost(bind: string): string {
  if (bind === "0.0.0.0" || bind === "::") return "localhost";
  return bind.includes(":") ? `[${bind}]` : bind;
}
