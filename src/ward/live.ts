/**
 * The live line of one open page. Every patient on it is a subscription under a permit, renewed at half its life; when
 * a permit ends and is not given again the page is told so and nothing more is sent. A page that does not keep up
 * loses waveforms first, is told so, and is closed when even that does not help: it never holds others up.
 */
import type { WebSocket } from "@fastify/websocket";
import type { Compartment, Permit } from "../access/permit.ts";
import type { Principal } from "../access/principal.ts";
import { diagnostics } from "../diagnostics.ts";
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import type { SeriesChunk } from "../store/chunk.ts";
import { quality } from "../vitals/quality.ts";
import { BOARD_COMPARTMENTS, type WardParts } from "./board.ts";
import { boardReadings, DeviceWatch, waveRuns } from "./readings.ts";
import { type LiveMessage, liveAsk, type Reading, type WardDevice } from "./schema.ts";

/** Application close codes (RFC 6455 §7.4.2). */
const CLOSE_NOT_SIGNED_IN = 4401;
const CLOSE_TOO_SLOW = 1013;
const CLOSE_BAD_MESSAGE = 1008;
/** Waveform runs older than this are for the chart, not for the live strip. */
const WAVE_RECENT_MS = 60_000;
const SIGNED_EVERY_MS = 5_000;
/** When a device was last heard is said anew in steps of this. */
const LAST_SEEN_EVERY_MS = 5_000;
/** A renewal at half a life must not be given the lease that it is to replace. */
const RENEWED_WITH_LEFT_MS = limits.permitLifeMs * 0.75;
const OPEN = 1;

interface Watched {
  readonly patientId: string;
  permit: Permit | undefined;
  stop: () => void;
  readonly pending: Map<string, Reading>;
  readonly devices: DeviceWatch;
  /** As last sent, to send only changes. */
  said: string;
  /** Newest batch of each session that was sent and not yet said to be signed. */
  readonly unsigned: Map<string, Reading>;
}

/** The patient whose waveforms the page shows. */
interface Opened {
  readonly patientId: string;
  permit: Permit | undefined;
  stop: () => void;
}

export class LiveLine {
  readonly #parts: WardParts;
  readonly #socket: WebSocket;
  readonly #whoNow: () => Promise<Principal>;
  #principal: Principal;
  readonly #watched = new Map<string, Watched>();
  #opened: Opened | undefined;
  readonly #timers: NodeJS.Timeout[] = [];
  #isClosed = false;

  /** @param whoNow asks anew who is signed in; throws when nobody is. */
  constructor(
    parts: WardParts,
    socket: WebSocket,
    principal: Principal,
    whoNow: () => Promise<Principal>,
  ) {
    this.#parts = parts;
    this.#socket = socket;
    this.#principal = principal;
    this.#whoNow = whoNow;
    socket.on("close", () => this.#end());
    socket.on("error", () => this.#end());
    socket.on("message", (text) => this.#hear(String(text)));
  }

  start(): void {
    this.#send({ type: "beat", nowMs: this.#parts.clock.nowMs() });
    this.#every(limits.liveBeatMs, () => this.#beat());
    this.#every(limits.liveGatherMs, async () => this.#flush());
    this.#every(limits.permitLifeMs / 2, () => this.#renewAll());
    this.#every(SIGNED_EVERY_MS, () => this.#saySigned());
    void this.#guard(async () => this.#watchWard());
  }

  close(code = 1001): void {
    this.#socket.close(code);
    this.#end();
  }

  #every(ms: number, work: () => Promise<void>): void {
    let isBusy = false;
    const timer = setInterval(() => {
      if (isBusy) return;
      isBusy = true;
      void this.#guard(work).finally(() => {
        isBusy = false;
      });
    }, ms);
    timer.unref();
    this.#timers.push(timer);
  }

  /** A refusal ends the line with its reason; a fault is recorded and ends it too: the page comes back. */
  async #guard(work: () => Promise<void>): Promise<void> {
    try {
      if (!this.#isClosed) await work();
    } catch (error) {
      if (error instanceof Problem && error.code === "not-signed-in") {
        this.close(CLOSE_NOT_SIGNED_IN);
        return;
      }
      if (!(error instanceof Problem)) {
        diagnostics.error({ fault: (error as Error).name }, "a live line failed");
      }
      this.close(1011);
    }
  }

