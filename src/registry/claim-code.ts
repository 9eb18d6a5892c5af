/** Claim codes: 100 random bits that a person can read out and type; stored as a keyed hash only. */
import type { Clock } from "../clock.ts";
import type { SealedFields } from "../sealed-fields.ts";

// Crockford's base 32: no I, L, O, U, so that nothing is misread.
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const SYMBOLS = 20;

/** @returns "7K3QD-0V9ZR-…": four groups of five. */
export function newClaimCode(clock: Clock): string {
  // 256 is a multiple of 32: each symbol is equally likely.
  const symbols = [...clock.random(SYMBOLS)].map((byte) => ALPHABET[byte % 32]);
  return symbols.join("").replace(/.{5}(?!$)/g, "$&-");
}

/** The keyed hash of the code in its one form; a slip of the pen (case, hyphens, O for 0) does not matter. */
export function claimHash(fields: SealedFields, code: string): Buffer {
  const plain = code.toUpperCase().replace(/[\s-]/g, "").replace(/O/g, "0").replace(/[IL]/g, "1");
  return fields.hash("claim", plain);
}
