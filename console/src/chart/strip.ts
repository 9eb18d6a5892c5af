/**
 * A sweeping waveform strip, as on a bedside monitor: the newest sample is drawn at a moving edge that wraps around.
 * Time runs at 25 mm/s on a 96 dpi screen. Only the new samples of a frame are drawn, so that many strips keep 60
 * frames a second. Nothing is interpolated: samples are joined by straight strokes, and a gap stays empty.
 */
import type { WaveRun } from "../../../src/ward/schema.ts";

/** CSS pixels of one millimetre at 96 dpi. */
const PX_PER_MM = 96 / 25.4;
export const PX_PER_SECOND = 25 * PX_PER_MM;
/** Empty space before the moving edge, so that old and new do not touch. */
const CLEARED_PX = 18;
/** Runs older than this behind the newest are forgotten. */
const KEPT_MS = 40_000;
/** Added to the longest delay seen, so that the edge does not run dry. */
const MARGIN_MS = 250;
const DELAYS_KEPT = 12;
/** Gains for millivolts, mm per mV; the largest that fits is used. */
const GAINS = [20, 10, 5, 2.5] as const;

export interface StripColours {
  trace: string;
  doubted: string;
}

interface Scale {
  /** Value (mantissas) drawn at half height. */
  middle: number;
  pxPerUnit: number;
}

export class Strip {
  readonly #canvas: HTMLCanvasElement;
  readonly #context: CanvasRenderingContext2D;
  readonly #isMillivolts: boolean;
  #runs: WaveRun[] = [];
  #delays: number[] = [];
  #colours: StripColours;
  #width = 0;
  #height = 0;
  #scale: Scale | undefined;
  /** Time of the moving edge at the last frame, UTC ms. */
  #edgeMs: number | undefined;
  #pen: { timeMs: number; x: number; y: number } | undefined;

  constructor(canvas: HTMLCanvasElement, o: { unit: string; colours: StripColours }) {
    const context = canvas.getContext("2d");
    if (context === null) throw new Error("no 2d canvas");
    this.#canvas = canvas;
    this.#context = context;
    this.#isMillivolts = o.unit === "mV";
    this.#colours = o.colours;
  }

