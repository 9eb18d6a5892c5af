/**
 * The open line to the platform. The platform beats every 2 s; when nothing has come for `LOST_AFTER_MS` the line
 * counts as lost, whatever the socket believes, so that the page says so within five seconds.
 */
import type { LiveAsk, LiveMessage } from "../../../src/ward/schema.ts";

/** Two beats missed, with a little grace; the promise is 5 s. */
const LOST_AFTER_MS = 4_300;
const WATCH_EVERY_MS = 250;
const RETRY_MS = [500, 1_000, 2_000, 3_000] as const;
/** The platform closes with this when the sign-in has ended (application range, RFC 6455 §7.4.2). */
const CLOSE_NOT_SIGNED_IN = 4401;

export interface LineState {
  state: "connecting" | "live" | "lost" | "ended";
  /** When the last message came, UTC ms of this device's clock; undefined before the first. */
  lastHeardMs: number | undefined;
  /** The platform's clock minus this device's, ms: ages are told by the platform's clock. */
  offsetMs: number;
}

export class Line {
  #socket: WebSocket | undefined;
  #state: LineState = { state: "connecting", lastHeardMs: undefined, offsetMs: 0 };
  #tries = 0;
  #watch: ReturnType<typeof setInterval> | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #opened: string | null = null;
  readonly #url: string;
  readonly #onMessage: (message: LiveMessage) => void;
  readonly #onBack: () => void;
  readonly #listeners = new Set<() => void>();

  /** @param onBack called whenever the line is live again, to fetch what was missed. */
  constructor(url: string, onMessage: (message: LiveMessage) => void, onBack: () => void) {
    this.#url = url;
    this.#onMessage = onMessage;
    this.#onBack = onBack;
  }

  get state(): LineState {
    return this.#state;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  start(): void {
    this.#connect();
    this.#watch ??= setInterval(() => this.#check(), WATCH_EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#watch);
    clearTimeout(this.#retry);
    this.#watch = undefined;
    this.#drop();
  }

  /** Asks for one patient's waveforms, or for none. Kept across reconnections. */
  open(patientId: string | null): void {
    this.#opened = patientId;
    this.#ask();
  }

  #ask(): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    const ask: LiveAsk = { type: "open", patientId: this.#opened };
    this.#socket.send(JSON.stringify(ask));
  }

  #connect(): void {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.onopen = () => this.#ask();
    socket.onmessage = (event) => {
      if (socket === this.#socket) this.#heard(JSON.parse(String(event.data)) as LiveMessage);
    };
    socket.onclose = (event) => {
      if (socket !== this.#socket) return;
      if (event.code === CLOSE_NOT_SIGNED_IN) {
        this.stop();
        this.#set({ ...this.#state, state: "ended" });
        return;
      }
      this.#lose();
    };
  }

  #heard(message: LiveMessage): void {
    const nowMs = Date.now();
    const isBack = this.#state.state !== "live";
    const offsetMs = message.type === "beat" ? message.nowMs - nowMs : this.#state.offsetMs;
    this.#tries = 0;
    this.#state = { state: "live", lastHeardMs: nowMs, offsetMs };
    if (isBack) {
      this.#tell();
      this.#onBack();
    }
    this.#onMessage(message);
  }

  #check(): void {
    const { state, lastHeardMs } = this.#state;
    if (state === "live" && Date.now() - (lastHeardMs ?? 0) > LOST_AFTER_MS) this.#lose();
  }

  #lose(): void {
    this.#drop();
    this.#set({
      ...this.#state,
      state: "lost",
      lastHeardMs: this.#state.lastHeardMs ?? Date.now(),
    });
    clearTimeout(this.#retry);
    const waitMs = RETRY_MS[Math.min(this.#tries, RETRY_MS.length - 1)];
    this.#tries += 1;
    this.#retry = setTimeout(() => this.#connect(), waitMs);
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }

  #set(state: LineState): void {
    this.#state = state;
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
