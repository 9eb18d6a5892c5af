/**
 * The R4 vital-signs profiles (http://hl7.org/fhir/R4/observation-vitalsigns.html): an Observation
 * with one of their "magic" LOINC codes must conform, whatever profile it claims. The library leaves
 * fixed values unchecked, so they are checked here.
 */
import type { Coding, Observation, Quantity } from "@medplum/fhirtypes";
import { SYSTEM } from "./systems.ts";

/** LOINC code → the UCUM codes its value may have. */
const UNITS: Readonly<Record<string, readonly string[]>> = {
  "9279-1": ["/min"],
  "8867-4": ["/min"],
  "2708-6": ["%"],
  "59408-5": ["%"],
  "8310-5": ["Cel", "[degF]"],
  "8302-2": ["cm", "[in_i]"],
  "9843-4": ["cm", "[in_i]"],
  "29463-7": ["g", "kg", "[lb_av]"],
  "39156-5": ["kg/m2"],
  "85354-9": [],
  "85353-1": [],
};
const PANELS = new Set(["85354-9", "85353-1"]);
const PRESSURE_PARTS = ["8480-6", "8462-4"];

export interface ProfileFault {
  readonly expression: string;
  readonly text: string;
}

/** @returns what does not conform; empty for an Observation that is no vital sign. */
export function vitalSignFaults(observation: Observation): ProfileFault[] {
  const loinc = codesOf(observation.code?.coding, SYSTEM.loinc);
  const known = loinc.filter((code) => code in UNITS);
  if (known.length === 0) return [];
  const faults: ProfileFault[] = [];
  const fault = (expression: string, text: string) =>
    faults.push({ expression: `Observation.${expression}`, text });

  const categories = (observation.category ?? []).flatMap((one) => one.coding ?? []);
  if (!codesOf(categories, SYSTEM.observationCategory).includes("vital-signs")) {
    fault("category", "a vital sign has the category vital-signs of observation-category");
  }
  if (observation.subject === undefined) fault("subject", "a vital sign has a subject");
  checkEffective(observation, fault);
  if (loinc.includes("59408-5") && !loinc.includes("2708-6")) {
    fault("code", "oxygen saturation carries LOINC 2708-6 beside any other code");
  }
  if (!known.some((code) => PANELS.has(code))) checkValue(observation, known, fault);
  if (known.includes("85354-9")) checkPressure(observation, fault);
  return faults;
}

type Fault = (expression: string, text: string) => void;

function checkEffective(observation: Observation, fault: Fault): void {
  const when = observation.effectiveDateTime ?? observation.effectivePeriod;
  if (when === undefined)
    fault("effective[x]", "a vital sign has effectiveDateTime or effectivePeriod");
  // vs-1: at least to the day.
  else if (typeof when === "string" && when.length < 10) {
    fault("effectiveDateTime", "vs-1: a vital sign's time is given at least to the day");
  }
}

function checkValue(observation: Observation, known: readonly string[], fault: Fault): void {
  if (observation.valueQuantity === undefined) {
    if (observation.dataAbsentReason === undefined) {
      fault("value[x]", "vs-2: a vital sign has a value or a dataAbsentReason");
    }
    if (hasOtherValue(observation)) fault("value[x]", "the value of this vital sign is a Quantity");
    return;
  }
  const allowed = known.flatMap((code) => UNITS[code] ?? []);
  checkQuantity(observation.valueQuantity, allowed, "valueQuantity", fault);
}

function hasOtherValue(observation: Observation): boolean {
  return Object.keys(observation).some(
    (field) => field.startsWith("value") && field !== "valueQuantity",
  );
}

function checkQuantity(
  quantity: Quantity,
  allowed: readonly string[],
  place: string,
  fault: Fault,
): void {
  if (quantity.value === undefined) fault(`${place}.value`, "the quantity has a value");
  if (quantity.unit === undefined) fault(`${place}.unit`, "the quantity has a unit to show");
  if (quantity.system !== SYSTEM.ucum)
    fault(`${place}.system`, `the unit's system is ${SYSTEM.ucum}`);
  if (!allowed.includes(quantity.code ?? "")) {
    fault(`${place}.code`, `the unit's code is ${allowed.join(" or ")}`);
  }
}

/** Profile bp: a systolic and a diastolic component, each with a value in mm[Hg] or a reason why not. */
function checkPressure(observation: Observation, fault: Fault): void {
  if (observation.valueQuantity !== undefined || hasOtherValue(observation)) {
    fault("value[x]", "a blood-pressure panel has components and no value of its own");
  }
  for (const code of PRESSURE_PARTS) {
    const at = (observation.component ?? []).findIndex((one) =>
      codesOf(one.code?.coding, SYSTEM.loinc).includes(code),
    );
    const component = observation.component?.[at];
    if (component === undefined) {
      fault("component", `a blood-pressure panel has a component with LOINC ${code}`);
    } else if (component.valueQuantity !== undefined) {
      checkQuantity(component.valueQuantity, ["mm[Hg]"], `component[${at}].valueQuantity`, fault);
    } else if (component.dataAbsentReason === undefined) {
      fault(`component[${at}].value[x]`, "vs-3: a component has a value or a dataAbsentReason");
    }
  }
}

function codesOf(codings: readonly Coding[] | undefined, system: string): string[] {
  return (codings ?? []).filter((one) => one.system === system).flatMap((one) => one.code ?? []);
}
