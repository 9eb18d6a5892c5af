/** Chance that is always the same, so that vectors can be made again bit for bit. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { mlKemEncap } from "../../src/envelope/hpke.ts";
import type { Chance } from "../../src/envelope/shares.ts";

export const ENCAPSULATIONS = fileURLToPath(
  new URL("vitalward/encapsulations.json", import.meta.url),
);

export const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
export const sha256 = (...parts: readonly (Uint8Array | string)[]) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** By hex SHA-256 of the recipient's public key. */
export type Encapsulations = Record<string, { enc: string; sharedSecret: string }>;

export function readEncapsulations(): Encapsulations {
  if (!existsSync(ENCAPSULATIONS)) return {};
  return JSON.parse(readFileSync(ENCAPSULATIONS, "utf8")) as Encapsulations;
}

/** Bytes are SHA-256(seed | "/" | counter), one after the other.
 * @param known where an encapsulation is not known, `mayAdd` makes one; else that is an error. */
export function fixedChance(seed: string, known: Encapsulations, mayAdd: boolean): Chance {
  let counter = 0;
  return {
    random(bytes) {
      const parts: Buffer[] = [];
      for (let made = 0; made < bytes; made += 32) parts.push(sha256(`${seed}/${counter++}`));
      return new Uint8Array(Buffer.concat(parts).subarray(0, bytes));
    },
    mlKemEncap(recipient) {
      const name = hex(sha256(recipient));
      if (known[name] === undefined) {
        if (!mayAdd) throw new Error("vectors: an encapsulation that is not in the file");
        const { enc, sharedSecret } = mlKemEncap(recipient);
        known[name] = { enc: hex(enc), sharedSecret: hex(sharedSecret) };
      }
      const { enc, sharedSecret } = known[name];
      return {
        enc: new Uint8Array(Buffer.from(enc, "hex")),
        sharedSecret: new Uint8Array(Buffer.from(sharedSecret, "hex")),
      };
    },
  };
}
