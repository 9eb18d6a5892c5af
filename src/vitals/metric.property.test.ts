import assert from "node:assert/strict";
import { test } from "node:test";
// @ts-expect-error the package ships no types
import ucum from "@lhncbc/ucum-lhc";
import fc from "fast-check";
import { partition } from "./definition.ts";
import { isPlausible, METRICS, metricById, metricByMdc } from "./metric.ts";

test("every metric is found by its MDC code and by its id, and no two share either", () => {
  assert.equal(new Set(METRICS.map((m) => m.mdc)).size, METRICS.length);
  assert.equal(new Set(METRICS.map((m) => m.id)).size, METRICS.length);
  for (const metric of METRICS) {
    assert.equal(metricByMdc(metric.mdc), metric);
    assert.equal(metricById(metric.id), metric);
  }
});

test("a code the catalogue does not hold finds nothing", () => {
  const known = new Set(METRICS.map((m) => m.mdc));
  fc.assert(
    fc.property(fc.nat(0x7fffffff), (mdc) => known.has(mdc) || metricByMdc(mdc) === undefined),
  );
});

test("a private code says so in its id, and a standard code never does", () => {
  for (const { mdc, id } of METRICS) {
    assert.equal(Math.floor(mdc / 0x10000) === partition.private, id.startsWith("VITALWARD_"), id);
    assert.ok(mdc > 0 && mdc < 2 ** 31);
  }
});

test("every unit is valid UCUM", () => {
  const units = ucum.UcumLhcUtils.getInstance();
  for (const { id, unit } of METRICS)
    assert.equal(units.validateUnitString(unit).status, "valid", `${id} ${unit}`);
  assert.notEqual(
    units.validateUnitString("mmHg").status,
    "valid",
    "the check must be able to fail",
  );
});

test("every LOINC code carries its own check digit", () => {
  const codes = METRICS.flatMap((m) => [m.loinc, ...(m.loincAlso ?? [])]);
  for (const code of codes) assert.equal(checkDigit(code.slice(0, -2)), Number(code.at(-1)), code);
});

test("the plausible range is a range that the exponent can express, and bounds are inside it", () => {
  for (const metric of METRICS) {
    const { low, high } = metric.plausible;
    assert.ok(low < high, metric.id);
    assert.ok(Number.isInteger(metric.exponent) && metric.exponent <= 0 && metric.exponent >= -9);
    for (const end of [low, high]) {
      const mantissa = Math.round(end * 10 ** -metric.exponent);
      assert.ok(Math.abs(mantissa) < 2 ** 31, `${metric.id} ${end}`);
      assert.ok(isPlausible(metric, mantissa, metric.exponent), `${metric.id} ${end}`);
    }
    assert.ok(!isPlausible(metric, Math.ceil(high) + 1, 0), metric.id);
    assert.ok(!isPlausible(metric, Math.floor(low) - 1, 0), metric.id);
  }
});

test("waveforms have a rate, events have states for every plausible value, numerics have neither", () => {
  for (const { id, kind, samplesPerSecond, states, plausible, exponent } of METRICS) {
    assert.equal(samplesPerSecond !== undefined, kind === "waveform", id);
    assert.equal(states !== undefined, kind === "event", id);
    if (!states) continue;
    assert.equal(exponent, 0);
    const values = Object.keys(states).map(Number);
    assert.deepEqual(
      values,
      [...values.keys()].map((n) => n + plausible.low),
    );
    assert.equal(values.at(-1), plausible.high, id);
  }
});

test("only vital signs and their kin share a LOINC code; waveform codes are marked as broader", () => {
  for (const metric of METRICS)
    if (metric.kind === "waveform") assert.equal(metric.loincBroader, true, metric.id);
  const exact = METRICS.filter((m) => !m.loincBroader);
  const shared = Object.groupBy(exact, (m) => m.loinc);
  for (const [loinc, same] of Object.entries(shared))
    assert.equal(new Set(same?.map((m) => `${m.unit} ${m.category}`)).size, 1, loinc);
});

/** LOINC's check digit is Luhn's (mod 10) over the number before the hyphen. */
function checkDigit(digits: string): number {
  let sum = 0;
  [...digits].reverse().forEach((digit, place) => {
    const doubled = Number(digit) * (place % 2 === 0 ? 2 : 1);
    sum += doubled > 9 ? doubled - 9 : doubled;
  });
  return (10 - (sum % 10)) % 10;
}
