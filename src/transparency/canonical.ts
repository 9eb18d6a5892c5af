/**
 * The one form of a log entry's payload: JSON with sorted keys and whole numbers, so that whoever has the entry can
 * hash it again.
 * @see RFC 8785 (JCS), of which this is the part without fractions.
 */

export type Canonical =
  | string
  | number
  | boolean
  | null
  | readonly Canonical[]
  | { readonly [key: string]: Canonical };

const DEPTH_MAX = 16;

/** UTF-8. @throws RangeError for a fraction, a number beyond 2^53 - 1, half a surrogate pair, or depth over 16. */
export function encodeCanonical(value: Canonical): Uint8Array {
  return new TextEncoder().encode(textOf(value, 0));
}

/** @returns undefined for bytes that are not the one form of a value. */
export function decodeCanonical(bytes: Uint8Array): Canonical | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    const value = JSON.parse(text) as Canonical;
    return textOf(value, 0) === text ? value : undefined;
  } catch (error) {
    // TypeError: not UTF-8. SyntaxError: not JSON. RangeError: JSON that has no such form.
    if (error instanceof TypeError || error instanceof SyntaxError) return undefined;
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function textOf(value: Canonical, depth: number): string {
  if (depth > DEPTH_MAX) throw new RangeError("nested too deeply");
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value)) throw new RangeError("only whole numbers have one form");
    return String(value);
  }
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw new RangeError("half a surrogate pair");
    return JSON.stringify(value);
  }
  if (value === null || typeof value === "boolean") return String(value);
  if (Array.isArray(value)) return `[${value.map((one) => textOf(one, depth + 1)).join(",")}]`;
  // The default order of sort is by UTF-16 code units, as RFC 8785 §3.2.3 has it.
  const members = Object.entries(value as { readonly [key: string]: Canonical })
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, one]) => `${textOf(key, depth + 1)}:${textOf(one, depth + 1)}`);
  return `{${members.join(",")}}`;
}
