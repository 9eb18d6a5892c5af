/** Small sentences made of several facts; the same on every screen. */
import type { TFunction } from "i18next";
import { markFlags, qualityFlags } from "../../../src/vitals/quality.ts";
import type { WardDevice } from "../../../src/ward/schema.ts";
import { ageOf, dateTime, type Style, zonedTime, zoneName } from "../time/format.ts";

/** "12 s", "now". */
export function ageWords(t: TFunction, timeMs: number, nowMs: number): string {
  const age = ageOf(timeMs, nowMs);
  return t(`age.${age.unit}`, { count: age.count });
}

/** What is known against a reading, in words; empty when nothing is. */
export function knownAgainst(t: TFunction, quality: number, marks: number): string[] {
  return [
    ...qualityFlags(quality).map((flag) => t(`quality.${flag}`)),
    ...markFlags(marks).map((flag) => t(`mark.${flag}`)),
  ];
}

/** "connected", "not connected since 14:05:09 CET", "last seen 12 s ago", "suspended". */
export function deviceWords(t: TFunction, device: WardDevice, nowMs: number, style: Style): string {
  if (device.state !== "enrolled") return t(`device.state.${device.state}`);
  if (device.noConnectionSinceMs !== null) {
    return t("device.lost", { time: sinceWords(device.noConnectionSinceMs, nowMs, style) });
  }
  if (device.silentSinceMs !== null) {
    return t("device.silent", { time: sinceWords(device.silentSinceMs, nowMs, style) });
  }
  if (device.connectedSinceMs !== null) return t("device.connected");
  return device.lastSeenMs === null ? t("device.never") : seenWords(t, device.lastSeenMs, nowMs);
}

/** "12 s ago", "now". */
export function agoWords(t: TFunction, timeMs: number, nowMs: number): string {
  const age = ageWords(t, timeMs, nowMs);
  const { unit } = ageOf(timeMs, nowMs);
  return unit === "now" || unit === "future" ? age : t("age.ago", { age });
}

/** "last seen 12 s ago", "last seen now". */
export function seenWords(t: TFunction, timeMs: number, nowMs: number): string {
  return t("device.lastSeen", { ago: agoWords(t, timeMs, nowMs) });
}

/** A time of day; of another day with its date. */
export function sinceWords(timeMs: number, nowMs: number, style: Style): string {
  return nowMs - timeMs < 12 * 3_600_000
    ? zonedTime(timeMs, style)
    : `${dateTime(timeMs, style)} ${zoneName(timeMs, style)}`;
}

export function isDeviceWell(device: WardDevice): boolean {
  return (
    device.state === "enrolled" &&
    device.noConnectionSinceMs === null &&
    device.silentSinceMs === null &&
    (device.connectedSinceMs !== null || device.lastSeenMs !== null)
  );
}

/** "General ward, bed 5"; people at home have no bed. */
export function placeWords(t: TFunction, facts: { ward: string; bed: string }): string {
  return facts.bed === "" ? facts.ward : t("person.place", facts);
}