  #end(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const timer of this.#timers) clearInterval(timer);
    for (const watched of this.#watched.values()) this.#unwatch(watched);
    this.#closeOpened();
  }

  async #beat(): Promise<void> {
    this.#principal = await this.#whoNow();
    this.#send({ type: "beat", nowMs: this.#parts.clock.nowMs() });
    for (const watched of this.#watched.values()) this.#sayDevices(watched);
  }

  async #watchWard(): Promise<void> {
    const ids = await this.#parts.access.patientsOf(this.#principal);
    for (const patientId of ids.slice(0, limits.wardPatientsMax)) await this.#watch(patientId);
  }

  async #watch(patientId: string): Promise<void> {
    if (this.#isClosed || this.#watched.has(patientId)) return;
    const watched: Watched = {
      patientId,
      permit: undefined,
      stop: () => {},
      pending: new Map(),
      devices: new DeviceWatch(),
      said: "",
      unsigned: new Map(),
    };
    this.#watched.set(patientId, watched);
    await this.#renew(watched);
  }

  /** A new lease takes over before the old one is given back, so that no sample falls between. */
  async #renew(watched: Watched): Promise<void> {
    const isFirst = watched.permit === undefined;
    const permit = await this.#authorize(watched.patientId, BOARD_COMPARTMENTS);
    if (this.#isClosed || permit === undefined) {
      this.#unwatch(watched);
      if (permit !== undefined) this.#parts.access.release(permit);
      else this.#withdraw(watched.patientId);
      return;
    }
    if (isFirst) {
      for (const chunk of await this.#parts.store.latest(permit)) watched.devices.take(chunk);
    }
    const old = { permit: watched.permit, stop: watched.stop };
    watched.permit = permit;
    watched.stop = this.#parts.store.subscribe(permit, (chunks) => this.#gather(watched, chunks));
    old.stop();
    if (old.permit !== undefined) this.#parts.access.release(old.permit);
    this.#onEnd(
      permit,
      () => watched.permit === permit,
      async () => this.#renew(watched),
    );
  }

  /** When a lease ends before its time the question is put again at once; the answer may be no. */
  #onEnd(permit: Permit, isCurrent: () => boolean, again: () => Promise<void>): void {
    permit.signal.addEventListener(
      "abort",
      () => {
        if (isCurrent() && !this.#isClosed) {
          void this.#guard(async () => {
            this.#principal = await this.#whoNow();
            await again();
          });
        }
      },
      { once: true },
    );
  }

  async #authorize(
    patientId: string,
    categories: readonly Compartment[],
  ): Promise<Permit | undefined> {
    const verdict = await this.#parts.access.authorize({
      principal: this.#principal,
      patientId,
      purpose: "TREAT",
      categories,
      action: "subscribe",
      leftMs: RENEWED_WITH_LEFT_MS,
    });
    return "denied" in verdict ? undefined : verdict;
  }

  #unwatch(watched: Watched): void {
    watched.stop();
    watched.stop = () => {};
    watched.pending.clear();
    const { permit } = watched;
    watched.permit = undefined;
    if (permit !== undefined) this.#parts.access.release(permit);
  }

  #withdraw(patientId: string): void {
    this.#watched.delete(patientId);
    if (this.#opened?.patientId === patientId) this.#closeOpened();
    this.#send({ type: "withdrawn", patientId });
  }

  async #renewAll(): Promise<void> {
    for (const watched of [...this.#watched.values()]) await this.#renew(watched);
    if (this.#opened !== undefined) await this.#renewOpened(this.#opened);
    // Somebody who joined a care team meanwhile sees the new patient without a reload.
    await this.#watchWard();
  }

  #gather(watched: Watched, chunks: readonly SeriesChunk[]): void {
    const nowMs = this.#parts.clock.nowMs();
    for (const chunk of chunks) {
      watched.devices.take(chunk);
      if (chunk.kind !== "points") continue;
      for (const reading of boardReadings(chunk, nowMs)) {
        const restarts = reading.quality & quality.recordingRestarts;
        // One lowest, one highest a minute and the newest: what came between changes nothing on the screen.
        const minute = Math.floor(reading.timeMs / 60_000);
        const key = `${reading.mdc} ${minute} ${reading.mantissa} ${restarts}`;
        watched.pending.set(key, reading);
        watched.unsigned.set(`${reading.deviceId} ${reading.sessionId}`, reading);
      }
    }
  }

  async #flush(): Promise<void> {
    for (const watched of this.#watched.values()) {
      if (watched.pending.size === 0 || watched.permit?.live !== true) continue;
      const readings = [...watched.pending.values()].sort((a, b) => a.timeMs - b.timeMs);
      watched.pending.clear();
      this.#send({ type: "readings", patientId: watched.patientId, readings });
    }
  }

  #sayDevices(watched: Watched): void {
    if (watched.permit?.live !== true) return;
    const { patientId } = watched;
    const nowMs = this.#parts.clock.nowMs();
    const devices = watched.devices.devicesOf(this.#parts, patientId, nowMs);
    // Of a patient with waveforms alone this is the only word on how old the newest is.
    const said = JSON.stringify(
      devices.map((device: WardDevice) => ({
        ...device,
        lastSeenMs: Math.floor((device.lastSeenMs ?? 0) / LAST_SEEN_EVERY_MS),
      })),
    );
    if (said === watched.said) return;
    watched.said = said;
    this.#send({ type: "devices", patientId, devices });
  }

  /** Only for the opened patient: the board does not show signatures. */
  async #saySigned(): Promise<void> {
    const watched = this.#watched.get(this.#opened?.patientId ?? "");
    if (watched === undefined) return;
    const { patientId } = watched;
    for (const [key, { deviceId, sessionId, sequence }] of [...watched.unsigned]) {
      const batch = { patientId, deviceId, sessionId, sequence };
      if (!(await this.#parts.proofs.isSigned(batch))) continue;
      if (watched.unsigned.get(key)?.sequence === sequence) watched.unsigned.delete(key);
      this.#send({ type: "signed", patientId, sessionId, through: sequence });
    }
  }

  #hear(text: string): void {
    void this.#guard(async () => {
      const ask = liveAsk.safeParse(jsonOf(text));
      if (!ask.success) {
        this.close(CLOSE_BAD_MESSAGE);
        return;
      }
      this.#closeOpened();
      const { patientId } = ask.data;
      if (patientId === null) return;
      this.#opened = { patientId, permit: undefined, stop: () => {} };
      await this.#renewOpened(this.#opened);
    });
  }

  async #renewOpened(opened: Opened): Promise<void> {
    const permit = await this.#authorize(opened.patientId, ["waveform"]);
    if (permit === undefined || this.#isClosed || this.#opened !== opened) {
      if (permit !== undefined) this.#parts.access.release(permit);
      else this.#withdraw(opened.patientId);
      return;
    }
    const old = { ...opened };
    opened.permit = permit;
    opened.stop = this.#parts.store.subscribe(permit, (chunks) => {
      for (const chunk of chunks) this.#sendWave(opened.patientId, chunk);
    });
    old.stop();
    if (old.permit !== undefined) this.#parts.access.release(old.permit);
    this.#onEnd(
      permit,
      () => opened.permit === permit && this.#opened === opened,
      async () => this.#renewOpened(opened),
    );
  }

  #closeOpened(): void {
    const opened = this.#opened;
    this.#opened = undefined;
    opened?.stop();
    if (opened?.permit !== undefined) this.#parts.access.release(opened.permit);
  }

  #sendWave(patientId: string, chunk: SeriesChunk): void {
    const newest = chunk.timesMs.at(-1) ?? 0;
    if (chunk.kind !== "waveform" || this.#parts.clock.nowMs() - newest > WAVE_RECENT_MS) return;
    if (this.#socket.bufferedAmount > limits.liveWaveBacklogBytesMax) {
      this.#send({ type: "skipped", patientId });
      return;
    }
    for (const run of waveRuns(chunk)) this.#send({ type: "wave", patientId, run });
  }

  #send(message: LiveMessage): void {
    if (this.#isClosed || this.#socket.readyState !== OPEN) return;
    if (this.#socket.bufferedAmount > limits.liveBacklogBytesMax) {
      this.#socket.close(CLOSE_TOO_SLOW);
      this.#end();
      return;
    }
    this.#socket.send(JSON.stringify(message));
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON: the schema refuses it like anything else that is not a question.
    return undefined;
  }
}
