/** What operators read: structured lines on standard error, and counters. Never a name, an identifier of a patient, or a value. */
import { pino } from "pino";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

export const diagnostics = pino(
  { name: "vitalward", level: process.env.VITALWARD_LOG_LEVEL ?? "info", base: null },
  pino.destination({ dest: 2, sync: true }),
);

export const metrics = new Registry();
collectDefaultMetrics({ register: metrics });

export function counter<L extends string>(
  name: string,
  help: string,
  labelNames: readonly L[] = [],
) {
  return new Counter<L>({ name, help, labelNames: [...labelNames], registers: [metrics] });
}
export function gauge<L extends string>(name: string, help: string, labelNames: readonly L[] = []) {
  return new Gauge<L>({ name, help, labelNames: [...labelNames], registers: [metrics] });
}
export function histogram<L extends string>(
  name: string,
  help: string,
  buckets: number[],
  labelNames: readonly L[] = [],
) {
  return new Histogram<L>({
    name,
    help,
    buckets,
    labelNames: [...labelNames],
    registers: [metrics],
  });
}
