/** Which devices hold a connection now, and when each was last here. The doors tell it; nothing of this is about a patient. */

export interface Seen {
  /** UTC ms since when it holds an MQTT connection; null: it holds none. */
  readonly connectedSinceMs: number | null;
  /** UTC ms when its last MQTT connection ended. Null while it is connected, while it comes by single requests
   * (between two of which nobody knows more than when the last one was), and before its first connection since the
   * platform's start. */
  readonly disconnectedMs: number | null;
  /** UTC ms of its last connection, request or admitted envelope, from before the start too; null: never. */
  readonly lastSeenMs: number | null;
}

const NEVER: Seen = { connectedSinceMs: null, disconnectedMs: null, lastSeenMs: null };

/** One entry a device that was ever here, so bounded by `devicesMax`. */
export class Presence {
  readonly #byDevice = new Map<string, { -readonly [K in keyof Seen]: Seen[K] }>();

  readonly #requestedMs = new Map<string, number>();

  /** @param lastSeenMs when each device was heard before this start. */
  constructor(lastSeenMs: Iterable<readonly [deviceId: string, ms: number]> = []) {
    for (const [deviceId, ms] of lastSeenMs) this.#seen(deviceId, ms);
  }

  of(deviceId: string): Seen {
    return this.#byDevice.get(deviceId) ?? NEVER;
  }

  connected(deviceId: string, atMs: number): void {
    const seen = this.#seen(deviceId, atMs);
    seen.connectedSinceMs = atMs;
    seen.disconnectedMs = null;
  }

  /** @param atMs when the connection ended; for one that fell silent, when it was last heard. */
  disconnected(deviceId: string, atMs: number): void {
    const seen = this.#seen(deviceId, atMs);
    seen.connectedSinceMs = null;
    // It may have come by a request since, while the connection only seemed to live.
    seen.disconnectedMs = (this.#requestedMs.get(deviceId) ?? 0) > atMs ? null : atMs;
  }

  /** It came by a request of its own, which leaves no connection behind. */
  requested(deviceId: string, atMs: number): void {
    this.#seen(deviceId, atMs).disconnectedMs = null;
    this.#requestedMs.set(deviceId, atMs);
  }

  /** Something of it was admitted. */
  heard(deviceId: string, atMs: number): void {
    this.#seen(deviceId, atMs);
  }

  #seen(deviceId: string, atMs: number) {
    let seen = this.#byDevice.get(deviceId);
    if (seen === undefined) {
      seen = { ...NEVER };
      this.#byDevice.set(deviceId, seen);
    }
    if (seen.lastSeenMs === null || seen.lastSeenMs < atMs) seen.lastSeenMs = atMs;
    return seen;
  }
}
