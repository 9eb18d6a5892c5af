/** Why a command did not do what was asked, as one sentence for the person who typed it: no stack. */
import { accessSync, constants, existsSync } from "node:fs";
import { dirname } from "node:path";
import { StartRefusal } from "../start-refusal.ts";

/** Ends the command with status 1, or 2 where the words of the call were wrong. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
  readonly exitCode: 1 | 2;

  constructor(sentence: string, o: { usage?: true; cause?: unknown } = {}) {
    super(sentence, { cause: o.cause });
    this.exitCode = o.usage ? 2 : 1;
  }
}

const FILE_WORDS: Readonly<Record<string, string>> = {
  ENOENT: "is not there",
  ENOTDIR: "lies below something that is no folder",
  EISDIR: "is a folder, not a file",
  EACCES: "may not be used by you",
  EPERM: "may not be used by you",
  EROFS: "lies on a disk that cannot be written",
  ENOSPC: "lies on a disk that is full",
};

const NETWORK_WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there; is the platform running?",
  ECONNRESET: "the connection was cut",
  ENOTFOUND: "there is no such host",
  EAI_AGAIN: "the host's name cannot be looked up",
  ETIMEDOUT: "it does not answer",
  EHOSTUNREACH: "it cannot be reached",
  EPROTO: "it does not speak TLS 1.3",
  ERR_SSL_WRONG_VERSION_NUMBER: "it does not speak TLS",
};

/** The system's own errors in words: which file or address, and what is wrong with it.
 * @returns undefined for an error that is not the system's. */
export function systemSentence(error: unknown): string | undefined {
  const { code, path, address, port } = error as NodeJS.ErrnoException & {
    address?: string;
    port?: number;
  };
  if (code === undefined) return undefined;
  const file = FILE_WORDS[code];
  if (path !== undefined && file !== undefined) return `${path} ${file}`;
  const network = NETWORK_WORDS[code];
  if (network === undefined) return undefined;
  return address === undefined ? network : `${address}:${port}: ${network}`;
}

/** Does the file work of a command. @throws CommandFailure naming the option whose path is wrong. */
export function withFile<T>(option: string, path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const sentence = systemSentence(cause) ?? `${path} cannot be used`;
    throw new CommandFailure(`${option}: ${sentence}`, { cause });
  }
}

/** Before anything is opened: a start that fails after all its work would be harder to read.
 * @throws StartRefusal for a path that cannot be written. */
export function checkPidFile(path: string): void {
  const there = existsSync(path) ? path : dirname(path);
  try {
    accessSync(there, constants.W_OK);
  } catch (cause) {
    throw new StartRefusal(`--pid-file ${path}: ${systemSentence(cause) ?? "cannot be written"}`, {
      cause,
    });
  }
}
