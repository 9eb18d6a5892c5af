/** Small sentences made of several facts; the same on every screen. */
import type { TFunction } from "i18next";
import { markFlags, qualityFlags } from "../../../src/vitals/quality.ts";
import type { WardDevice } from "../../../src/ward/schema.ts";
import { ageOf, type Style, zonedTime } from "../time/format.ts";

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

/** "connected", "no connection since 14:05:09 CET", "suspended". */
export function deviceWords(t: TFunction, device: WardDevice, style: Style): string {
  if (device.state !== "enrolled") return t(`device.state.${device.state}`);
  if (device.lastSeenMs === null) return t("device.never");
  if (device.noConnectionSinceMs !== null) {
    return t("device.lost", { time: zonedTime(device.noConnectionSinceMs, style) });
  }
  return t("device.connected");
}

export function isDeviceWell(device: WardDevice): boolean {
  return (
    device.state === "enrolled" && device.lastSeenMs !== null && device.noConnectionSinceMs === null
  );
}

/** "General ward, bed 5"; people at home have no bed. */
export function placeWords(t: TFunction, facts: { ward: string; bed: string }): string {
  return facts.bed === "" ? facts.ward : t("person.place", facts);
}
