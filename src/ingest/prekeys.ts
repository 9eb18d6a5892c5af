/**
 * One-time prekeys: a device that starts without a connection seals to one of these. Each belongs to
 * one device; its secret is in the keystore under kind "prekey" (`device(16) | expires(8) | secret`).
 * It is destroyed once the session it opened has its own keys there, or when it expires.
 *
 * Lost: what a device sealed to it can never be opened; it is sent, refused, and stays in the spool.
 */
import type { Clock } from "../clock.ts";
import { makePrekey, type PlatformIdentity } from "../envelope/opening.ts";
import { joinPayload } from "../envelope/payload.ts";
import { limits } from "../limits.ts";
import type { SecretStore } from "../vault/seal.ts";
import { uuidBytes, uuidText } from "./journal.ts";
import { Overdue } from "./overdue.ts";

const KIND = "prekey";
const DEVICE_BYTES = 16;
const HEAD_BYTES = DEVICE_BYTES + 8;

export class Prekeys {
  readonly #secrets: SecretStore;
  readonly #identity: PlatformIdentity;
  readonly #clock: Clock;
  /** Unused prekeys by device: id → when it expires. */
  readonly #unused = new Map<string, Map<string, number>>();
  readonly #expired = new Overdue<string>();

  constructor(o: { secrets: SecretStore; identity: PlatformIdentity; clock: Clock }) {
    this.#secrets = o.secrets;
    this.#identity = o.identity;
    this.#clock = o.clock;
    for (const id of o.secrets.ids(KIND)) {
      const stored = o.secrets.get(KIND, id);
      if (stored) this.#note(deviceOf(stored), id, expiryOf(stored));
    }
  }

  #note(deviceId: string, id: string, expiresMs: number): void {
    const ids = this.#unused.get(deviceId) ?? new Map<string, number>();
    ids.set(id, expiresMs);
    this.#unused.set(deviceId, ids);
  }

  /** The secret, if it was made for this device and is unused. */
  secretFor(deviceId: string, id: string): Uint8Array | undefined {
    if (!this.#unused.get(deviceId)?.has(id)) return undefined;
    return this.#secrets.get(KIND, id)?.slice(HEAD_BYTES);
  }

  /** Makes one hybrid and one classical prekey for the device that asks, unless very many are unused.
   * @returns a CBOR sequence of signed prekeys, perhaps empty; their secrets are durable. */
  handOut(deviceId: string): Promise<Uint8Array> {
    return this.#make(deviceId, limits.prekeysOnRequestMax);
  }

  /** As `handOut`, with an answer that the device may never read: only while few are unused, so that
   * lost ones do not keep it from those it asks for. */
  replenish(deviceId: string): Promise<Uint8Array> {
    return this.#make(deviceId, limits.prekeysPerDevice);
  }

  async #make(deviceId: string, most: number): Promise<Uint8Array> {
    const unused = this.#unused.get(deviceId)?.size ?? 0;
    if (unused + 2 > most) return new Uint8Array();
    const expiresMs = Math.floor(this.#clock.nowMs()) + limits.spoolHorizonMs;
    const made = (["hybrid", "classical"] as const).map((kem) =>
      makePrekey(this.#identity, { kem, expiresMs }, this.#clock),
    );
    await Promise.all(
      made.map(({ id, secret }) => {
        this.#note(deviceId, id, expiresMs);
        const head = Buffer.alloc(HEAD_BYTES);
        head.set(uuidBytes(deviceId));
        head.writeDoubleBE(expiresMs, DEVICE_BYTES);
        return this.#secrets.put(KIND, id, Buffer.concat([head, secret]));
      }),
    );
    return joinPayload(made.map(({ prekey }) => prekey));
  }

  /** Destroys a used prekey: the session it opened has its keys in the keystore by now. */
  async destroy(deviceId: string, id: string): Promise<void> {
    this.#unused.get(deviceId)?.delete(id);
    await this.#secrets.delete(KIND, id);
  }

  /** Destroys those past their time; data sealed in time had the spool's horizon to arrive. */
  async sweep(): Promise<void> {
    const nowMs = this.#clock.nowMs();
    const past = new Map<string, Map<string, number>>();
    for (const ids of this.#unused.values()) {
      for (const [id, expiresMs] of ids) {
        if (expiresMs + limits.spoolHorizonMs <= nowMs) past.set(id, ids);
      }
    }
    const gone = this.#expired.look(past.keys(), this.#clock.monotonicMs());
    for (const id of gone) past.get(id)?.delete(id);
    if (gone.length > 0) await this.#secrets.deleteMany(KIND, gone);
  }
}

function deviceOf(stored: Uint8Array): string {
  return uuidText(stored.subarray(0, DEVICE_BYTES));
}

function expiryOf(stored: Uint8Array): number {
  return Buffer.from(stored).readDoubleBE(DEVICE_BYTES);
}
