/** The FHIR R4 door, end to end: real devices send, real tokens read, search and write. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type {
  Bundle,
  CapabilityStatement,
  Device as FhirDevice,
  Observation,
  OperationOutcome,
  Patient,
} from "@medplum/fhirtypes";
import { Device, mqttTransport } from "../../src/device/index.ts";
import { validateObservation } from "../../src/fhir/validate.ts";
import { metricById } from "../../src/vitals/metric.ts";
import { enrolDevice, fillWard, getJson, registerPatient, type Ward } from "../journeys/ward.ts";
import { type RunningPlatform, startTestPlatform } from "../support/platform.ts";

const mdc = (id: string) => metricById(id)?.mdc ?? 0;
const ENDINGS: (() => unknown)[] = [];
/** On a whole minute, so that a waveform of 70 s is two Observations. */
const START = Math.floor((Date.now() - 3_600_000) / 60_000) * 60_000;
const BEATS = 120;

let platform: RunningPlatform;
let ward: Ward;
let deviceId: string;

async function ask<T>(path: string, token = ward.doctor.token) {
  return getJson<T>(platform, `/fhir/R4/${path}`, token);
}

async function post<T>(path: string, body: unknown, o: { token?: string; raw?: string } = {}) {
  const response = await fetch(`${platform.url}/fhir/R4${path}`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${o.token ?? ward.doctor.token}`,
      "content-type": "application/fhir+json",
    },
    body: o.raw ?? JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: JSON.parse(text) as T };
}

/** Follows next links to the end. */
async function allPages(query: string): Promise<Observation[]> {
  const found: Observation[] = [];
  let url: string | undefined = `${platform.url}/fhir/R4/Observation?${query}`;
  for (let pages = 0; url !== undefined; pages++) {
    assert.ok(pages < 100, "pages without end");
    const response = await fetch(url, {
      headers: { authorization: `Bearer ${ward.doctor.token}` },
    });
    assert.equal(response.status, 200);
    const bundle = (await response.json()) as Bundle<Observation>;
    found.push(...(bundle.entry ?? []).map((entry) => entry.resource as Observation));
    url = bundle.link?.find((link) => link.relation === "next")?.url;
  }
  return found;
}

function example(name: string): Observation {
  const file = new URL(`../vectors/fhir-r4/Observation-${name}.json`, import.meta.url);
  const {
    id: _,
    text: __,
    basedOn: ___,
    performer: ____,
    ...rest
  } = JSON.parse(readFileSync(file, "utf8"));
  return { ...rest, subject: { reference: `Patient/${ward.patientId}` } };
}

before(async () => {
  platform = await startTestPlatform({ after: (fn: () => unknown) => ENDINGS.push(fn) });
  ward = await fillWard(platform);
  const enrolled = await enrolDevice(platform, {
    patientId: ward.patientId,
    assignedFromMs: START - 60_000,
  });
  deviceId = enrolled.deviceId;
  const folder = mkdtempSync(join(tmpdir(), "vitalward-fhir-"));
  const device = new Device({
    ...enrolled,
    folder,
    transport: mqttTransport(enrolled.identity, `mqtts://127.0.0.1:${platform.ports.mqtt}`),
  });
  device.start();
  const column = (id: string, times: number[], mantissas: number[]) => ({
    mdc: mdc(id),
    exponent: 0,
    timesMs: times,
    mantissas,
    quality: times.map(() => 0),
  });
  const seconds = Array.from({ length: BEATS }, (_, at) => START + at * 1000);
  await device.measure({
    points: [
      column(
        "MDC_ECG_HEART_RATE",
        seconds,
        seconds.map((_, at) => 60 + (at % 20)),
      ),
      column(
        "MDC_PULS_OXIM_SAT_O2",
        seconds,
        seconds.map(() => 97),
      ),
      column("MDC_PRESS_BLD_NONINV_SYS", [START, START + 1000], [120, 121]),
      column("MDC_PRESS_BLD_NONINV_DIA", [START, START + 1000], [80, 81]),
      column("MDC_PRESS_BLD_NONINV_MEAN", [START, START + 2000], [93, 94]),
    ],
    waveforms: Array.from({ length: 70 }, (_, at) => ({
      mdc: mdc("MDC_PULS_OXIM_PLETH"),
      startMs: START + at * 1000,
      rate: { numerator: 125, denominator: 1 },
      exponent: -5,
      values: Int32Array.from({ length: 125 }, (_, n) => 50_000 + n),
      quality: 0,
    })),
  });
  for (let waited = 0; device.status.held > 0 && waited < 20_000; waited += 20) await sleep(20);
  assert.equal(device.status.held, 0);
  await device.close();
  rmSync(folder, { recursive: true, force: true });
});

