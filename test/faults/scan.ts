/**
 * Looks for markers (names, identifiers, values) in bytes: as text, hexadecimal, base64, in the forms
 * numbers take in memory, files and this project's own encodings, and inside compressed frames.
 * A form that could turn up by chance (fewer than eight bytes) is not looked for.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { constants, inflateRawSync, inflateSync, zstdDecompressSync } from "node:zlib";
import { CborWriter } from "../../src/envelope/cbor.ts";
import { ByteWriter } from "../../src/store/bytes.ts";

export interface Form {
  /** "marker, form". */
  readonly name: string;
  readonly bytes: Buffer;
}

const FORM_BYTES_MIN = 8;
const COMPRESSED_DEPTH_MAX = 3;
const INFLATED_BYTES_MAX = 64 * 1_048_576;

/** A text as itself, in either case, as UTF-16, hexadecimal and base64 at each alignment. */
export function textForms(marker: string, text: string): Form[] {
  const spellings = [...new Set([text, text.toLowerCase(), text.toUpperCase()])];
  return spellings.flatMap((spelling, i) => {
    const bytes = Buffer.from(spelling);
    const say = (form: string) => `${marker}, ${form}${i === 0 ? "" : ` (case ${i})`}`;
    return [
      { name: say("text"), bytes },
      { name: say("UTF-16"), bytes: Buffer.from(spelling, "utf16le") },
      { name: say("hexadecimal"), bytes: Buffer.from(bytes.toString("hex")) },
      ...base64Forms(bytes).map((form, at) => ({ name: say(`base64 at ${at}`), bytes: form })),
    ];
  });
}

/** Base64 of the bytes wherever they begin in a longer string: without the letters that neighbours share. */
function base64Forms(bytes: Buffer): Buffer[] {
  return [0, 1, 2].map((offset) => {
    const letters = Buffer.concat([Buffer.alloc(offset), bytes]).toString("base64url");
    const from = Math.ceil((offset * 8) / 6);
    const whole = Math.floor(((offset + bytes.length) * 8) / 6);
    return Buffer.from(letters.slice(from, whole));
  });
}

/** A run of values, mantissa × 10^exponent each, as text and in every binary form. The first value is
 * left out: where it stands, a difference to what came before may be written instead. */
export function valueForms(marker: string, mantissas: readonly number[], exponent: number): Form[] {
  const numbers = mantissas.slice(1);
  const steps = numbers.map((mantissa, i) => mantissa - (mantissas[i] as number));
  const texts = numbers.map((mantissa) => decimal(mantissa, exponent));
  const values = texts.map(Number);
  const binary = [
    ...fixedForms("mantissas", numbers),
    ...fixedForms("values", values),
    ...fixedForms("steps", steps),
    ...packedForms("mantissas", numbers),
    ...packedForms("steps", steps),
  ];
  return [
    ...texts.map((text, i) => ({ name: `value ${i} as text`, bytes: Buffer.from(text) })),
    ...values.flatMap((value, i) => fixedForms(`value ${i}`, [value])),
    ...[" ", ",", ", ", "\n"].flatMap((comma) => [
      { name: `texts by ${JSON.stringify(comma)}`, bytes: Buffer.from(texts.join(comma)) },
      { name: `integers by ${JSON.stringify(comma)}`, bytes: Buffer.from(numbers.join(comma)) },
    ]),
    ...binary.flatMap((form) => [
      form,
      { name: `${form.name}, hexadecimal`, bytes: Buffer.from(form.bytes.toString("hex")) },
    ]),
  ].map((form) => ({ name: `${marker}, ${form.name}`, bytes: form.bytes }));
}

export function decimal(mantissa: number, exponent: number): string {
  return (mantissa * 10 ** exponent).toFixed(Math.max(0, -exponent));
}

function fixedForms(what: string, numbers: readonly number[]): Form[] {
  const write = (
    form: string,
    size: number,
    put: (into: Buffer, v: number, at: number) => void,
  ) => {
    const bytes = Buffer.alloc(numbers.length * size);
    for (const [i, number] of numbers.entries()) put(bytes, number, i * size);
    return { name: `${what}, ${form}`, bytes: withoutZeros(bytes) };
  };
  const forms = [
    write("double LE", 8, (into, v, at) => into.writeDoubleLE(v, at)),
    write("double BE", 8, (into, v, at) => into.writeDoubleBE(v, at)),
    write("float LE", 4, (into, v, at) => into.writeFloatLE(v, at)),
    write("float BE", 4, (into, v, at) => into.writeFloatBE(v, at)),
  ];
  if (!numbers.every(Number.isInteger)) return forms;
  const fits16 = numbers.every((number) => number === (number << 16) >> 16);
  return [
    ...forms,
    write("int32 LE", 4, (into, v, at) => into.writeInt32LE(v, at)),
    write("int32 BE", 4, (into, v, at) => into.writeInt32BE(v, at)),
    write("int64 LE", 8, (into, v, at) => into.writeBigInt64LE(BigInt(v), at)),
    write("int64 BE", 8, (into, v, at) => into.writeBigInt64BE(BigInt(v), at)),
    ...(fits16
      ? [
          write("int16 LE", 2, (into, v, at) => into.writeInt16LE(v, at)),
          write("int16 BE", 2, (into, v, at) => into.writeInt16BE(v, at)),
        ]
      : []),
  ];
}

