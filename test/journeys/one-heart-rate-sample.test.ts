/** The story of ARCHITECTURE.md, "Life of a heart-rate sample", step by step and through public doors only. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import type { Bundle, Observation, OperationOutcome, Patient } from "@medplum/fhirtypes";
import { Device, type DeviceEvent, mqttTransport } from "../../src/device/index.ts";
import { metricById } from "../../src/vitals/metric.ts";
import { MAIN, startTestPlatform } from "../support/platform.ts";
import { enrolDevice, fillWard, getJson } from "./ward.ts";

const HEART_RATE = metricById("MDC_ECG_HEART_RATE")?.mdc ?? 0;
const run = promisify(execFile);

test("one heart-rate sample goes from skin to screen, and only to whom it may", async (t) => {
  const platform = await startTestPlatform(t);
  const ward = await fillWard(platform);
  const { identity, prekeys, deviceId } = await enrolDevice(platform, {
    patientId: ward.patientId,
    assignedFromMs: Date.now() - 60_000,
  });
  const folder = mkdtempSync(join(tmpdir(), "vitalward-journey-"));
  const events: DeviceEvent[] = [];
  const device = new Device({
    identity,
    folder,
    prekeys,
    transport: mqttTransport(identity, `mqtts://127.0.0.1:${platform.ports.mqtt}`),
    onEvent: (event) => events.push(event),
  });
  t.after(async () => {
    await device.close();
    rmSync(folder, { recursive: true, force: true });
  });
  device.start();
  const timeMs = Date.now() - 1000;

  await t.test(
    "the device measures 72 beats a minute, seals, sends, and frees on the receipt",
    async () => {
      await device.measure({
        points: [
          { mdc: HEART_RATE, exponent: 0, timesMs: [timeMs], mantissas: [72], quality: [0] },
        ],
        waveforms: [],
      });
      await until(() => events.some((event) => event.type === "receipt" && event.held === 0));
      assert.equal(device.status.refused, 0);
    },
  );

  let observation: Observation | undefined;
  await t.test("the doctor of the care team reads it as a FHIR Observation", async () => {
    const query = `patient=${ward.patientId}&code=http://loinc.org|8867-4`;
    const { status, body } = await getJson<Bundle<Observation>>(
      platform,
      `/fhir/R4/Observation?${query}`,
      ward.doctor.token,
    );
    assert.equal(status, 200, JSON.stringify(body));
    observation = body.entry?.[0]?.resource;
    assert.equal(body.entry?.length, 1);
    assert.equal(observation?.valueQuantity?.value, 72);
    assert.equal(observation?.valueQuantity?.code, "/min");
    assert.equal(observation?.effectiveDateTime, new Date(timeMs).toISOString());
    assert.equal(observation?.device?.reference, `Device/${deviceId}`);
    const again = await getJson<Observation>(
      platform,
      `/fhir/R4/Observation/${observation?.id}`,
      ward.nurse.token,
    );
    assert.deepEqual(again.body, observation);
  });

  await t.test(
    "whoever is not on the care team finds nothing, as if there were nothing",
    async () => {
      const asked = [
        `/fhir/R4/Observation?patient=${ward.patientId}`,
        `/fhir/R4/Observation?patient=${ward.patientId}&_summary=count`,
        `/fhir/R4/Observation/${observation?.id}`,
        `/fhir/R4/Patient/${ward.patientId}`,
        `/api/patients/${ward.patientId}/export`,
        `/fhir/R4/Device/${deviceId}`,
      ];
      for (const path of asked) {
        const { status } = await getJson(platform, path, ward.stranger.token);
        assert.equal(status, 404, path);
      }
      const unknown = await getJson<OperationOutcome>(
        platform,
        `/fhir/R4/Patient/${crypto.randomUUID()}`,
        ward.stranger.token,
      );
      const forbidden = await getJson<OperationOutcome>(
        platform,
        `/fhir/R4/Patient/${ward.patientId}`,
        ward.stranger.token,
      );
      assert.deepEqual(unknown, forbidden);
      assert.equal((await getJson(platform, asked[0] ?? "", "no-token")).status, 401);
      const list = await getJson<Bundle<Patient>>(
        platform,
        "/fhir/R4/Patient",
        ward.stranger.token,
      );
      assert.equal(list.body.total, 0);
    },
  );

  await t.test("export lists it with device, session and sequence number", async () => {
    const { stdout } = await run(
      process.execPath,
      [MAIN, "export", "--as", ward.doctor.id, "--patient", ward.patientId],
      { env: { ...process.env, VITALWARD_DATA: platform.dataDir } },
    );
    const rows = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.equal(rows.length, 1);
    const { device: from, value, unit, metric, sequence } = rows[0];
    assert.deepEqual([from, value, unit, metric], [deviceId, 72, "/min", "MDC_ECG_HEART_RATE"]);
    assert.equal(typeof sequence, "number");
  });

  await t.test(
    "it is still there, once, after the platform was killed and started again",
    async () => {
      await platform.kill();
      const again = await platform.restart();
      const { body } = await getJson<Bundle>(
        again,
        `/fhir/R4/Observation?patient=${ward.patientId}&_summary=count`,
        ward.doctor.token,
      );
      assert.equal(body.total, 1);
    },
  );
});

/** @throws Error when it does not come true within a generous bound. */
async function until(isTrue: () => boolean): Promise<void> {
  for (let waited = 0; waited < 30_000; waited += 50) {
    if (isTrue()) return;
    await sleep(50);
  }
  throw new Error("it did not come true in time");
}
