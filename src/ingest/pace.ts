/** How fast one device may send: two buckets, messages and bytes, before anything expensive is done. */
import { limits } from "../limits.ts";

interface Bucket {
  messages: number;
  bytes: number;
  atMs: number;
}

const devicesMax = limits.doorConnectionsMax * 2;

/** Refills with time; a device that overdraws waits until it is out of debt, so nothing is lost. */
export class DevicePace {
  readonly #nowMs: () => number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Takes one message of so many bytes. @returns milliseconds to wait before taking the next; 0: none. */
  waitMs(deviceId: string, bytes: number): number {
    const bucket = this.#refilled(deviceId);
    bucket.messages -= 1;
    bucket.bytes -= bytes;
    return debtOf(bucket);
  }

  /** The same without taking anything: how long the device is still in debt. */
  debtMs(deviceId: string): number {
    return debtOf(this.#refilled(deviceId));
  }

  #refilled(deviceId: string): Bucket {
    const nowMs = this.#nowMs();
    let bucket = this.#buckets.get(deviceId);
    if (!bucket) {
      if (this.#buckets.size >= devicesMax) this.#forgetOldest();
      bucket = {
        messages: limits.deviceEnvelopesBurst,
        bytes: limits.deviceBytesBurst,
        atMs: nowMs,
      };
      this.#buckets.set(deviceId, bucket);
      return bucket;
    }
    const seconds = Math.max(0, nowMs - bucket.atMs) / 1000;
    const { deviceEnvelopesPerSecond: perSecond, deviceBytesPerSecond: bytesPerSecond } = limits;
    bucket.messages = Math.min(limits.deviceEnvelopesBurst, bucket.messages + seconds * perSecond);
    bucket.bytes = Math.min(limits.deviceBytesBurst, bucket.bytes + seconds * bytesPerSecond);
    bucket.atMs = nowMs;
    return bucket;
  }

  #forgetOldest(): void {
    const oldest = this.#buckets.keys().next();
    if (!oldest.done) this.#buckets.delete(oldest.value);
  }
}

function debtOf(bucket: Bucket): number {
  const debt = Math.min(
    bucket.messages / limits.deviceEnvelopesPerSecond,
    bucket.bytes / limits.deviceBytesPerSecond,
  );
  return debt < 0 ? Math.ceil(-debt * 1000) : 0;
}
