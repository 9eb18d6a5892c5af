import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { metricById } from "../src/vitals/metric.ts";
import { readRecording } from "./recording.ts";
import { ASSIGNED_BEFORE_MS, DEVICES, WARD } from "./ward.ts";
import { FAST_NOTE, MINUTE_NOTE } from "./ward-device.ts";

const folder = new URL("./", import.meta.url);

test("every series of every recording belongs to exactly one device, and each device finds its own", () => {
  const wanted = DEVICES.flatMap(({ device }) =>
    device.metrics.map((metric) => `${device.recording} ${metric}`),
  );
  const there = readdirSync(new URL("recordings/", folder)).flatMap((file) => {
    const { name, points, waveforms } = readRecording(file.replace(/\.vwr$/, ""));
    return [...points, ...waveforms].map(({ metric }) => `${name} ${metric}`);
  });
  assert.deepEqual(wanted.toSorted(), there.toSorted());
  for (const { device } of DEVICES)
    for (const metric of device.metrics) assert.ok(metricById(metric), metric);
});

test("nobody wears another person's recording", () => {
  const wearers = new Map<string, Set<string>>();
  for (const { person, device } of DEVICES) {
    const recorded = device.recording.replace(/-(heart|hourly|weight|sleep)$/, "");
    wearers.set(recorded, (wearers.get(recorded) ?? new Set()).add(person.key));
  }
  for (const [recorded, people] of wearers) assert.equal(people.size, 1, recorded);
  assert.equal(wearers.size, WARD.length);
});

test("people, devices, names and beds are each there once", () => {
  const once = (all: string[]) => assert.equal(new Set(all).size, all.length);
  once(WARD.map((person) => person.key));
  once(WARD.map((person) => `${person.given} ${person.family}`));
  once(DEVICES.map(({ device }) => device.key));
  once(WARD.flatMap(({ place }) => (place.kind === "bed" ? [`${place.ward} ${place.bed}`] : [])));
});

/** Age and sex as the data sets give them (…_Fix.txt, .hea comments, Age and Gender columns). */
const recorded: Record<string, [number, "female" | "male"]> = {
  "bidmc-01": [88, "male"],
  "bidmc-05": [73, "female"],
  "bidmc-13": [71, "female"],
  "bidmc-25": [74, "female"],
  "bidmc-45": [52, "male"],
  "bidmc-49": [77, "male"],
  "bidmc-09": [64, "female"],
  "bidmc-21": [44, "female"],
  "bidmc-33": [76, "female"],
  "bidmc-41": [73, "female"],
  "mitdb-201": [68, "male"],
  "mitdb-207": [89, "female"],
  "mimic-s00001": [60, "female"],
  "challenge-p103073": [46, "female"],
  "challenge-p102173": [72, "male"],
  "challenge-p101956": [74, "male"],
  "challenge-p104738": [27, "male"],
  "challenge-p107865": [78, "male"],
};

test("birth date and sex agree with the recorded person at the end of 2026", () => {
  const at = Date.UTC(2026, 11, 31);
  for (const [key, [age, sex]] of Object.entries(recorded)) {
    const person = WARD.find((one) => one.key === key);
    assert.ok(person, key);
    const years = (at - Date.parse(person.birthDate)) / (365.2425 * 86_400_000);
    assert.equal(Math.floor(years), age, key);
    assert.equal(person.sex, sex, key);
  }
});

test("a device that plays faster than life or by the minute says so, and no other does", () => {
  for (const { device } of DEVICES) {
    const isByMinute = device.recording === "mimic-s00001";
    const note = device.pace === 60 ? FAST_NOTE : isByMinute ? MINUTE_NOTE : "";
    assert.equal(device.note, note, device.key);
  }
});

test("devices are assigned before their recorded past begins", () => {
  for (const { device } of DEVICES)
    assert.ok(readRecording(device.recording).loopMs < ASSIGNED_BEFORE_MS, device.key);
});

test("the demonstration uses the device SDK, the catalogue and Node, and no other part", () => {
  const files = readdirSync(folder).filter((file) => /^(?!.*\.test\.).*\.ts$/.test(file));
  assert.ok(files.length >= 4);
  for (const file of files) {
    const text = readFileSync(new URL(file, folder), "utf8");
    const from = [...text.matchAll(/(?:from|import)\s*\(?"([^"]+)"/g)].map(([, path]) => path);
    for (const path of from)
      assert.match(path as string, /^(node:|\.\/|\.\.\/src\/(device|vitals)\/)/, `${file} ${path}`);
  }
});
