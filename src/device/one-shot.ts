/**
 * For scripts and tries by hand: one call seals one payload in a session of its own, on a one-time
 * prekey; another sends it. The identity folder holds the counter, so numbers go on from call to call.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../clock.ts";
import { joinPayload, splitPayload } from "../envelope/payload.ts";
import type { Receipt } from "../envelope/receipt.ts";
import { DeviceSession, envelopeHash, openDownlinkWith } from "../envelope/session.ts";
import { AES_256_GCM } from "../envelope/suites.ts";
import { Problem } from "../problems.ts";
import { Counter } from "./counter.ts";
import { httpsAgent, httpsRequest } from "./https-transport.ts";
import { loadIdentity, signingIdentity } from "./identity.ts";
import { type Measured, Sealing } from "./sealing.ts";
import { Spool } from "./spool.ts";

const ANSWER_WAIT_MS = 3_000;
const ANSWER_EVERY_MS = 200;
/** With fewer left, sending also fetches more. */
const PREKEYS_FEW = 2;

export interface SealedPayload {
  sequence: number;
  sessionId: string;
  /** Opening and envelope: a CBOR sequence for any device door. */
  payload: Uint8Array;
  prekeysLeft: number;
}

function openCounter(folder: string): Counter {
  const counter = new Counter(join(folder, "state.json"));
  const spoolFolder = join(folder, "spool");
  const spool = existsSync(spoolFolder)
    ? new Spool({ folder: spoolFolder, bytesMax: Number.MAX_SAFE_INTEGER, durability: "each" })
    : undefined;
  const tail = spool?.tail;
  // Reading the spool cuts off a torn end, so whoever reads it must also use up the numbers there.
  counter.recover(tail && { ...tail, head: envelopeHash(tail.bytes) }, spool);
  return counter;
}

/** Keeps prekeys for later calls. */
export function keepPrekeys(folder: string, prekeys: Uint8Array): void {
  const counter = openCounter(folder);
  counter.addPrekeys(splitPayload(prekeys).map(({ bytes }) => bytes));
  counter.saveClean();
}

/** Seals samples as the first, signed and last envelope of a new session.
 * @throws Error when no prekey is left: `send` fetches more. Problem "batch-refused". */
export function sealOnce(folder: string, measured: Measured, clock: Clock): SealedPayload {
  const identity = signingIdentity(loadIdentity(folder));
  const counter = openCounter(folder);
  const { opening, session } = begin(identity, counter, clock);
  const sealing = new Sealing({
    session,
    identity,
    counter,
    saltKey: clock.random(32),
    blockEveryMs: 0,
  });
  const times = {
    clockMs: Math.floor(clock.nowMs()),
    offsetMs: 0,
    monotonicMs: clock.monotonicMs(),
  };
  const { sequence, envelope } = sealing.seal(measured, times, { close: true });
  counter.keepDownlink(session.exportDownlink());
  // On disk before the payload leaves this function: its number is used up.
  counter.saveClean();
  const payload = joinPayload([opening, envelope]);
  return { sequence, sessionId: session.sessionId, payload, prekeysLeft: counter.prekeys };
}

function begin(identity: ReturnType<typeof signingIdentity>, counter: Counter, clock: Clock) {
  for (;;) {
    const prekey = counter.takePrekey(() => true);
    if (prekey === undefined) {
      throw new Error("no prekey is left; `vitalward device send` without --in fetches more");
    }
    try {
      return DeviceSession.fromPrekey(identity, prekey, {
        suite: AES_256_GCM,
        firstSequence: counter.nextSequence,
        nowMs: Math.floor(clock.nowMs()),
        chance: clock,
      });
    } catch (error) {
      if (!(error instanceof Problem)) throw error; // an expired prekey: the next one
    }
  }
}

export interface SendAnswer {
  /** HTTP status of the door: 202 when it was taken. */
  status: number;
  /** The door's words when it refused. */
  problem: string | undefined;
  receipts: Receipt[];
  prekeysLeft: number;
}

/** Sends sealed bytes by HTTPS and reads the platform's answers.
 * @param payload as `sealOnce` gave it, or empty only to fetch answers and prekeys.
 * @throws Error when the door cannot be reached. */
export async function sendPayload(folder: string, payload: Uint8Array): Promise<SendAnswer> {
  const identity = loadIdentity(folder);
  const counter = openCounter(folder);
  const agent = httpsAgent(identity);
  const { httpsUrl } = identity;
  const receipts: Receipt[] = [];
  try {
    const sent =
      payload.length === 0
        ? await httpsRequest(`${httpsUrl}/v1/downlink`, { agent, method: "GET" })
        : await httpsRequest(`${httpsUrl}/v1/envelopes`, { agent, method: "POST", body: payload });
    const isTaken = sent.status < 300;
    if (isTaken) take(counter, sent.body, receipts);
    const problem = isTaken ? undefined : problemIn(sent.body);
    for (let waited = 0; isTaken && payload.length > 0 && receipts.length === 0; ) {
      if (waited >= ANSWER_WAIT_MS) break;
      await new Promise((resolve) => setTimeout(resolve, ANSWER_EVERY_MS));
      waited += ANSWER_EVERY_MS;
      const more = await httpsRequest(`${httpsUrl}/v1/downlink`, { agent, method: "GET" });
      if (more.status === 200) take(counter, more.body, receipts);
    }
    if (isTaken && (payload.length === 0 || counter.prekeys < PREKEYS_FEW)) {
      const url = `${httpsUrl}/v1/prekeys`;
      const more = await httpsRequest(url, { agent, method: "POST", body: new Uint8Array() });
      if (more.status === 200) take(counter, more.body, receipts);
    }
    return { status: sent.status, problem, receipts, prekeysLeft: counter.prekeys };
  } finally {
    agent.destroy();
    counter.saveClean();
  }
}

function problemIn(body: Uint8Array): string {
  try {
    const { title } = JSON.parse(Buffer.from(body).toString("utf8")) as { title?: unknown };
    return typeof title === "string" ? title : "no reason given";
  } catch {
    return "no reason given";
  }
}

function take(counter: Counter, body: Uint8Array, receipts: Receipt[]): void {
  const prekeys: Uint8Array[] = [];
  for (const item of splitPayload(body)) {
    if (item.kind === "prekey") prekeys.push(item.bytes);
    if (item.kind !== "envelope") continue;
    for (const secret of counter.downlinks) {
      try {
        const { receipt } = openDownlinkWith(secret, item.bytes);
        if (receipt !== undefined) receipts.push(receipt);
        break;
      } catch (error) {
        if (!(error instanceof Problem)) throw error; // of another session
      }
    }
  }
  if (prekeys.length > 0) counter.addPrekeys(prekeys);
}
