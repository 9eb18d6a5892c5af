import assert from "node:assert/strict";
import { test } from "node:test";
import { type Metric, mdcCode, partition } from "../../../src/vitals/definition.ts";
import { heartRate } from "../../../src/vitals/heart-rate.ts";
import { freshness, staleAfterMs } from "./freshness.ts";
import { standing } from "./reference.ts";
import { pressureText, shown, valueText } from "./units.ts";

const metric = (id: string, unit: string, exponent: number): Metric => ({
  mdc: mdcCode(partition.private, 1),
  id,
  loinc: "0-0",
  display: id,
  unit,
  category: "vital-signs",
  kind: "numeric",
  exponent,
  plausible: { low: 0, high: 1000 },
  intervalMs: 60_000,
});
const metricUnits = { glucoseUnit: "mg/dL", temperatureUnit: "Cel", weightUnit: "kg" } as const;
const otherUnits = {
  glucoseUnit: "mmol/L",
  temperatureUnit: "[degF]",
  weightUnit: "[lb_av]",
} as const;
const english = { locale: "en-GB" };

test("values are written in the preferred unit, with the decimals people use for it", () => {
  const cases: [string, number, number, string, string][] = [
    ["Cel", 372, -1, "37.2 °C", "99.0 °F"],
    ["mg/dL", 180, 0, "180 mg/dL", "10.0 mmol/L"],
    ["mg/dL", 54, 0, "54 mg/dL", "3.0 mmol/L"],
    ["kg", 705, -1, "70.5 kg", "155.4 lb"],
    ["mm[Hg]", 120, 0, "120 mmHg", "120 mmHg"],
    ["%", 97, 0, "97 %", "97 %"],
  ];
  for (const [unit, mantissa, exponent, plain, other] of cases) {
    const m = metric("MDC_TEST", unit, exponent);
    const text = (units: typeof metricUnits | typeof otherUnits) =>
      `${valueText(m, mantissa, exponent, units, english)} ${shown(m, mantissa, exponent, units).unit}`;
    assert.equal(text(metricUnits), plain);
    assert.equal(text(otherUnits), other);
  }
});

test("a value of finer steps than the metric means is written in the metric's own", () => {
  const rate = metric("MDC_TEST", "/min", 0);
  assert.equal(valueText(rate, 1065, -1, metricUnits, english), "107");
  assert.equal(valueText(rate, 765, -1, metricUnits, english), "77");
});

test("each part of a blood pressure is written by its own exponent", () => {
  const pressure = metric("MDC_PRESS", "mm[Hg]", 0);
  const parts = [
    { mantissa: 850, exponent: -1 },
    { mantissa: 765, exponent: -1 },
  ];
  assert.equal(pressureText(pressure, parts, metricUnits, english), "85/77");
  const mixed = [
    { mantissa: 120, exponent: 0 },
    { mantissa: 765, exponent: -1 },
  ];
  assert.equal(pressureText(pressure, mixed, metricUnits, english), "120/77");
});

test("decimals are written as the locale writes them", () => {
  const temperature = metric("MDC_TEMP_BODY", "Cel", -1);
  assert.equal(valueText(temperature, 372, -1, metricUnits, { locale: "de-DE" }), "37,2");
});

test("a value is stale after twice its expected interval, and at once when the connection is lost", () => {
  const slow = metric("MDC_TEST", "Cel", 0);
  assert.equal(staleAfterMs(slow), 120_000);
  assert.equal(freshness(slow, 0, 120_000), "current");
  assert.equal(freshness(slow, 0, 120_001), "stale");
  assert.equal(freshness(slow, 0, 1, { isConnected: false }), "stale");
  assert.equal(freshness(slow, undefined, 0), "none");
  assert.ok(staleAfterMs(heartRate) <= 30_000);
  assert.equal(freshness(heartRate, 0, 60_000, { rowMs: 60_000 }), "current");
  assert.equal(freshness(heartRate, 0, 120_001, { rowMs: 60_000 }), "stale");
});

test("the reference range includes both its ends", () => {
  assert.equal(standing(heartRate, 51), "inside");
  assert.equal(standing(heartRate, 90), "inside");
  assert.equal(standing(heartRate, 91), "above");
  assert.equal(standing(heartRate, 50), "below");
  assert.equal(standing(metric("MDC_TEST", "1", 0), 5), "none");
});
