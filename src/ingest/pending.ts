/** One envelope between decryption and the known end of its commit. */
import type { Batch } from "../envelope/batch.ts";
import type { Block } from "../envelope/block.ts";
import type { Content } from "../envelope/content.ts";
import type { AdmittedEnvelope } from "../store/store.ts";
import type { LiveSession } from "./live-session.ts";

export class Pending implements AdmittedEnvelope {
  readonly session: LiveSession;
  readonly patientId: string;
  readonly batch: Batch;
  readonly marks: number;
  readonly receivedMs: number;
  readonly envelopeHash: Uint8Array;
  readonly content: Content;
  readonly fork: boolean;
  /** The signed block it carries, its signature verified. */
  readonly block: Block | undefined;
  leaf: Uint8Array | undefined;
  /** Its journal entry, once the store took it into a transaction. */
  entry: number | undefined;
  #isKept: boolean | undefined;
  /** Repetitions that came meanwhile and wait for the outcome. */
  #waiting: ((isKept: boolean) => void)[] | undefined;

  constructor(o: {
    session: LiveSession;
    patientId: string;
    batch: Batch;
    marks: number;
    receivedMs: number;
    envelopeHash: Uint8Array;
    content: Content;
    fork: boolean;
    block: Block | undefined;
    leaf: Uint8Array | undefined;
  }) {
    this.session = o.session;
    this.patientId = o.patientId;
    this.batch = o.batch;
    this.marks = o.marks;
    this.receivedMs = o.receivedMs;
    this.envelopeHash = o.envelopeHash;
    this.content = o.content;
    this.fork = o.fork;
    this.block = o.block;
    this.leaf = o.leaf;
    this.entry = undefined;
    this.#isKept = undefined;
    this.#waiting = undefined;
  }

  /** Tells those who wait: committed, or not kept as far as anybody can say now. */
  settle(isKept: boolean): void {
    this.#isKept = isKept;
    for (const waiting of this.#waiting ?? []) waiting(isKept);
    this.#waiting = undefined;
  }

  /** Resolves with what the commit came to, as far as it was said. */
  outcome(): Promise<boolean> {
    if (this.#isKept !== undefined) return Promise.resolve(this.#isKept);
    return new Promise((resolve) => {
      this.#waiting ??= [];
      this.#waiting.push(resolve);
    });
  }

  get deviceId(): string {
    return this.session.deviceId;
  }
  get sessionId(): string {
    return this.session.sessionId;
  }
  /** It carries the device's signed word that the session ends with it. */
  get closes(): boolean {
    return (
      !this.fork &&
      this.content.close === true &&
      this.block?.lastSequence === this.content.sequence
    );
  }
  get number(): number {
    return this.content.sequence;
  }
}