/** Variable-length forms: LEB128, zig-zag LEB128 (the store's columns) and CBOR (the batch's). */
function packedForms(what: string, numbers: readonly number[]): Form[] {
  const zigzag = new ByteWriter();
  for (const number of numbers) zigzag.int(number);
  const cbor = new CborWriter(4_096);
  for (const number of numbers) cbor.int(number);
  const forms = [
    { name: `${what}, zig-zag varint`, bytes: Buffer.from(zigzag.view()) },
    { name: `${what}, CBOR`, bytes: Buffer.from(cbor.take()) },
  ];
  if (numbers.some((number) => number < 0)) return forms;
  const varint = new ByteWriter();
  for (const number of numbers) varint.uint(number);
  return [...forms, { name: `${what}, varint`, bytes: Buffer.from(varint.view()) }];
}

/** Zeros at the ends are everywhere; what is between them is what we know. */
function withoutZeros(bytes: Buffer): Buffer {
  let from = 0;
  let to = bytes.length;
  while (from < to && bytes[from] === 0) from++;
  while (to > from && bytes[to - 1] === 0) to--;
  return bytes.subarray(from, to);
}

/** Frames that begin like this may hold anything: zstd (RFC 8878 §3.1.1), gzip, zlib. */
const INFLATERS: readonly { magic: Buffer; inflate: (bytes: Buffer) => Buffer }[] = [
  {
    magic: Buffer.from("28b52ffd", "hex"),
    inflate: (bytes) =>
      zstdDecompressSync(bytes, {
        finishFlush: constants.ZSTD_e_flush,
        maxOutputLength: INFLATED_BYTES_MAX,
      }),
  },
  // RFC 1952: method 8, no flags, so that the deflated bytes begin after ten.
  {
    magic: Buffer.from("1f8b0800", "hex"),
    inflate: (bytes) => inflateRawSync(bytes.subarray(10), DEFLATED),
  },
  ...["7801", "785e", "789c", "78da"].map((magic) => ({
    magic: Buffer.from(magic, "hex"),
    inflate: (bytes: Buffer) => inflateSync(bytes, DEFLATED),
  })),
];
const DEFLATED = {
  finishFlush: constants.Z_SYNC_FLUSH,
  maxOutputLength: INFLATED_BYTES_MAX,
} as const;

export class Scanner {
  /** Form name → where it was found first. */
  readonly found = new Map<string, string>();
  bytesScanned = 0;
  framesInflated = 0;
  readonly #byStart = new Map<number, Form[]>();
  readonly #isStart = new Uint8Array(65_536);

  constructor(forms: readonly Form[]) {
    for (const form of forms) {
      if (form.bytes.length < FORM_BYTES_MIN) continue;
      const start = form.bytes.readUInt16BE(0);
      this.#isStart[start] = 1;
      this.#byStart.set(start, [...(this.#byStart.get(start) ?? []), form]);
    }
  }

  /** All forms that are looked for. */
  get names(): string[] {
    return [...this.#byStart.values()].flat().map((form) => form.name);
  }

  scan(bytes: Buffer, where: string, depth = 0): void {
    this.bytesScanned += bytes.length;
    const isStart = this.#isStart;
    for (let at = 0; at + 1 < bytes.length; at++) {
      const start = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
      if (isStart[start] === 1) this.#match(bytes, at, start, where);
    }
    if (depth < COMPRESSED_DEPTH_MAX) this.#inflate(bytes, where, depth);
  }

  #match(bytes: Buffer, at: number, start: number, where: string): void {
    for (const { name, bytes: wanted } of this.#byStart.get(start) as Form[]) {
      if (at + wanted.length > bytes.length) continue;
      const isThere = bytes.compare(wanted, 0, wanted.length, at, at + wanted.length) === 0;
      if (isThere && !this.found.has(name)) this.found.set(name, `${where} at ${at}`);
    }
  }

  #inflate(bytes: Buffer, where: string, depth: number): void {
    for (const { magic, inflate } of INFLATERS) {
      for (let at = bytes.indexOf(magic); at >= 0; at = bytes.indexOf(magic, at + 1)) {
        let inflated: Buffer;
        try {
          inflated = inflate(bytes.subarray(at));
        } catch {
          continue; // these bytes look like a frame's beginning and are none
        }
        if (inflated.length === 0) continue;
        this.framesInflated++;
        this.scan(inflated, `${where}, frame at ${at}`, depth + 1);
      }
    }
  }

  /** Every file below the folder, names included; sockets and pipes hold nothing. */
  scanFolder(folder: string, label: string): void {
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      const where = `${label}${path.slice(folder.length)}`;
      this.scan(Buffer.from(where), `the name of ${where}`);
      if (entry.isFile()) this.scan(readFileSync(path), where);
    }
  }
}
