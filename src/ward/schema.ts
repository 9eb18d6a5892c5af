/**
 * What the console and the platform say to each other. One definition: the routes validate with it, OpenAPI is
 * made from it, and the console takes its types from it (types only; nothing of this file is in the page).
 * Times are UTC milliseconds since 1970. A value is mantissa × 10^exponent in the metric's UCUM unit.
 */
import { z } from "zod";

const id = z.uuid();
const timeMs = z.int();
/** Numeric 32-bit MDC code of a metric (IEEE 11073-10101). */
const mdc = z.int().nonnegative();

export const reading = z.object({
  mdc,
  mantissa: z.int(),
  exponent: z.int(),
  timeMs,
  deviceId: id,
  /** Hex. With `sequence` it names the batch that holds this reading. */
  sessionId: z.string(),
  sequence: z.int(),
  /** Bits set by the device; signed with the batch. */
  quality: z.int(),
  /** Bits set by the platform; never signed. */
  marks: z.int(),
  /** A device-signed block covers the batch. */
  signed: z.boolean(),
});
export type Reading = z.infer<typeof reading>;

export const wardDevice = z.object({
  id,
  name: z.string(),
  /** Shown beside its readings, such as "×60 recording". */
  note: z.string(),
  /** Set for recordings played a row at a time: nothing newer is to be expected for this long. */
  rowMs: z.int().nullable(),
  state: z.enum(["claimed", "enrolled", "suspended", "quarantined", "revoked"]),
  /** When the platform last admitted anything of this patient from it; null: never. */
  lastSeenMs: timeMs.nullable(),
  /** Since when it holds a connection; null: it holds none, or comes by single requests. */
  connectedSinceMs: timeMs.nullable(),
  /** Set while it holds no connection and is not known to come by requests: since when. */
  noConnectionSinceMs: timeMs.nullable(),
  /** Set while it is connected and nothing has come for longer than it should: since when. */
  silentSinceMs: timeMs.nullable(),
});
export type WardDevice = z.infer<typeof wardDevice>;

/** The last hour of one metric in equal buckets, oldest first: lowest and highest mantissa, null where nothing was measured. */
export const sparkline = z.object({
  mdc,
  exponent: z.int(),
  fromMs: timeMs,
  bucketMs: z.int().positive(),
  lows: z.array(z.int().nullable()),
  highs: z.array(z.int().nullable()),
});
export type Sparkline = z.infer<typeof sparkline>;

export const wardPatient = z.object({
  id,
  name: z.string(),
  ward: z.string(),
  /** Empty for people at home. */
  bed: z.string(),
  birthDate: z.string(),
  ageYears: z.int(),
  sex: z.enum(["male", "female", "other", "unknown"]),
  devices: z.array(wardDevice),
  readings: z.array(reading),
  sparklines: z.array(sparkline),
  /** Waveforms that this patient's devices sent in the last hour. */
  waveforms: z.array(mdc),
  /** Latest reading that began the recording anew, if in the last hour. */
  restartedMs: timeMs.nullable(),
});
export type WardPatient = z.infer<typeof wardPatient>;

export const ward = z.object({
  nowMs: timeMs,
  patients: z.array(wardPatient),
  /** Patients of the care team for whom the decision was no: counted, not named. */
  withheld: z.int(),
});
export type Ward = z.infer<typeof ward>;

export const seriesQuery = z.object({
  /** Comma-separated MDC codes. */
  mdc: z.string().regex(/^\d{1,10}(,\d{1,10}){0,15}$/),
  from: z.coerce.number().int(),
  to: z.coerce.number().int(),
  /** Columns of the chart in pixels: more samples than two for each are thinned to the extremes of each column. */
  width: z.coerce.number().int().min(50).max(4_000).default(800),
});

/** Columns of equal length. Every point is a stored sample: thinning leaves samples out, it makes none up. */
export const series = z.object({
  mdc,
  exponent: z.int(),
  /** Offsets from the answer's `fromMs`, ascending. */
  atMs: z.array(z.int()),
  mantissas: z.array(z.int()),
  quality: z.array(z.int()),
  marks: z.array(z.int()),
  /** Index into `sources`. */
  source: z.array(z.int()),
  sequences: z.array(z.int()),
  sources: z.array(z.object({ deviceId: id, sessionId: z.string() })),
  /** Indexes after which nothing was measured for longer than twice the expected interval. */
  gapsAfter: z.array(z.int()),
  /** Stored samples in the range, all of them counted. */
  samples: z.int(),
  /** Set when samples were left out: each bucket of this many milliseconds keeps its lowest and highest. */
  thinnedToMs: z.number().nullable(),
});
export type Series = z.infer<typeof series>;
export const seriesAnswer = z.object({
  fromMs: timeMs,
  toMs: timeMs,
  series: z.array(series),
  /** Stored parts that fail their check on reading (damaged or tampered with): shown as such, never as a gap. */
  unreadable: z.array(z.object({ mdc, fromMs: timeMs, toMs: timeMs })),
});
export type SeriesAnswer = z.infer<typeof seriesAnswer>;

export const waveformQuery = z.object({
  mdc: z.coerce.number().int().nonnegative(),
  from: z.coerce.number().int(),
  to: z.coerce.number().int(),
});
export const waveRun = z.object({
  mdc,
  deviceId: id,
  startMs: z.number(),
  /** Samples per second as a fraction. */
  rate: z.object({ numerator: z.int().positive(), denominator: z.int().positive() }),
  exponent: z.int(),
  values: z.array(z.int()),
  quality: z.int(),
  sessionId: z.string(),
  sequence: z.int(),
});
export type WaveRun = z.infer<typeof waveRun>;
export const waveformAnswer = z.object({ runs: z.array(waveRun) });

export const proofQuery = z.object({
  device: id,
  session: z.string().regex(/^[0-9a-f]{32}$/),
  sequence: z.coerce.number().int().nonnegative(),
});
/** Bytes are base64url. What each is: `ProofBundle` of ingest/proof.ts. */
export const proofAnswer = z.discriminatedUnion("state", [
  z.object({ state: z.literal("unsigned") }),
  z.object({
    state: z.literal("signed"),
    block: z.string(),
    certificate: z.string(),
    authority: z.string(),
    salt: z.string(),
    batch: z.string(),
    index: z.int(),
    path: z.array(z.string()),
  }),
]);
export type ProofAnswer = z.infer<typeof proofAnswer>;

export const preferences = z.object({
  glucoseUnit: z.enum(["mg/dL", "mmol/L"]),
  temperatureUnit: z.enum(["Cel", "[degF]"]),
  weightUnit: z.enum(["kg", "[lb_av]"]),
  theme: z.enum(["system", "light", "dark"]),
  /** BCP 47 tag for numbers and dates; "auto" follows the browser. */
  locale: z
    .string()
    .regex(/^(auto|[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3})$/)
    .max(35),
});
export type Preferences = z.infer<typeof preferences>;

/** What the platform sends on `/api/live`, one JSON text message each. */
export type LiveMessage =
  | { type: "beat"; nowMs: number }
  | { type: "readings"; patientId: string; readings: Reading[] }
  | { type: "wave"; patientId: string; run: WaveRun }
  | { type: "signed"; patientId: string; sessionId: string; through: number }
  | { type: "devices"; patientId: string; devices: WardDevice[] }
  | { type: "withdrawn"; patientId: string }
  | { type: "skipped"; patientId: string };

/** What the page may send: which patient's waveforms it wants. */
export const liveAsk = z.object({ type: z.literal("open"), patientId: id.nullable() });
export type LiveAsk = z.infer<typeof liveAsk>;
