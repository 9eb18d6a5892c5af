/** Token buckets: how much a device may send before anything expensive is done for it. */
import { limits } from "../limits.ts";

interface Bucket {
  envelopes: number;
  bytes: number;
  openings: number;
  atMs: number;
}

export interface DeviceRates {
  /** Takes from the device's buckets, or takes nothing.
   * @param nowMs monotonic, where the caller has just asked for it.
   * @returns false: not now. */
  allow(deviceId: string, envelopes: number, bytes: number, nowMs?: number): boolean;
  /** The same for one session opening. */
  allowOpening(deviceId: string): boolean;
}

const HOUR_MS = 3_600_000;

/** @param monotonicMs time that only grows: a jump of the wall clock gives and takes nothing. */
export function createDeviceRates(monotonicMs: () => number): DeviceRates {
  const buckets = new Map<string, Bucket>();

  const bucketOf = (deviceId: string, nowMs = monotonicMs()): Bucket => {
    let bucket = buckets.get(deviceId);
    if (bucket === undefined) {
      if (buckets.size >= limits.devicesMax) buckets.delete(buckets.keys().next().value as string);
      bucket = {
        envelopes: limits.deviceEnvelopesBurst,
        bytes: limits.deviceBytesBurst,
        openings: limits.deviceOpeningsPerHour,
        atMs: nowMs,
      };
      buckets.set(deviceId, bucket);
      return bucket;
    }
    const passedMs = nowMs - bucket.atMs;
    bucket.atMs = nowMs;
    bucket.envelopes = Math.min(
      limits.deviceEnvelopesBurst,
      bucket.envelopes + (passedMs * limits.deviceEnvelopesPerSecond) / 1_000,
    );
    bucket.bytes = Math.min(
      limits.deviceBytesBurst,
      bucket.bytes + (passedMs * limits.deviceBytesPerSecond) / 1_000,
    );
    bucket.openings = Math.min(
      limits.deviceOpeningsPerHour,
      bucket.openings + (passedMs * limits.deviceOpeningsPerHour) / HOUR_MS,
    );
    return bucket;
  };

  return {
    allow(deviceId, envelopes, bytes, nowMs) {
      const bucket = bucketOf(deviceId, nowMs);
      if (bucket.envelopes < envelopes || bucket.bytes < bytes) return false;
      bucket.envelopes -= envelopes;
      bucket.bytes -= bytes;
      return true;
    },
    allowOpening(deviceId) {
      const bucket = bucketOf(deviceId);
      if (bucket.openings < 1) return false;
      bucket.openings -= 1;
      return true;
    },
  };
}
