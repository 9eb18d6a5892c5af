/** Fetches the proof of a reading and checks it here, in the browser: the platform's word is not taken. */
import { type ProofVerdict, verifyReading } from "../../../src/transparency/verify.ts";
import type { ProofAnswer } from "../../../src/ward/schema.ts";
import { ask } from "../api/client.ts";
import type { Point } from "../chart/plot-series.ts";

export type Checked =
  | { state: "unsigned" }
  | { state: "checked"; verdict: ProofVerdict; tookMs: number };

/** What is asked of a proof: the reading exactly as the page shows it. */
export type Asked = Omit<Point, "marks" | "metric"> & { mdc: number };

/** @throws Refusal when the platform gives no answer or no access. */
export async function checkReading(
  patientId: string,
  reading: Asked,
  signal: AbortSignal,
): Promise<Checked> {
  const query = new URLSearchParams({
    device: reading.deviceId,
    session: reading.sessionId,
    sequence: String(reading.sequence),
  });
  const answer = await ask<ProofAnswer>(`/api/patients/${patientId}/proof?${query}`, { signal });
  if (answer.state === "unsigned") return { state: "unsigned" };
  const proof = {
    block: bytes(answer.block),
    certificate: bytes(answer.certificate),
    authority: bytes(answer.authority),
    salt: bytes(answer.salt),
    batch: bytes(answer.batch),
    index: answer.index,
    path: answer.path.map(bytes),
  };
  const beganMs = performance.now();
  const verdict = await verifyReading(proof, reading);
  return { state: "checked", verdict, tookMs: performance.now() - beganMs };
}

/** base64url → bytes; what is not base64url gives no bytes, and so no proof. */
function bytes(text: string): Uint8Array {
  const plain = text.replaceAll("-", "+").replaceAll("_", "/");
  try {
    return Uint8Array.from(atob(plain), (letter) => letter.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}
