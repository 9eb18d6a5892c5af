/**
 * How metrics stand together on the screen: what a clinician compares is one column, whichever sensor measured
 * it. MDC stays the key; a column only lists which metrics it shows, best source first.
 */
import { type Metric, metricById } from "../../../src/vitals/metric.ts";

export type ColumnId = "hr" | "spo2" | "rr" | "bp" | "temp" | "glucose" | "activity" | "other";

export interface Column {
  id: ColumnId;
  /** Reference identifiers, the one to show first when several are current. */
  metrics: readonly string[];
}

export const COLUMNS: readonly Column[] = [
  { id: "hr", metrics: ["MDC_ECG_HEART_RATE", "MDC_PULS_OXIM_PULS_RATE", "MDC_HF_HR"] },
  { id: "spo2", metrics: ["MDC_PULS_OXIM_SAT_O2"] },
  { id: "rr", metrics: ["MDC_RESP_RATE", "MDC_TTHOR_RESP_RATE"] },
  { id: "bp", metrics: ["MDC_PRESS_BLD_ART_ABP_SYS", "MDC_PRESS_BLD_NONINV_SYS"] },
  { id: "temp", metrics: ["MDC_TEMP_BODY"] },
  { id: "glucose", metrics: ["MDC_CONC_GLU_ISF", "MDC_CONC_GLU_CAPILLARY_WHOLEBLOOD"] },
  {
    id: "activity",
    metrics: ["MDC_HF_DISTANCE", "MDC_HF_ACTIVITY_INTENSITY", "VITALWARD_SLEEP_STAGE"],
  },
];

/** On the board what few people have measured shares one column: room for what everybody has. */
export const BOARD_COLUMNS: readonly Column[] = [
  ...COLUMNS.filter((column) => column.id !== "glucose" && column.id !== "activity"),
  {
    id: "other",
    metrics: COLUMNS.flatMap(({ id, metrics }) =>
      id === "glucose" || id === "activity" ? metrics : [],
    ),
  },
];

/** The column that a metric has for itself. */
export function columnOf(metric: Metric): Column | undefined {
  return COLUMNS.find((column) => column.metrics.includes(metric.id));
}

/** The catalogue's metrics of a column, in its order. */
export function metricsOf(column: Column): Metric[] {
  return column.metrics.flatMap((id) => metricById(id) ?? []);
}

/** Diastolic and mean that belong to a systolic: same site, by the reference identifier's stem. */
export function pressurePartners(systolic: Metric): { diastolic?: Metric; mean?: Metric } {
  const diastolic = metricById(systolic.id.replace(/_SYS$/, "_DIA"));
  const mean = metricById(systolic.id.replace(/_SYS$/, "_MEAN"));
  return { ...(diastolic && { diastolic }), ...(mean && { mean }) };
}

/** True for a metric drawn as part of a systolic reading. */
export function isPressurePart(metric: Metric): boolean {
  return (
    /_PRESS_.*_(DIA|MEAN)$/.test(metric.id) &&
    metricById(metric.id.replace(/_(DIA|MEAN)$/, "_SYS")) !== undefined
  );
}
