/**
 * Opens envelopes in a thread of its own while many arrive: one AEAD and one hash each are a third of
 * what admission costs, and the thread that admits is the limit (docs/performance.md). What came in one
 * turn of the event loop goes over as one buffer. Few at once are opened here: asking would cost more.
 *
 * If the thread ends, what it had is opened here; nothing is lost, and a new one is started.
 */
import { Worker } from "node:worker_threads";
import { diagnostics } from "../diagnostics.ts";
import { type EnvelopeLock, envelopeHash } from "../envelope/session.ts";
import { ANSWER_HEAD, HASH_BYTES, JOB_HEAD } from "./opener-layout.ts";

/** Fewer in one turn are opened on the spot. */
const GROUP_MIN = 8;
/** With so many unanswered the thread is the slower of the two: this one helps. */
const AWAY_MAX = 1_024;

/** Told what was inside, or undefined if the tag did not fit, and the envelope's SHA-256. */
export type Opened = (plaintext: Uint8Array | undefined, hash: Uint8Array) => void;

interface Job {
  readonly lock: EnvelopeLock;
  /** The whole envelope. */
  readonly bytes: Uint8Array;
  /** Ciphertext and tag: the end of `bytes`. */
  readonly sealed: Uint8Array;
  readonly opened: Opened;
}

export class Opener {
  readonly #threadFile: URL;
  #waiting: Job[] = [];
  /** Groups handed over and not answered, oldest first: answers come in order. */
  #away: Job[][] = [];
  #awayCount = 0;
  #worker: Worker | undefined;
  #isClosed = false;

  /** @param threadFile another thread, for tests of its end. */
  constructor(threadFile = new URL("./opener-worker.ts", import.meta.url)) {
    this.#threadFile = threadFile;
  }

  /** Opens one envelope, soon. @param opened is called once; it must not throw. */
  open(lock: EnvelopeLock, bytes: Uint8Array, sealed: Uint8Array, opened: Opened): void {
    if (this.#waiting.length === 0) setImmediate(() => this.#flush());
    this.#waiting.push({ lock, bytes, sealed, opened });
  }

  #flush(): void {
    const jobs = this.#waiting;
    if (jobs.length === 0) return;
    this.#waiting = [];
    if (this.#isClosed || jobs.length < GROUP_MIN || this.#awayCount > AWAY_MAX) {
      for (const job of jobs) openHere(job);
      return;
    }
    this.#worker ??= this.#start();
    const packed = pack(jobs);
    this.#away.push(jobs);
    this.#awayCount += jobs.length;
    this.#worker.postMessage(packed, [packed.buffer as ArrayBuffer]);
  }

  #start(): Worker {
    const worker = new Worker(this.#threadFile);
    worker.on("message", (answers: Uint8Array) => this.#answered(answers));
    worker.on("error", (error) => diagnostics.error({ err: error }, "the opening thread failed"));
    worker.on("exit", () => this.#ended(worker));
    worker.unref();
    return worker;
  }

  #answered(answers: Uint8Array): void {
    const jobs = this.#away.shift() ?? [];
    this.#awayCount -= jobs.length;
    const view = Buffer.from(answers.buffer, answers.byteOffset, answers.length);
    let at = 0;
    for (const { opened } of jobs) {
      const length = view.readUInt32BE(at) - 1;
      const plainAt = at + ANSWER_HEAD + HASH_BYTES;
      const hash = view.subarray(at + ANSWER_HEAD, plainAt);
      at = plainAt + Math.max(length, 0);
      opened(length < 0 ? undefined : view.subarray(plainAt, at), hash);
    }
  }

  #ended(worker: Worker): void {
    if (this.#worker === worker) this.#worker = undefined;
    if (!this.#isClosed) diagnostics.warn("the opening thread ended; a new one starts when needed");
    const groups = this.#away;
    this.#away = [];
    this.#awayCount = 0;
    for (const jobs of groups) for (const job of jobs) openHere(job);
  }

  /** Answers what waits, and ends the thread. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#flush();
    await this.#worker?.terminate();
  }
}

function openHere({ lock, bytes, sealed, opened }: Job): void {
  const { suite, keys, nonce, aad } = lock;
  opened(suite.open(keys.key, nonce, aad, sealed), envelopeHash(bytes));
}

function pack(jobs: readonly Job[]): Uint8Array {
  let size = 0;
  for (const { lock, bytes } of jobs) {
    const { keys, nonce, aad } = lock;
    size += JOB_HEAD + keys.keyBytes.length + nonce.length + aad.length + bytes.length;
  }
  const packed = new Uint8Array(size);
  const view = new DataView(packed.buffer);
  let at = 0;
  for (const { lock, bytes, sealed } of jobs) {
    view.setUint8(at, lock.suite.alg);
    view.setUint8(at + 1, lock.aad.length);
    view.setUint16(at + 2, bytes.length - sealed.length);
    view.setUint32(at + 4, bytes.length);
    at += JOB_HEAD;
    for (const part of [lock.keys.keyBytes, lock.nonce, lock.aad, bytes]) {
      packed.set(part, at);
      at += part.length;
    }
  }
  return packed;
}
