// Runs a file under Node 26 as a child that shares our terminal and our fate. Plain JavaScript for Node 20.
import { spawn } from "node:child_process";

const WATCH_MS = 250;

/**
 * Resolves with the child's exit code (128 + n for a signal). The child has an IPC channel: should
 * this process be killed, the channel closes and the platform knows that it is alone.
 */
export function runUnderNode26(node, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(node, args, {
      ...options,
      stdio: ["inherit", "inherit", "inherit", "ipc"],
    });
    const forward = (signal) => {
      // On a terminal Ctrl-C reaches the child by itself.
      if (signal === "SIGINT" && process.stdin.isTTY) return;
      child.kill(signal);
    };
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, forward);
    // npm passes SIGTERM on to the shell between us only: then that shell is gone, and we are orphans.
    const parent = process.ppid;
    const watch = setInterval(() => {
      if (process.ppid === parent) return;
      clearInterval(watch);
      child.kill("SIGTERM");
    }, WATCH_MS);
    if (!process.env.npm_lifecycle_event) clearInterval(watch);
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      clearInterval(watch);
      for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.off(name, forward);
      resolve(code ?? { SIGHUP: 129, SIGINT: 130, SIGKILL: 137, SIGTERM: 143 }[signal] ?? 1);
    });
  });
}
