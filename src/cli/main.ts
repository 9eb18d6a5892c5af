/** The `vitalward` command: one file a subcommand; this one only gathers them. */
import { Command } from "commander";
import { Problem } from "../problems.ts";
import { EXIT_REFUSED, StartRefusal } from "../start-refusal.ts";
import { version } from "../version.ts";
import { conformanceCommand } from "./conformance.ts";
import { deviceCommand } from "./device.ts";
import { exportCommand } from "./export.ts";
import { CommandFailure } from "./failure.ts";
import { serveCommand } from "./serve.ts";
import { tokenCommand } from "./token.ts";

const program = new Command("vitalward")
  .description("Remote patient monitoring that can be proven private.")
  .version(version())
  .addHelpText(
    "after",
    `
Exit codes: 0 done, 1 failed, 2 wrong usage, ${EXIT_REFUSED} refused to start (one sentence says why).
Settings are environment variables; docs/administrator.md lists them.`,
  );

program.addCommand(serveCommand());
program.addCommand(deviceCommand());
program.addCommand(tokenCommand());
program.addCommand(exportCommand());
program.addCommand(conformanceCommand());
setExitCodes(program);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof StartRefusal) {
    console.error(error.message);
    process.exitCode = EXIT_REFUSED;
  } else if (error instanceof CommandFailure) {
    console.error(error.message);
    process.exitCode = error.exitCode;
  } else if (error instanceof Problem) {
    console.error(error.message);
    process.exitCode = 1;
  } else {
    throw error;
  }
}

/** Wrong usage of any command, at any depth, is one sentence and ends with 2. */
function setExitCodes(command: Command): void {
  command.showHelpAfterError(`Help: vitalward ${pathOf(command)}--help`);
  command.exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
  for (const subcommand of command.commands) setExitCodes(subcommand);
}

/** "device seal " for that subcommand; "" for the program itself. */
function pathOf(command: Command): string {
  return command.parent === null ? "" : `${pathOf(command.parent)}${command.name()} `;
}
