/** What a read yields: one run of stored samples of one series, as columns. */

export interface SeriesChunk {
  readonly mdc: number;
  readonly deviceId: string;
  /** Session of the first sample; `sessions[sessionOf[i]]` for each. Hex. */
  readonly sessionId: string;
  readonly sessions: readonly string[];
  readonly sessionOf: Uint16Array;
  readonly kind: "points" | "waveform";
  /** UTC, ms; ascending. A waveform's n-th value is at start + n/rate. */
  readonly timesMs: Float64Array;
  readonly mantissas: Int32Array;
  /** A value is mantissa × 10^exponent. */
  readonly exponent: number;
  /** Said by the device, signed. */
  readonly quality: Uint16Array;
  /** Added by the platform, never signed. */
  readonly marks: Uint16Array;
  /** The envelope each sample came in. */
  readonly sequences: Float64Array;
  /** UTC, ms: when the platform received it. */
  readonly receivedMs: Float64Array;
  /** Samples per second; waveforms only. */
  readonly rate?: { readonly numerator: number; readonly denominator: number };
  /** Set on an empty chunk that stands for stored samples that can not be read. */
  readonly unreadable?: {
    readonly fromMs: number;
    readonly toMs: number;
    readonly problem: "series-damaged";
  };
}
