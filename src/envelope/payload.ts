/** What goes over a door: a CBOR sequence (RFC 8742) of openings, envelopes, replies and prekeys. */
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import { splitSequence } from "./cose.ts";
import { concat } from "./kdf.ts";
import { KIND, kindOfSigned } from "./opening.ts";

export type ItemKind = "envelope" | "opening" | "reply" | "prekey";

export interface PayloadItem {
  kind: ItemKind;
  bytes: Uint8Array;
}

const TAG_16_BYTE = 0xd0;
const TAG_18_BYTE = 0xd2;

/** Splits a payload into its items, in order; nothing is verified yet.
 * @throws Problem "envelope-malformed" for anything else, or more than `limits.arrivalItemsMax`. */
export function splitPayload(bytes: Uint8Array): PayloadItem[] {
  const items = splitSequence(bytes, limits.arrivalItemsMax, "envelope-malformed");
  return items.map((item) => ({ kind: kindOf(item), bytes: item }));
}

/** Writes a payload. */
export function joinPayload(items: readonly Uint8Array[]): Uint8Array {
  return concat(...items);
}

function kindOf(item: Uint8Array): ItemKind {
  if (item[0] === TAG_16_BYTE) return "envelope";
  const kind = item[0] === TAG_18_BYTE ? kindOfSigned(item) : undefined;
  if (kind === KIND.opening) return "opening";
  if (kind === KIND.reply) return "reply";
  if (kind === KIND.prekey) return "prekey";
  throw new Problem("envelope-malformed", { detail: "an item of an unknown kind" });
}
