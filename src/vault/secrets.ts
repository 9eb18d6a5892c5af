/** Secrets of the organisation in the keystore: those of one moment share one durable write. */
import { Problem } from "../problems.ts";
import type { KeystoreFile } from "./keystore-file.ts";
import type { Wrapper } from "./patient-keys.ts";
import type { SecretStore } from "./seal.ts";

export const secretContext = (kind: string, id: string) => `secret\0${kind}\0${id}`;

/** What is asked for and not yet durable: `secret` undefined means delete. */
interface Waiting {
  kind: string;
  id: string;
  secret: Uint8Array | undefined;
}

export function secretStore(
  file: KeystoreFile,
  root: () => Wrapper,
): SecretStore & { flush(): void } {
  let waiting = new Map<string, Waiting>();
  let done: PromiseWithResolvers<void> | undefined;

  function write(changes: readonly Waiting[]): Promise<void> {
    for (const change of changes) waiting.set(secretContext(change.kind, change.id), change);
    if (!done) {
      done = Promise.withResolvers();
      // A failed write rejects for those who wait; without a waiter it is no unhandled one.
      done.promise.catch(() => undefined);
      setImmediate(flush);
    }
    return done.promise;
  }

  function flush(): void {
    if (!done) return;
    const batch = waiting;
    const { resolve, reject } = done;
    waiting = new Map();
    done = undefined;
    try {
      file.assertPresent();
      file.transaction(() => {
        for (const [context, { kind, id, secret }] of batch) {
          if (secret) file.run("putSecret", kind, id, root().wrap(context, secret));
          else file.run("deleteSecret", kind, id);
        }
      });
      resolve();
    } catch (error) {
      reject(
        error instanceof Problem ? error : new Problem("keystore-unavailable", { cause: error }),
      );
    }
  }

  return {
    get(kind, id) {
      const context = secretContext(kind, id);
      const newer = waiting.get(context);
      if (newer) return newer.secret;
      const row = file.get("getSecret", kind, id);
      return row && root().unwrap(context, row.wrapped as Uint8Array);
    },
    put: (kind, id, secret) => write([{ kind, id, secret: Uint8Array.from(secret) }]),
    delete: (kind, id) => write([{ kind, id, secret: undefined }]),
    deleteMany: (kind, ids) => write(ids.map((id) => ({ kind, id, secret: undefined }))),
    ids(kind) {
      const found = new Set(file.all("secretIds", kind).map((row) => row.id as string));
      for (const change of waiting.values()) {
        if (change.kind !== kind) continue;
        if (change.secret) found.add(change.id);
        else found.delete(change.id);
      }
      return [...found].sort();
    },
    flush,
  };
}