  /** mm per mV at present; undefined for waveforms without a fixed scale. */
  get gain(): number | undefined {
    if (!this.#isMillivolts || this.#scale === undefined) return undefined;
    const exponent = this.#runs.at(-1)?.exponent ?? 0;
    return Number(((this.#scale.pxPerUnit / PX_PER_MM) * 10 ** -exponent).toPrecision(3));
  }

  /** End of the newest run, UTC ms. */
  get newestMs(): number | undefined {
    const last = this.#runs.at(-1);
    return last && endOf(last);
  }

  /** @param nowMs the platform's time at arrival. */
  take(run: WaveRun, nowMs: number): void {
    if (!this.#keep(run)) return;
    // Late data of the past do not slow the edge down.
    if (endOf(run) >= (this.newestMs ?? 0)) this.#delays.push(nowMs - run.startMs);
    if (this.#delays.length > DELAYS_KEPT) this.#delays.shift();
    this.#fit();
  }

  /** What was stored before the strip was opened: fills it, and says nothing of how fast runs come. */
  takePast(runs: readonly WaveRun[]): void {
    for (const run of runs) this.#keep(run);
    this.#fit();
    this.#redraw();
  }

  /** Keeps what is not here yet: stored and live runs hold the same samples, cut in other places.
   * @returns false when all of it is here already. */
  #keep(run: WaveRun): boolean {
    const pieces = this.#runs.reduce(
      (left, kept) => left.flatMap((piece) => without(piece, kept)),
      [run],
    );
    if (pieces.length === 0) return false;
    this.#runs.push(...pieces);
    this.#runs.sort((one, other) => one.startMs - other.startMs);
    const newest = this.newestMs ?? 0;
    this.#runs = this.#runs.filter((kept) => endOf(kept) > newest - KEPT_MS);
    return true;
  }

  resize(width: number, height: number, ratio: number): void {
    this.#width = width;
    this.#height = height;
    this.#canvas.width = Math.round(width * ratio);
    this.#canvas.height = Math.round(height * ratio);
    this.#context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.#fit();
    this.#redraw();
  }

  recolour(colours: StripColours): void {
    this.#colours = colours;
    this.#redraw();
  }

  /** Draws what became due since the last frame. */
  frame(nowMs: number): void {
    if (this.#delays.length === 0 || this.#width === 0) return;
    const edgeMs = nowMs - Math.max(...this.#delays) - MARGIN_MS;
    const fromMs = this.#edgeMs;
    this.#edgeMs = edgeMs;
    if (fromMs === undefined || edgeMs < fromMs - 1_000 || edgeMs - fromMs > this.#spanMs) {
      this.#redraw();
    } else if (edgeMs > fromMs) {
      this.#wipe(fromMs, edgeMs);
      this.#draw(fromMs, edgeMs);
    } else this.#edgeMs = fromMs;
  }

  get #spanMs(): number {
    return ((this.#width - CLEARED_PX) / PX_PER_SECOND) * 1000;
  }

  #x(timeMs: number): number {
    return ((timeMs / 1000) * PX_PER_SECOND) % this.#width;
  }

  /** Sets the scale anew when the trace no longer fits, or fits far too well. */
  #fit(): void {
    if (this.#height === 0 || this.#runs.length === 0) return;
    let low = Number.POSITIVE_INFINITY;
    let high = Number.NEGATIVE_INFINITY;
    for (const run of this.#runs) {
      for (const value of run.values) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    if (low > high) return;
    const fitted = this.#isMillivolts ? this.#fitMillivolts(low, high) : this.#fitFree(low, high);
    const old = this.#scale;
    if (old !== undefined && this.#stillFits(old, fitted, low, high)) return;
    this.#scale = fitted;
    this.#redraw();
  }

  #stillFits(old: Scale, fitted: Scale, low: number, high: number): boolean {
    const half = this.#height / 2;
    const isInside = (value: number) => Math.abs(value - old.middle) * old.pxPerUnit <= half;
    const ratio = fitted.pxPerUnit / old.pxPerUnit;
    return isInside(low) && isInside(high) && ratio < 1.6;
  }

  #fitFree(low: number, high: number): Scale {
    const range = Math.max(high - low, 1);
    return { middle: (low + high) / 2, pxPerUnit: (this.#height * 0.8) / range };
  }

  #fitMillivolts(low: number, high: number): Scale {
    const perMillivolt = 10 ** -(this.#runs.at(-1)?.exponent ?? 0);
    const rangeMv = (high - low) / perMillivolt;
    const gain =
      GAINS.find((mm) => mm * PX_PER_MM * rangeMv <= this.#height * 0.92) ?? GAINS.at(-1) ?? 2.5;
    return { middle: (low + high) / 2, pxPerUnit: (gain * PX_PER_MM) / perMillivolt };
  }

  #redraw(): void {
    this.#context.clearRect(0, 0, this.#width, this.#height);
    this.#pen = undefined;
    if (this.#edgeMs !== undefined) this.#draw(this.#edgeMs - this.#spanMs, this.#edgeMs);
  }

  /** Clears from the old edge to a little beyond the new one, around the corner where it wraps. */
  #wipe(fromMs: number, toMs: number): void {
    const from = this.#x(fromMs);
    let left = ((toMs - fromMs) / 1000) * PX_PER_SECOND + CLEARED_PX;
    let x = from + 0.5;
    while (left > 0) {
      const width = Math.min(left, this.#width - x);
      this.#context.clearRect(x, 0, Math.max(width, 0.5), this.#height);
      left -= Math.max(width, 0.5);
      x = 0;
    }
  }

  #draw(fromMs: number, toMs: number): void {
    for (const run of this.#runs) {
      if (run.startMs <= toMs && endOf(run) >= fromMs) this.#drawRun(run, fromMs, toMs);
    }
  }

  #drawRun(run: WaveRun, fromMs: number, toMs: number): void {
    const scale = this.#scale;
    if (scale === undefined) return;
    const stepMs = stepOf(run);
    const first = Math.max(0, Math.floor((fromMs - run.startMs) / stepMs) + 1);
    const last = Math.min(run.values.length - 1, Math.floor((toMs - run.startMs) / stepMs));
    if (last < first) return;
    const context = this.#context;
    context.strokeStyle = run.quality === 0 ? this.#colours.trace : this.#colours.doubted;
    context.lineWidth = 1.5;
    context.lineJoin = "round";
    context.beginPath();
    for (let n = first; n <= last; n += 1) {
      const timeMs = run.startMs + n * stepMs;
      const x = this.#x(timeMs);
      const y = this.#height / 2 - ((run.values[n] ?? 0) - scale.middle) * scale.pxPerUnit;
      const pen = this.#pen;
      // Joined to the sample before it only when it is that: not across a gap, not around the corner.
      const sinceMs = pen === undefined ? 0 : timeMs - pen.timeMs;
      if (pen !== undefined && sinceMs > 0 && sinceMs < stepMs * 1.5 && x >= pen.x) {
        if (n === first) context.moveTo(pen.x, pen.y);
        context.lineTo(x, y);
      } else context.moveTo(x, y);
      this.#pen = { timeMs, x, y };
    }
    context.stroke();
  }
}

function stepOf(run: WaveRun): number {
  return (1000 * run.rate.denominator) / run.rate.numerator;
}

/** The pieces of a run that the other does not cover; whole samples, so that nothing is drawn twice. */
function without(run: WaveRun, other: WaveRun): WaveRun[] {
  const stepMs = stepOf(run);
  const indexAt = (ms: number) =>
    Math.min(run.values.length, Math.max(0, Math.ceil((ms - run.startMs) / stepMs - 0.5)));
  const from = indexAt(other.startMs);
  const to = indexAt(endOf(other));
  if (from >= to) return [run];
  const before = { ...run, values: run.values.slice(0, from) };
  const after = { ...run, startMs: run.startMs + to * stepMs, values: run.values.slice(to) };
  return [before, after].filter((piece) => piece.values.length > 0);
}

function endOf(run: WaveRun): number {
  return run.startMs + run.values.length * stepOf(run);
}
