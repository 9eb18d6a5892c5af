/** Times and numbers as people read them, by `Intl`: the viewer's zone, always named where a time of day stands alone. */

export interface Style {
  /** BCP 47 tag, or undefined for the browser's. */
  locale: string | undefined;
  /** IANA zone; undefined for the viewer's own. */
  timeZone?: string | undefined;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function format(style: Style, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = JSON.stringify([style.locale, style.timeZone, options]);
  let made = formats.get(key);
  if (made === undefined) {
    made = new Intl.DateTimeFormat(style.locale, { ...options, timeZone: style.timeZone });
    formats.set(key, made);
  }
  return made;
}

/** "14:05:09" */
export function clockTime(ms: number, style: Style): string {
  return format(style, {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
  }).format(ms);
}

/** "14:05" */
export function shortTime(ms: number, style: Style): string {
  return format(style, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(ms);
}

/** "24 Nov 2026, 14:05:09" */
export function dateTime(ms: number, style: Style): string {
  return format(style, {
    year: "numeric",
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
  }).format(ms);
}

/** "24 Nov" */
export function shortDate(ms: number, style: Style): string {
  return format(style, { month: "short", day: "numeric" }).format(ms);
}

/** The zone in force at that instant, by name: "Central European Summer Time" or "CEST"-like when short. */
export function zoneName(ms: number, style: Style, width: "short" | "long" = "short"): string {
  const parts = format(style, { hour: "2-digit", timeZoneName: width }).formatToParts(ms);
  return parts.find((part) => part.type === "timeZoneName")?.value ?? "UTC";
}

/** Time of day with its zone; where an hour happens twice (DST ends) the zone name tells which is meant. */
export function zonedTime(ms: number, style: Style): string {
  return `${clockTime(ms, style)} ${zoneName(ms, style)}`;
}

export interface Age {
  unit: "now" | "seconds" | "minutes" | "hours" | "days" | "future";
  count: number;
}

/** How long ago, in the largest unit that says at least one. Elapsed time: DST does not touch it. */
export function ageOf(timeMs: number, nowMs: number): Age {
  const seconds = Math.round((nowMs - timeMs) / 1000);
  if (seconds < -5) return { unit: "future", count: -seconds };
  if (seconds < 2) return { unit: "now", count: 0 };
  if (seconds < 60) return { unit: "seconds", count: seconds };
  if (seconds < 3600) return { unit: "minutes", count: Math.floor(seconds / 60) };
  if (seconds < 48 * 3600) return { unit: "hours", count: Math.floor(seconds / 3600) };
  return { unit: "days", count: Math.floor(seconds / 86_400) };
}

/** A number with exactly `digits` decimals, in the locale's writing. */
export function number(value: number, digits: number, style: Style): string {
  return new Intl.NumberFormat(style.locale, {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
    useGrouping: Math.abs(value) >= 10_000,
  }).format(value);
}

/** Tick times for an axis of the viewer's zone: on whole local hours or days, across DST changes.
 * @returns UTC ms, ascending, in [fromMs, toMs]. */
export function localTicks(fromMs: number, toMs: number, everyMs: number, style: Style): number[] {
  const ticks: number[] = [];
  let at = fromMs;
  // Bounded by the axis: at most one tick a step, and the offset is looked up at each.
  while (ticks.length < 200) {
    const local = at + offsetMs(at, style);
    let next = (Math.floor(local / everyMs) + 1) * everyMs - offsetMs(at, style);
    // The offset may have changed on the way: settle on the one in force at the tick. Steps of an hour
    // and less need no settling, and with it the hour that happens twice would lose a tick.
    if (everyMs > 3_600_000) next += offsetMs(at, style) - offsetMs(next, style);
    if (next <= at) next = at + everyMs;
    if (next > toMs) return ticks;
    ticks.push(next);
    at = next;
  }
  return ticks;
}

/** What stands at a tick: the time of day; where a day begins, and where the steps are days, the date. */
export function axisTime(ms: number, everyMs: number, style: Style): string {
  const isMidnight = (ms + offsetMs(ms, style)) % 86_400_000 === 0;
  return isMidnight || everyMs >= 86_400_000 ? shortDate(ms, style) : shortTime(ms, style);
}

/** Local time minus UTC at that instant, ms. */
export function offsetMs(ms: number, style: Style): number {
  const parts = format(
    { ...style, locale: "en-US" },
    {
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
      hourCycle: "h23",
    },
  ).formatToParts(ms);
  const part = (type: string) => Number(parts.find((p) => p.type === type)?.value);
  const local = Date.UTC(
    part("year"),
    part("month") - 1,
    part("day"),
    part("hour"),
    part("minute"),
    part("second"),
  );
  return local - Math.floor(ms / 1000) * 1000;
}
