/**
 * A recording: what was measured on one person, as whole numbers, in one small file.
 *
 * Format (`demo/recordings/*.vwr`), all of it one zstd frame after the four bytes "VWR1":
 *   uint32 LE   bytes of the header
 *   header      JSON: { name, loopMs, series: [{ metric, exponent, count, rate?, startMs? }] }
 *   per series, in that order:
 *     points     count × varint zig-zag(delta of time, ms), then count × varint zig-zag(delta of mantissa)
 *     waveform   count × varint zig-zag(delta of value); value n is at startMs + n / rate
 * Times count from the beginning of the recording; the first delta is from 0. A value is
 * mantissa × 10^exponent of the metric's UCUM unit. What was not measured is not there: no filler,
 * no interpolation. If a file is lost, the demonstration cannot start; nobody's care depends on one.
 */
import { readFileSync } from "node:fs";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";

/** Single values at irregular times. */
export interface PointSeries {
  /** Identifier in the catalogue, `src/vitals/metric.ts`. */
  metric: string;
  exponent: number;
  /** Milliseconds from the beginning of the recording, ascending. */
  timesMs: Float64Array;
  mantissas: Int32Array;
}

/** An unbroken run of values at a fixed rate. */
export interface WaveformSeries {
  metric: string;
  exponent: number;
  /** Values per second. */
  rate: { numerator: number; denominator: number };
  startMs: number;
  values: Int32Array;
}

export interface Recording {
  name: string;
  /** After this long it begins again, ms. */
  loopMs: number;
  points: PointSeries[];
  waveforms: WaveformSeries[];
}

interface Header {
  name: string;
  loopMs: number;
  series: {
    metric: string;
    exponent: number;
    count: number;
    rate?: WaveformSeries["rate"];
    startMs?: number;
  }[];
}

const MAGIC = "VWR1";
/** Largest recording when unpacked: a damaged file must not fill the memory. */
const UNPACKED_BYTES_MAX = 32 * 1_048_576;

/** Packs a recording. @returns the bytes of a `.vwr` file. */
export function encodeRecording(recording: Recording): Uint8Array {
  const header: Header = {
    name: recording.name,
    loopMs: recording.loopMs,
    series: [
      ...recording.points.map(({ metric, exponent, mantissas }) => ({
        metric,
        exponent,
        count: mantissas.length,
      })),
      ...recording.waveforms.map(({ metric, exponent, values, rate, startMs }) => ({
        metric,
        exponent,
        count: values.length,
        rate,
        startMs,
      })),
    ],
  };
  const columns = [
    ...recording.points.flatMap((series) => [series.timesMs, series.mantissas]),
    ...recording.waveforms.map((series) => series.values),
  ];
  const json = Buffer.from(JSON.stringify(header));
  const size = Buffer.alloc(4);
  size.writeUInt32LE(json.length);
  const packed = zstdCompressSync(Buffer.concat([size, json, ...columns.map(encodeDeltas)]), {
    params: { [constants.ZSTD_c_compressionLevel]: 19 },
  });
  return Buffer.concat([Buffer.from(MAGIC), packed]);
}

/** Unpacks the bytes of a `.vwr` file.
 * @throws Error when it is not one, is damaged or ends early. */
export function decodeRecording(bytes: Uint8Array): Recording {
  if (Buffer.from(bytes.subarray(0, 4)).toString("latin1") !== MAGIC)
    throw new Error("not a recording");
  const plain = zstdDecompressSync(bytes.subarray(4), { maxOutputLength: UNPACKED_BYTES_MAX });
  const headerEnd = 4 + plain.readUInt32LE(0);
  const header = JSON.parse(plain.subarray(4, headerEnd).toString("utf8")) as Header;
  const reader = new DeltaReader(plain, headerEnd);
  const recording: Recording = {
    name: header.name,
    loopMs: header.loopMs,
    points: [],
    waveforms: [],
  };
  for (const { metric, exponent, count, rate, startMs } of header.series) {
    if (rate) {
      const values = reader.fill(new Int32Array(count));
      recording.waveforms.push({ metric, exponent, rate, startMs: startMs ?? 0, values });
    } else {
      const timesMs = reader.fill(new Float64Array(count));
      const mantissas = reader.fill(new Int32Array(count));
      recording.points.push({ metric, exponent, timesMs, mantissas });
    }
  }
  if (!reader.atEnd) throw new Error("bytes left over after the last series");
  return recording;
}

/** Reads one of the recordings that come with the demonstration. */
export function readRecording(name: string): Recording {
  return decodeRecording(readFileSync(new URL(`./recordings/${name}.vwr`, import.meta.url)));
}

function encodeDeltas(column: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(column.length * 8);
  let at = 0;
  let before = 0;
  for (let i = 0; i < column.length; i++) {
    const value = column[i] as number;
    const delta = value - before;
    before = value;
    // Deltas may need 33 bits, so this is arithmetic and not shifts.
    let rest = delta < 0 ? -2 * delta - 1 : 2 * delta;
    while (rest >= 0x80) {
      bytes[at++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    bytes[at++] = rest;
  }
  return bytes.subarray(0, at);
}

class DeltaReader {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** Fills a column whose length is known. */
  fill<Column extends Int32Array | Float64Array>(column: Column): Column {
    let value = 0;
    for (let i = 0; i < column.length; i++) {
      value += this.#delta();
      column[i] = value;
    }
    return column;
  }

  #delta(): number {
    let zigzag = 0;
    let scale = 1;
    for (;;) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new Error("the recording ends early");
      zigzag += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
      scale *= 0x80;
    }
    return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
  }
}