after(async () => {
  for (const end of ENDINGS) await end();
});

describe("reading and searching", () => {
  const of = (rest: string) => `patient=${ward.patientId}&${rest}`;

  test("the CapabilityStatement needs no sign-in, and everything else does", async () => {
    const response = await fetch(`${platform.url}/fhir/R4/metadata`);
    const statement = (await response.json()) as CapabilityStatement;
    assert.equal(response.status, 200);
    assert.equal(statement.fhirVersion, "4.0.1");
    for (const path of ["Patient", "Observation?patient=x", "Device/x", "Patient/x"]) {
      const refused = await fetch(`${platform.url}/fhir/R4/${path}`);
      const outcome = (await refused.json()) as OperationOutcome;
      assert.equal(refused.status, 401, path);
      assert.equal(outcome.issue?.[0]?.code, "login");
    }
  });

  test("pages hold everything once, in order, in both directions", async () => {
    for (const [sort, sign] of [
      ["date", 1],
      ["-date", -1],
    ] as const) {
      const found = await allPages(of(`_sort=${sort}&_count=37`));
      // 120 beats, 120 saturations, 2 panels, 1 lone mean, 2 minutes of waveform.
      assert.equal(found.length, 2 * BEATS + 2 + 1 + 2);
      assert.equal(new Set(found.map((one) => one.id)).size, found.length);
      const times = found.map((one) =>
        Date.parse(one.effectiveDateTime ?? one.effectivePeriod?.start ?? ""),
      );
      assert.deepEqual(
        times,
        times.toSorted((a, b) => sign * (a - b)),
      );
      for (const one of found) validateObservation(one);
    }
  });

  test("a count is what the pages hold", async () => {
    for (const query of [
      "",
      "code=http://loinc.org|8867-4",
      "code=85354-9",
      "code=8478-0",
      "combo-code=8480-6",
      "category=vital-signs",
      "category=procedure",
      `date=ge${new Date(START + 10_000).toISOString()}&date=lt${new Date(START + 20_000).toISOString()}`,
      "code=unknown",
    ]) {
      const { body } = await ask<Bundle>(`Observation?${of(query)}&_summary=count`);
      const pages = await allPages(of(`${query}&_count=50`));
      assert.equal(body.total, pages.length, query);
      assert.equal(body.entry, undefined);
    }
  });

  test("a time bounds what is found, to the sample", async () => {
    const from = new Date(START + 10_000).toISOString();
    const to = new Date(START + 20_000).toISOString();
    const found = await allPages(of(`code=8867-4&date=ge${from}&date=lt${to}&_sort=date`));
    assert.equal(found.length, 10);
    assert.equal(found[0]?.effectiveDateTime, from);
    assert.equal(found[0]?.valueQuantity?.value, 70);
  });

  test("every Observation found is read by its id, and a changed id is not found", async () => {
    const found = await allPages(of("_count=100"));
    for (const one of [
      found[0],
      found.at(-1),
      found.find((x) => x.component),
      found.find((x) => x.valueSampledData),
    ]) {
      const { status, body } = await ask<Observation>(`Observation/${one?.id}`);
      assert.equal(status, 200);
      assert.deepEqual(body, one);
      const changed = `${one?.id?.slice(0, -1)}${one?.id?.endsWith("A") ? "B" : "A"}`;
      assert.equal((await ask(`Observation/${changed}`)).status, 404);
    }
  });

  test("a waveform leaves as SampledData with every value that was sent", async () => {
    const runs = await allPages(of("category=procedure&_sort=date"));
    assert.deepEqual(
      runs.map((run) => run.valueSampledData?.data?.split(" ").length),
      [7500, 1250],
    );
    assert.equal(runs[0]?.valueSampledData?.factor, 0.00001);
    assert.ok(runs[0]?.valueSampledData?.data?.startsWith("50000 50001 "));
  });

  test("what a search does not understand is refused with what it takes", async () => {
    for (const [query, word] of [
      [of("value-quantity=7"), "Observation takes patient"],
      [of("_sort=code"), "_sort"],
      ["code=8867-4", "patient"],
      [of("date=yesterday"), "query"],
    ] as const) {
      const { status, body } = await ask<OperationOutcome>(`Observation?${query}`);
      assert.equal(status, 400, query);
      assert.ok(body.issue?.[0]?.diagnostics?.includes(word), JSON.stringify(body));
    }
  });

  test("patients are found by identifier, name and birth date, among one's own", async () => {
    const system = "https://hospital.example/mrn";
    const patientId = await registerPatient(platform, ward.doctor.token, {
      identifier: [{ system, value: "MRN-77" }],
      name: [{ family: "Müller-Öztürk", given: ["Zoë"] }],
      birthDate: "1961-02-03",
    });
    for (const query of [
      `identifier=${encodeURIComponent(`${system}|MRN-77`)}`,
      "family=muller",
      "birthdate=1961-02-03",
    ]) {
      const { body } = await ask<Bundle<Patient>>(`Patient?${query}`);
      assert.deepEqual(
        body.entry?.map((entry) => entry.resource?.id),
        [patientId],
        query,
      );
      const other = await ask<Bundle<Patient>>(`Patient?${query}`, ward.nurse.token);
      assert.equal(other.body.total, 0, "the nurse is not on that care team");
    }
    const none = await ask<Bundle<Patient>>("Patient?birthdate=1961-02-04");
    assert.equal(none.body.total, 0);
  });

  test("a device is shown with its patient to the care team only", async () => {
    const { body } = await ask<FhirDevice>(`Device/${deviceId}`);
    assert.equal(body.patient?.reference, `Patient/${ward.patientId}`);
    const listed = await ask<Bundle<FhirDevice>>(`Device?patient=${ward.patientId}`);
    assert.deepEqual(
      listed.body.entry?.map((entry) => entry.resource?.id),
      [deviceId],
    );
    assert.equal((await ask(`Device/${deviceId}`, ward.stranger.token)).status, 404);
    assert.equal((await ask(`Device/${deviceId}/_history`, ward.stranger.token)).status, 404);
  });

  test("each change of a device is a version of its record, found by its identifier", async () => {
    const { body } = await ask<Bundle<FhirDevice>>(`Device/${deviceId}/_history`);
    assert.deepEqual(
      body.entry?.map((entry) => [entry.resource?.meta?.versionId, entry.resource?.status]),
      [
        ["2", "active"],
        ["1", "inactive"],
      ],
    );
    const identifier = encodeURIComponent(`https://vitalward.example/device|${deviceId}`);
    const found = await ask<Bundle<FhirDevice>>(`Device?identifier=${identifier}`);
    assert.equal(found.body.entry?.[0]?.resource?.meta?.versionId, "2");
    const others = await ask<Bundle>(`Device?identifier=${identifier}`, ward.stranger.token);
    assert.equal(others.body.total, 0);
  });
});

