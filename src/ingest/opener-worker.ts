/** The thread behind `opener.ts`: opens what it is handed, keeps nothing, knows nobody. */
import { parentPort } from "node:worker_threads";
import { suiteByAlg } from "../envelope/suites.ts";
import { sha256Into } from "../transparency/tree.ts";
import { ANSWER_HEAD, HASH_BYTES, JOB_HEAD } from "./opener-layout.ts";

const port = parentPort;
if (port === null) throw new Error("opener-worker: runs as a worker thread only");

port.on("message", (jobs: Uint8Array) => {
  const answers = openAll(jobs);
  jobs.fill(0); // the keys in it have served
  port.postMessage(answers, [answers.buffer as ArrayBuffer]);
});

/** An answer is never longer than its job, which holds the whole envelope and its key. */
function openAll(jobs: Uint8Array): Uint8Array {
  const from = new DataView(jobs.buffer, jobs.byteOffset, jobs.length);
  const answers = Buffer.from(new ArrayBuffer(jobs.length));
  let at = 0;
  let out = 0;
  while (at < jobs.length) {
    const suite = suiteByAlg(from.getUint8(at))!;
    const keyAt = at + JOB_HEAD;
    const nonceAt = keyAt + suite.keyBytes;
    const aadAt = nonceAt + suite.nonceBytes;
    const wholeAt = aadAt + from.getUint8(at + 1);
    const sealedAt = wholeAt + from.getUint16(at + 2);
    at = wholeAt + from.getUint32(at + 4);
    const plaintext = suite.open(
      jobs.subarray(keyAt, nonceAt),
      jobs.subarray(nonceAt, aadAt),
      jobs.subarray(aadAt, wholeAt),
      jobs.subarray(sealedAt, at),
    );
    const whole = jobs.subarray(wholeAt, at);
    sha256Into(whole, answers, out + ANSWER_HEAD);
    answers.writeUInt32BE(plaintext === undefined ? 0 : plaintext.length + 1, out);
    out += ANSWER_HEAD + HASH_BYTES;
    if (plaintext !== undefined) {
      answers.set(plaintext, out);
      out += plaintext.length;
    }
  }
  return answers.subarray(0, out);
}
