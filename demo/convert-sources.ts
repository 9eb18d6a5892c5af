/** Readers for the file formats of the original data sets. Only `convert.ts` uses them. */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

/** A table with a header line; `column(name)` gives the texts, as they stand in the file. */
export class Table {
  readonly #names: string[];
  readonly rows: string[][];

  constructor(names: string[], rows: string[][]) {
    this.#names = names;
    this.rows = rows;
  }

  static read(path: string, separator = ","): Table {
    const bytes = readFileSync(path);
    const text = (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
    const [names, ...rows] = text
      .split(/\r?\n/)
      .filter((line) => line.trim() !== "")
      .map((line) => line.split(separator).map((cell) => cell.trim()));
    if (!names) throw new Error(`${path} is empty`);
    return new Table(names, rows);
  }

  get names(): readonly string[] {
    return this.#names;
  }

  where(name: string, value: string): Table {
    const at = this.#index(name);
    return new Table(
      this.#names,
      this.rows.filter((row) => row[at] === value),
    );
  }

  column(name: string): string[] {
    const at = this.#index(name);
    return this.rows.map((row) => row[at] ?? "");
  }

  #index(name: string): number {
    const at = this.#names.indexOf(name);
    if (at < 0) throw new Error(`no column ${name}`);
    return at;
  }
}

/** Digits after the decimal point that a text needs, exponent notation included. */
export function decimals(text: string): number {
  const match = /^-?\d+(?:\.(\d*?)0*)?(?:e([+-]?\d+))?$/i.exec(text);
  if (!match) throw new Error(`not a decimal number: ${text}`);
  return Math.max(0, (match[1] ?? "").length - Number(match[2] ?? 0));
}

/** The whole number `text × 10^-exponent`, exactly. @throws Error if it is not whole or too large. */
export function mantissa(text: string, exponent: number): number {
  const value = Math.round(Number(text) * 10 ** -exponent);
  if (decimals(text) > -exponent || Math.abs(value) >= 2 ** 31)
    throw new Error(`${text} does not fit an exponent of ${exponent}`);
  return value;
}

/** Whether a cell holds no measurement. */
export function isMissing(text: string): boolean {
  return text === "" || text === "NaN";
}

/** Samples of a WFDB file in format 212: two 12-bit two's complement numbers in three bytes. */
export function readFormat212(path: string, samplesMax = Number.POSITIVE_INFINITY): Int32Array {
  const bytes = readFileSync(path);
  const count = Math.min(samplesMax, Math.floor(bytes.length / 3) * 2);
  const signed = (bits: number) => (bits > 2047 ? bits - 4096 : bits);
  return Int32Array.from({ length: count }, (_, n) => {
    const at = (n >> 1) * 3;
    const middle = bytes[at + 1] as number;
    return n % 2 === 0
      ? signed((bytes[at] as number) | ((middle & 0x0f) << 8))
      : signed((bytes[at + 2] as number) | ((middle & 0xf0) << 4));
  });
}

/** Samples of a WFDB file in format 16: 16-bit little-endian two's complement. */
export function readFormat16(path: string): Int32Array {
  const bytes = readFileSync(path);
  return Int32Array.from({ length: bytes.length >> 1 }, (_, n) => bytes.readInt16LE(n * 2));
}
