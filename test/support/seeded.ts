/** Chance for property tests that can be had again: the seed is printed, and `SEED=… node --test FILE` repeats a run. */
import { createHash, randomBytes as fresh } from "node:crypto";

const SEED = process.env.SEED ?? fresh(6).toString("hex");
console.log(`SEED=${SEED}`);
let counter = 0;

export function randomBytes(length: number): Buffer {
  const blocks: Buffer[] = [];
  for (let made = 0; made < length; made += 32) {
    blocks.push(createHash("sha256").update(`${SEED}/${counter++}`).digest());
  }
  return Buffer.concat(blocks).subarray(0, length);
}

/** A whole number from 0 to `below` - 1; `below` is at most 2^48. */
export function randomInt(below: number): number {
  return randomBytes(6).readUIntBE(0, 6) % below;
}
