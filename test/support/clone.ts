/** What a reader of the docs types in the clone, run as typed. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cleanEnvironment } from "./platform.ts";

export const CLONE = fileURLToPath(new URL("../../", import.meta.url));

/** @param folder where `npx vitalward` is put, as in the clone, without asking npm each time.
 * @returns the environment of a terminal beside that data folder. */
export function terminalBeside(dataDir: string, folder: string): NodeJS.ProcessEnv {
  const programs = join(folder, "programs");
  const text = `#!/bin/sh\nshift\nexec "${process.execPath}" "${CLONE}bin/vitalward.mjs" "$@"\n`;
  mkdirSync(programs);
  writeFileSync(join(programs, "npx"), text, { mode: 0o755 });
  return {
    ...cleanEnvironment(),
    PATH: `${programs}:${dirname(process.execPath)}:${process.env.PATH}`,
    VITALWARD_DATA: dataDir,
  };
}
