/** FHIR dates and dateTimes as the stretch of time they name (FHIR R4 §2.24.0.5, §3.1.1.4.7). */

export interface TimeStretch {
  readonly fromMs: number;
  /** Not included. */
  readonly toMs: number;
}

const DATE =
  /^(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2})(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})?)?)?)?$/;

/** "2026", "2026-11", "2026-11-23", "2026-11-23T10:00Z" …; a time without a zone is taken as UTC.
 * @returns undefined for what is not one. */
export function dateRange(text: string): TimeStretch | undefined {
  const match = DATE.exec(text.replace(/ (?=\d{2}:\d{2}$)/, "+")); // a "+" of a URL that was decoded
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction, zone] = match;
  const start = [year, month ?? "01", day ?? "01"].join("-");
  const time = `${hour ?? "00"}:${minute ?? "00"}:${second ?? "00"}${fraction?.slice(0, 4) ?? ""}`;
  const fromMs = Date.parse(`${start}T${time}${zone ?? "Z"}`);
  if (Number.isNaN(fromMs) || !isDay(Number(year), Number(month ?? 1), Number(day ?? 1)))
    return undefined;
  return { fromMs, toMs: fromMs + lengthMs() };

  function lengthMs(): number {
    if (fraction !== undefined) return Math.max(1, 10 ** (4 - Math.min(4, fraction.length)));
    if (second !== undefined) return 1000;
    if (hour !== undefined) return 60_000;
    if (day !== undefined) return 86_400_000;
    const [y, m] = [Number(year), Number(month ?? 1)];
    return (month === undefined ? Date.UTC(y + 1, 0, 1) : Date.UTC(y, m, 1)) - fromMs;
  }
}

function isDay(year: number, month: number, day: number): boolean {
  const date = new Date(Date.UTC(year, month - 1, day));
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
}
