/**
 * The catalogue of what can be measured, looked up by MDC code. How to add a metric: README.md.
 * Nothing in this folder does I/O.
 */
import { activityIntensity, energy, steps } from "./activity.ts";
import * as pressure from "./blood-pressure.ts";
import type { Metric } from "./definition.ts";
import { ecgLeads, normalisedEcgLeads } from "./ecg.ts";
import { carbonDioxide, particles, roomHumidity, roomTemperature } from "./environment.ts";
import { capillaryGlucose, interstitialGlucose } from "./glucose.ts";
import { heartRate } from "./heart-rate.ts";
import { medicationEvent } from "./medication.ts";
import { oxygenSaturation } from "./oxygen-saturation.ts";
import { pulseRate, wearableHeartRate } from "./pulse-rate.ts";
import { respirationRate, respirationRateImpedance } from "./respiration-rate.ts";
import { sleepDuration, sleepStage } from "./sleep.ts";
import { bodyTemperature } from "./temperature.ts";
import {
  arterialPressure,
  normalisedRespiration,
  plethysmogram,
  respirationImpedance,
} from "./waveforms.ts";
import { bodyWeight } from "./weight.ts";

export type { Category, Metric, State } from "./definition.ts";

/** Every metric, in the order people expect to read them. */
export const METRICS: readonly Metric[] = [
  heartRate,
  pulseRate,
  wearableHeartRate,
  oxygenSaturation,
  respirationRate,
  respirationRateImpedance,
  pressure.cuffSystolic,
  pressure.cuffDiastolic,
  pressure.cuffMean,
  pressure.arterialSystolic,
  pressure.arterialDiastolic,
  pressure.arterialMean,
  bodyTemperature,
  interstitialGlucose,
  capillaryGlucose,
  bodyWeight,
  ...ecgLeads,
  ...normalisedEcgLeads,
  plethysmogram,
  arterialPressure,
  respirationImpedance,
  normalisedRespiration,
  steps,
  energy,
  activityIntensity,
  sleepDuration,
  sleepStage,
  medicationEvent,
  roomTemperature,
  roomHumidity,
  carbonDioxide,
  particles,
];

const byMdc = new Map(METRICS.map((metric) => [metric.mdc, metric]));
const byId = new Map(METRICS.map((metric) => [metric.id, metric]));

/** The metric of a 32-bit MDC code, or undefined where the catalogue has none. */
export function metricByMdc(mdc: number): Metric | undefined {
  return byMdc.get(mdc);
}

/** The metric of a reference identifier such as `MDC_ECG_HEART_RATE`. */
export function metricById(id: string): Metric | undefined {
  return byId.get(id);
}

/** Whether `mantissa × 10^exponent` lies within what the metric can be, both ends included. */
export function isPlausible(metric: Metric, mantissa: number, exponent: number): boolean {
  // Dividing by a whole power of ten rounds once; multiplying by its inverse would round twice.
  const value = exponent < 0 ? mantissa / 10 ** -exponent : mantissa * 10 ** exponent;
  return value >= metric.plausible.low && value <= metric.plausible.high;
}
