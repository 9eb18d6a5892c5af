/** Turns what was measured into sealed envelopes of one session, in order, with blocks and gaps. */
import type { Batch, PointColumn, WaveformRun } from "../envelope/batch.ts";
import type { Content } from "../envelope/content.ts";
import type { DeviceIdentity } from "../envelope/opening.ts";
import { type DeviceSession, envelopeHash } from "../envelope/session.ts";
import { limits } from "../limits.ts";
import { BlockBuilder } from "./block-builder.ts";
import type { Counter } from "./counter.ts";

/** Samples by metric, in any order of metrics; times are the device clock's, ascending. */
export interface Measured {
  points: PointColumn[];
  waveforms: WaveformRun[];
}

export interface Sealed {
  sequence: number;
  envelope: Uint8Array;
  /** It carries a signed block. */
  endsBlock: boolean;
}

export interface SealTimes {
  /** Device clock and its offset to UTC, milliseconds. */
  clockMs: number;
  offsetMs: number;
  monotonicMs: number;
}

export class Sealing {
  readonly session: DeviceSession;
  readonly #counter: Counter;
  readonly #blocks: BlockBuilder;
  readonly #blockEveryMs: number;
  /** The salt key goes with the first envelope, and again if that one had to be dropped. */
  #saltKeyOwed = true;
  #isFirst = true;
  /** How it stood before the newest envelope. */
  #before = { isFirst: true, saltKeyOwed: true, head: { sessionId: "", head: "" } };

  constructor(o: {
    session: DeviceSession;
    identity: DeviceIdentity;
    counter: Counter;
    saltKey: Uint8Array;
    blockEveryMs: number;
  }) {
    this.session = o.session;
    this.#counter = o.counter;
    this.#blockEveryMs = o.blockEveryMs;
    const { saltKey } = o;
    const firstSequence = o.session.nextSequence;
    this.#blocks = new BlockBuilder(o.identity, o.session.sessionId, { saltKey, firstSequence });
  }

  /** Batches under no block yet. */
  get unsigned(): number {
    return this.#blocks.open;
  }

  /** The envelope with the salt key is gone: the next one carries it again. */
  oweSaltKey(): void {
    this.#saltKeyOwed = true;
  }

  /** The newest envelope could not be kept. Its number stays used and is stated as a gap; what it
   * said beside its samples is said again by the next one. */
  takeBack(sequence: number): void {
    this.#undo(sequence);
    this.#counter.lost(sequence, this.#before.head);
  }

  #undo(sequence: number): void {
    this.#blocks.takeBack();
    this.#counter.unstated(sequence, sequence);
    this.#saltKeyOwed = this.#before.saltKeyOwed;
    this.#isFirst = this.#before.isFirst;
  }

  /** Seals one envelope.
   * @param measured undefined for an envelope that carries only a block, gaps or the close.
   * @throws Problem "batch-refused"; then no number was used. */
  seal(
    measured: Measured | undefined,
    times: SealTimes,
    o: { block?: boolean; close?: boolean } = {},
  ): Sealed {
    const sequence = this.session.nextSequence;
    this.#counter.claim(sequence);
    this.#blocks.mark();
    const { head } = this.#counter;
    this.#before = { isFirst: this.#isFirst, saltKeyOwed: this.#saltKeyOwed, head };
    try {
      return this.#sealAs(sequence, measured, times, o);
    } catch (error) {
      this.#undo(sequence);
      throw error;
    }
  }

  #sealAs(
    sequence: number,
    measured: Measured | undefined,
    times: SealTimes,
    o: { block?: boolean; close?: boolean },
  ): Sealed {
    const content: Content = { sequence };
    if (measured !== undefined) {
      content.batch = batchOf(measured, sequence, times);
      this.#blocks.add(content.batch, times.monotonicMs);
    }
    if (this.#saltKeyOwed) content.saltKey = this.#blocks.saltKey;
    const { previous } = this.#counter;
    if (this.#isFirst && previous !== undefined) content.previous = previous;
    const gaps = this.#counter.takeGaps(limits.gapsMax, sequence);
    if (gaps.length > 0) content.gaps = gaps;
    const isDue = this.#blocks.isDue(times.monotonicMs, this.#blockEveryMs);
    const endsBlock = isDue || o.block === true || o.close === true;
    if (endsBlock) {
      content.block = this.#blocks.sign(sequence, times.clockMs, o.close === true);
    }
    if (o.close === true) content.close = true;
    const envelope = this.session.seal(content);
    this.#saltKeyOwed = false;
    this.#isFirst = false;
    this.#counter.used(sequence, this.session.sessionId, envelopeHash(envelope));
    return { sequence, envelope, endsBlock };
  }
}

function batchOf(measured: Measured, sequence: number, times: SealTimes): Batch {
  const points = [...measured.points].sort((a, b) => a.mdc - b.mdc || a.exponent - b.exponent);
  const waveforms = [...measured.waveforms].sort((a, b) => a.mdc - b.mdc || a.startMs - b.startMs);
  const { clockMs, offsetMs } = times;
  return { sequence, clockMs, offsetMs, points, waveforms };
}
