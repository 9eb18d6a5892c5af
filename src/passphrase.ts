/**
 * Where the passphrase that unlocks the keystore comes from: a file, or a person at the terminal;
 * never code, never the command line. The demonstration makes one beside its data and says so:
 * there, whoever copies the whole data folder can read it.
 */
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import type { Clock } from "./clock.ts";
import type { Config } from "./config.ts";
import { StartRefusal } from "./start-refusal.ts";

/** Shorter ones are refused when the keystore is made. */
export const PASSPHRASE_CHARACTERS_MIN = 12;

export interface Passphrase {
  readonly text: string;
  /** A sentence for the person who started the platform, when the secret lies beside the data. */
  readonly warning: string | undefined;
}

/** @throws StartRefusal when there is no file, nobody to ask, or too little of it. */
export async function readPassphrase(
  config: Config,
  o: { readonly demo: boolean; readonly clock: Clock },
): Promise<Passphrase> {
  const demoFile = join(config.dataDir, "demo-passphrase");
  const file = config.passphraseFile ?? (o.demo || existsSync(demoFile) ? demoFile : undefined);
  if (file === undefined) return { text: checked(await askTerminal()), warning: undefined };
  if (file === demoFile) {
    if (!isLoopback(config.bind)) {
      throw new StartRefusal(
        `VITALWARD_BIND is ${config.bind}, but the passphrase lies beside the data as in a try-out: move it elsewhere and set VITALWARD_PASSPHRASE_FILE, or bind to 127.0.0.1`,
      );
    }
    if (!existsSync(demoFile)) makeDemoPassphrase(demoFile, o.clock);
    return {
      text: readPassphraseFile(demoFile),
      warning: `The keystore's passphrase lies beside the data, in ${demoFile}: fit for a try-out only.`,
    };
  }
  return { text: readPassphraseFile(file), warning: undefined };
}

function isLoopback(bind: string): boolean {
  return bind === "::1" || bind === "localhost" || /^127\./.test(bind);
}

function makeDemoPassphrase(file: string, clock: Clock): void {
  const text = Buffer.from(clock.random(24)).toString("base64url");
  writeFileSync(file, `${text}\n`, { mode: 0o600, flag: "wx", flush: true });
  chmodSync(file, 0o600);
}

function readPassphraseFile(file: string): string {
  try {
    return checked((readFileSync(file, "utf8").split("\n")[0] ?? "").trimEnd());
  } catch (cause) {
    if (cause instanceof StartRefusal) throw cause;
    throw new StartRefusal(`VITALWARD_PASSPHRASE_FILE: ${file} cannot be read`, { cause });
  }
}

function checked(text: string): string {
  if (text.length >= PASSPHRASE_CHARACTERS_MIN) return text;
  throw new StartRefusal(
    `the passphrase needs at least ${PASSPHRASE_CHARACTERS_MIN} characters; set VITALWARD_PASSPHRASE_FILE to a file whose first line it is`,
  );
}

async function askTerminal(): Promise<string> {
  if (!process.stdin.isTTY) {
    throw new StartRefusal(
      "the keystore needs its passphrase: set VITALWARD_PASSPHRASE_FILE, or start on a terminal",
    );
  }
  process.stderr.write("Passphrase of the keystore: ");
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input: process.stdin, output: silent, terminal: true });
  try {
    return await new Promise<string>((resolve, reject) => {
      reader.question("", resolve);
      reader.once("SIGINT", () => reject(new StartRefusal("no passphrase was given")));
    });
  } finally {
    reader.close();
    process.stderr.write("\n");
  }
}