describe("writing", () => {
  test("what is written comes back as written, marked of unverified origin", async () => {
    const claimed = {
      ...example("heart-rate"),
      meta: {
        tag: [
          { system: "https://vitalward.example/fhir/CodeSystem/origin", code: "device-sealed" },
        ],
      },
    };
    const { status, headers, body } = await post<Observation>("/Observation", claimed);
    assert.equal(status, 201, JSON.stringify(body));
    assert.deepEqual(
      body.meta?.tag?.map((tag) => tag.code),
      ["unverified-origin"],
    );
    assert.equal(headers.get("etag"), 'W/"1"');
    assert.ok(headers.get("location")?.endsWith(`/Observation/${body.id}/_history/1`));
    for (const path of [`Observation/${body.id}`, `Observation/${body.id}/_history/1`]) {
      const read = await ask<Observation>(path, ward.nurse.token);
      assert.deepEqual(read.body, body);
    }
    assert.equal((await ask(`Observation/${body.id}/_history/2`)).status, 404);
    assert.equal((await ask(`Observation/${body.id}`, ward.stranger.token)).status, 404);
    const found = await allPages(`patient=${ward.patientId}&code=8867-4&date=1999-07-02`);
    assert.deepEqual(found, [body]);
  });

  test("for a stranger's patient nothing is written, and nothing shows that there is one", async () => {
    const { status } = await post("/Observation", example("heart-rate"), {
      token: ward.stranger.token,
    });
    assert.equal(status, 404);
  });

  test("a batch stores what is right, and says of each other entry what is wrong", async () => {
    const entry = (resource: unknown, request: object = {}) => ({
      resource,
      request: { method: "POST", url: "Observation", ...request },
    });
    const wrongUnit = example("heart-rate");
    wrongUnit.valueQuantity = { ...wrongUnit.valueQuantity, code: "bpm" };
    const { status, body } = await post<Bundle>("/", {
      resourceType: "Bundle",
      type: "batch",
      entry: [
        entry(example("body-temperature")),
        entry(wrongUnit),
        entry({
          ...example("heart-rate"),
          subject: { reference: `Patient/${crypto.randomUUID()}` },
        }),
        entry(example("respiratory-rate"), { method: "PUT" }),
        entry(example("respiratory-rate"), { ifNoneExist: "identifier=x" }),
        entry(example("satO2")),
      ],
    });
    assert.equal(status, 200);
    assert.deepEqual(
      body.entry?.map((one) => one.response?.status),
      ["201", "422", "404", "422", "400", "201"],
    );
    const outcome = body.entry?.[1]?.response?.outcome as OperationOutcome;
    assert.deepEqual(outcome.issue?.[0]?.expression, ["Observation.valueQuantity.code"]);
    const id = /Observation\/([^/]+)\//.exec(body.entry?.[0]?.response?.location ?? "")?.[1];
    assert.equal((await ask(`Observation/${id}`)).status, 200);
  });

  test("what is no resource is refused in FHIR's words and changes nothing", async () => {
    const query = `Observation?patient=${ward.patientId}&_summary=count`;
    const beforehand = (await ask<Bundle>(query)).body.total;
    const refusals: [string, unknown, string | undefined, number][] = [
      ["/Observation", undefined, "{not json", 400],
      ["/Observation", { resourceType: "Patient" }, undefined, 422],
      ["/Observation", { ...example("heart-rate"), status: "bogus" }, undefined, 422],
      ["/", { resourceType: "Bundle", type: "transaction" }, undefined, 422],
      [
        "/",
        { resourceType: "Bundle", type: "batch", entry: new Array(1001).fill({}) },
        undefined,
        422,
      ],
      ["/Patient", { resourceType: "Patient", gender: "robot" }, undefined, 422],
    ];
    for (const [path, body, raw, expected] of refusals) {
      const answer = await post<OperationOutcome>(path, body, raw === undefined ? {} : { raw });
      assert.equal(answer.status, expected, JSON.stringify(answer.body));
      assert.equal(answer.body.resourceType, "OperationOutcome");
    }
    const conditional = await fetch(`${platform.url}/fhir/R4/Observation`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${ward.doctor.token}`,
        "content-type": "application/fhir+json",
        "if-none-exist": "identifier=x",
      },
      body: JSON.stringify(example("heart-rate")),
    });
    assert.equal(conditional.status, 400);
    assert.equal((await ask<Bundle>(query)).body.total, beforehand);
  });
});
