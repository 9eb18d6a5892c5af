/**
 * The canary scan: unmistakable names, identifiers, values and secrets go in through every door; then
 * nothing of them may be readable in whatever lies on the disk or leaves for operators. The scanner
 * first proves, on a plaintext database, dump, file and frame, that it would find every one.
 * The try-out's passphrase lies beside its data by design (SECURITY.md); here it lies elsewhere.
 * Past 400 lines because what goes in and where it is looked for must be compared in one place.
 */
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { askOperator } from "../../src/cli/operator-client.ts";
import { systemClock } from "../../src/clock.ts";
import { Device, enrol, mqttTransport } from "../../src/device/index.ts";
import { openDatabase, withClient } from "../../src/postgres/database.ts";
import { attachServer } from "../../src/postgres/server.ts";
import { metricById } from "../../src/vitals/metric.ts";
import { hire, type Person, registerPatient } from "../journeys/ward.ts";
import { isAlive, type RunningPlatform, startTestPlatform } from "../support/platform.ts";
import { decimal, type Form, Scanner, textForms, valueForms } from "./scan.ts";

const HEART_RATE = metricById("MDC_ECG_HEART_RATE")?.mdc ?? 0;
const ECG = metricById("MDC_ECG_ELEC_POTL_II")?.mdc ?? 0;
const GLUCOSE = { system: "http://loinc.org", code: "15074-8", display: "Glucose" };

const words = {
  family: "Qvexalindorf",
  given: "Zorbatrixia",
  identifier: "MRN-7719-QXZJ-4402",
  bed: "Bay-Wyvernquist-31",
  phone: "+44 7700 931 7726",
  street: "58 Jabberfjord Crescent",
  birthDate: "1913-02-17",
  staff: "Dr Ophelwyn Karstbjorg",
  deviceLabel: "Monitor-Xylquandary-9",
  deviceNote: "on loan from Frizzleworth",
  observationNote: "wept about Mvumbokasie",
  observationText: "Plenqworthy syndrome",
  patientInUrl: "Tzquarrelsome",
};

/** Sixteen values that nobody measures, none near another; mantissa × 10^-6 and × 10^-3. */
const pointMantissas = [
  73192048, 211847391, 95830247, 187264019, 64930187, 240118573, 118273946, 99482037, 156382917,
  203948571, 88172634, 171930482, 60293847, 229183746, 134827193, 197364821,
];
const waveMantissas = [
  12911, -28373, 30517, -7717, 19841, -31991, 5273, 27449, -15887, 32003, -23357, 9901, -12503,
  31337, -29501, 17389,
];
/** One value of a FHIR Observation, as the same kind of run. */
const written = [481927364, 481927364];

test("nothing that was told to the platform can be read on its disk, in a dump, or in diagnostics", async (t) => {
  const platform = await startTestPlatform(t, { env: { VITALWARD_LOG_LEVEL: "trace" } });
  const scene = await play(t, platform);
  const forms = [
    ...Object.entries(words).flatMap(([name, text]) => textForms(name, text)),
    ...Object.entries(scene.secrets).flatMap(([name, text]) => textForms(name, text)),
    ...valueForms("points", pointMantissas, -6),
    ...valueForms("waveform", waveMantissas, -3),
    ...valueForms("written Observation", written, -6),
  ].filter((form) => form.bytes.length >= 8);

  await t.test("the scanner finds every form in plaintext", (t) => findsInPlaintext(t, forms));

  await t.test("nothing is in what operators are shown", async () => {
    const scanner = new Scanner(forms);
    for (const path of ["/metrics", "/health/ready", "/health/live", "/api/openapi.json"]) {
      const text = await (await fetch(`${platform.url}${path}`)).text();
      assert.ok(text.length > 10, path);
      scanner.scan(Buffer.from(text), path);
    }
    assert.match(platform.output(), /Vitalward: http/);
    scanner.scan(Buffer.from(platform.output()), "standard output and error");
    assert.deepEqual([...scanner.found], []);
  });

  await t.test("nothing is in the data folder as a crash leaves it", async () => {
    const postmaster = platform.databasePid();
    assert.ok(postmaster !== undefined);
    await platform.kill();
    process.kill(postmaster, "SIGKILL");
    await until(() => !isAlive(postmaster));
    nothingIn(platform.dataDir, forms);
  });

  await t.test("nothing is in the spool of a device whose platform is away", async () => {
    await scene.device.measure(points(Date.now(), pointMantissas));
    await scene.device.measure(wave(Date.now()));
    assert.ok(scene.device.status.held >= 2);
    nothingIn(scene.deviceFolder, forms);
  });

  await t.test("nothing is in a dump, nor in the data folder after a checkpoint", async () => {
    const again = await platform.restart();
    const url = await attachServer(platform.dataDir, "vitalward");
    const rows = await withDump(url, (folder) => nothingIn(folder, forms));
    for (const table of ["resource", "segment", "arrival", "person", "device", "audit_entry"]) {
      assert.ok((rows.get(table) ?? 0) > 0, `nothing was in the table ${table}`);
    }
    await withClient(url, (client) => client.query("CHECKPOINT"));
    nothingIn(platform.dataDir, forms);
    assert.equal(await again.stop(), 0);
    nothingIn(platform.dataDir, forms);
  });
});

function nothingIn(folder: string, forms: readonly Form[]): void {
  const scanner = new Scanner(forms);
  scanner.scanFolder(folder, "");
  assert.ok(scanner.bytesScanned > 1_000, "there was something to look at");
  assert.deepEqual([...scanner.found], []);
}

/** Every table as text and in binary, in a folder that PostgreSQL may write to. @returns rows by table. */
async function withDump(url: string, look: (folder: string) => void): Promise<Map<string, number>> {
  const folder = mkdtempSync(join(tmpdir(), "vitalward-dump-"));
  chmodSync(folder, 0o777);
  try {
    return await withClient(url, async (client) => {
      const tables = await client.query<{ name: string }>(
        "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'",
      );
      const rows = new Map<string, number>();
      for (const { name } of tables.rows) {
        await client.query(`COPY "${name}" TO '${folder}/${name}.txt'`);
        const copied = await client.query(
          `COPY "${name}" TO '${folder}/${name}.bin' (FORMAT binary)`,
        );
        rows.set(name, copied.rowCount ?? 0);
      }
      look(folder);
      return rows;
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The control: the same forms where nothing hides them, found by the same scan of the same places. */
async function findsInPlaintext(t: TestContext, forms: readonly Form[]): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), "vitalward-plaintext-"));
  t.after(() => rmSync(dataDir, { recursive: true, force: true }));
  const all = [...new Set(forms.map(({ name }) => name))].sort();
  const finds = (folder: string, where: string, means: "" | "frame" = "") => {
    const scanner = new Scanner(forms);
    scanner.scanFolder(folder, "");
    const found = [...scanner.found].filter(([, place]) => place.includes(means));
    const missed = all.filter((name) => !found.some(([one]) => one === name));
    assert.deepEqual(missed, [], `not found in ${where}`);
  };

  const database = await openDatabase({ dataDir, clock: systemClock });
  t.after(() => database.close());
  await database.pool.query(
    "CREATE TABLE plain (id bigint GENERATED ALWAYS AS IDENTITY, plain bytea, words text)",
  );
  // Twice over: a page of the WAL may end in the middle of a form, but not of both.
  for (const { bytes } of [...forms, ...forms]) {
    const isWords = bytes.every((byte) => byte >= 0x20 && byte < 0x7f);
    await database.pool.query("INSERT INTO plain (plain, words) VALUES ($1, $2)", [
      isWords ? null : bytes,
      isWords ? bytes.toString() : null,
    ]);
  }
  finds(join(dataDir, "postgres"), "the WAL");
  await database.pool.query("CHECKPOINT");
  const base = readdirSync(dataDir, { recursive: true, encoding: "utf8" }).find((path) =>
    path.endsWith("/base"),
  );
  finds(join(dataDir, base ?? "no folder of data files"), "the data files");
  await withDump(database.url, (folder) => finds(folder, "the dump"));

  for (const [name, compress] of [
    ["zstd", zstdCompressSync],
    ["gzip", gzipSync],
    ["deflate", deflateSync],
  ] as const) {
    const folder = mkdtempSync(join(dataDir, name));
    for (const [id, { bytes }] of forms.entries()) {
      const frame = compress(Buffer.concat([FILLER, bytes, FILLER]));
      assert.ok(!frame.includes(bytes), "the frame hides it");
      writeFileSync(join(folder, String(id)), Buffer.concat([NOISE, frame, NOISE]));
    }
    finds(folder, name, "frame");
  }
}

/** Few symbols, no repetition worth naming: so that a frame's literals are coded, not copied. */
const FILLER = Buffer.from(
  Array.from({ length: 3_000 }, (_, i) => Math.trunc(((Math.sin(i) + 1) * i) % 5) + 40),
);
const NOISE = Buffer.from("not part of it");

/** What people and devices tell the platform. @returns the secrets they used. */
async function play(t: TestContext, platform: RunningPlatform) {
  const doctor = await hire(platform, words.staff, "doctor");
  const patientId = await registerPatient(platform, doctor.token, {
    name: [{ family: words.family, given: [words.given] }],
    birthDate: words.birthDate,
    identifier: [{ system: "urn:oid:2.999.1", value: words.identifier }],
    telecom: [{ system: "phone", value: words.phone }],
    address: [{ line: [words.street] }],
    extension: [
      { url: "https://vitalward.example/ward", valueString: "Intensive care" },
      { url: "https://vitalward.example/bed", valueString: words.bed },
    ],
  });
  const { cookie, signInSecret } = await signIn(platform, doctor);
  const { device, deviceFolder, claimCode, tlsKey } = await connect(t, platform, patientId);
  await measure(platform, device);
  await writeObservation(platform, doctor, patientId);
  await askAndMistype(platform, doctor, patientId);
  const passphrase = "a passphrase for tests only";
  const secrets = { token: doctor.token, cookie, signInSecret, claimCode, tlsKey, passphrase };
  return { device, deviceFolder, secrets };
}

async function signIn(platform: RunningPlatform, person: Person) {
  const { url } = await askOperator<{ url: string }>(platform.dataDir, {
    ask: "link",
    as: person.id,
  });
  const signInSecret = url.split("/").at(-1) as string;
  const response = await fetch(`${platform.url}/api/session`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ secret: signInSecret }),
  });
  assert.equal(response.status, 200);
  const cookie = /=([^;]+)/.exec(response.headers.get("set-cookie") ?? "")?.[1];
  assert.ok(cookie && cookie.length > 20);
  return { cookie, signInSecret };
}

async function connect(t: TestContext, platform: RunningPlatform, patientId: string) {
  const { claimCode } = await askOperator<{ claimCode: string }>(platform.dataDir, {
    ask: "claim",
    label: words.deviceLabel,
    note: words.deviceNote,
    kind: "patient-monitor",
    patientId,
    assignedFromMs: 0,
  });
  const { identity, prekeys } = await enrol({
    url: `https://127.0.0.1:${platform.ports.device}`,
    claimCode,
    caPem: readFileSync(join(platform.dataDir, "ca.pem"), "utf8"),
  });
  const deviceFolder = mkdtempSync(join(tmpdir(), "vitalward-spool-"));
  const device = new Device({
    identity,
    folder: deviceFolder,
    prekeys,
    durability: "interval",
    transport: mqttTransport(identity, `mqtts://127.0.0.1:${platform.ports.mqtt}`),
  });
  t.after(async () => {
    await device.close();
    rmSync(deviceFolder, { recursive: true, force: true });
  });
  device.start();
  const tlsKey = identity.keyPem.split("\n")[1] as string;
  return { device, deviceFolder, claimCode, tlsKey };
}

const points = (fromMs: number, mantissas: readonly number[]) => ({
  points: [
    {
      mdc: HEART_RATE,
      exponent: -6,
      timesMs: mantissas.map((_, i) => Math.floor(fromMs) + i),
      mantissas: [...mantissas],
      quality: mantissas.map(() => 0),
    },
  ],
  waveforms: [],
});

const wave = (startMs: number) => ({
  points: [],
  waveforms: [
    {
      mdc: ECG,
      startMs: Math.floor(startMs),
      rate: { numerator: 360, denominator: 1 },
      exponent: -3,
      values: Int32Array.from([...waveMantissas, ...waveMantissas]),
      quality: 0,
    },
  ],
});

/** Whole runs in one envelope, waveforms, and single samples until the store has merged some. */
async function measure(platform: RunningPlatform, device: Device): Promise<void> {
  const fromMs = Date.now() - 24 * 3_600_000;
  await device.measure(points(fromMs, pointMantissas));
  await device.measure(wave(fromMs));
  await withClient(await attachServer(platform.dataDir, "vitalward"), async (client) => {
    let sent = 0;
    await until(async () => {
      for (let i = 0; i < 50; i++) {
        const mantissa = pointMantissas[sent++ % pointMantissas.length] as number;
        await device.measure(points(fromMs + 1_000 * sent, [mantissa]));
        await sleep(8); // what arrives together would be one row, and few rows are not merged
      }
      return ((await client.query("SELECT 1 FROM segment LIMIT 1")).rowCount ?? 0) > 0;
    });
  });
  // What comes after the merge stays as it arrived.
  await device.measure(points(Date.now(), pointMantissas));
  await until(() => device.status.held === 0);
}

async function writeObservation(platform: RunningPlatform, by: Person, patientId: string) {
  const response = await fetch(`${platform.url}/fhir/R4/Observation`, {
    method: "POST",
    headers: { authorization: `Bearer ${by.token}`, "content-type": "application/fhir+json" },
    body: JSON.stringify({
      resourceType: "Observation",
      status: "final",
      code: { coding: [GLUCOSE], text: words.observationText },
      subject: { reference: `Patient/${patientId}` },
      effectiveDateTime: new Date().toISOString(),
      valueQuantity: {
        value: Number(decimal(written[0] as number, -6)),
        unit: "mmol/L",
        system: "http://unitsofmeasure.org",
        code: "mmol/L",
      },
      note: [{ text: words.observationNote }],
    }),
  });
  assert.equal(response.status, 201, await response.text());
}

/** Reads that must find, and mistakes that carry names into addresses, bodies and parameters. */
async function askAndMistype(platform: RunningPlatform, by: Person, patientId: string) {
  const ask = async (path: string, init: RequestInit = {}) => {
    const headers = { authorization: `Bearer ${by.token}`, ...init.headers };
    const response = await fetch(`${platform.url}${path}`, { ...init, headers });
    return { status: response.status, text: await response.text() };
  };
  const finds = [
    `/fhir/R4/Patient?family=${words.family}`,
    `/fhir/R4/Patient?birthdate=${words.birthDate}`,
    `/fhir/R4/Patient?identifier=urn:oid:2.999.1|${words.identifier}`,
    `/fhir/R4/Observation?patient=${patientId}&_count=1000`,
    "/api/ward",
    `/api/patients/${patientId}`,
    `/api/patients/${patientId}/export`,
  ];
  for (const path of finds) {
    const { status, text } = await ask(path);
    assert.equal(status, 200, path);
    assert.ok(text.includes(words.family) || text.includes("73.192048"), `${path} shows it`);
  }
  const wrong = words.patientInUrl;
  const json = { "content-type": "application/json" };
  const fhir = { "content-type": "application/fhir+json" };
  const mistakes: [string, RequestInit?][] = [
    [`/fhir/R4/Patient?name=${wrong}`],
    [`/fhir/R4/Patient/${wrong}`],
    [`/fhir/R4/Observation?patient=${wrong}`],
    [`/fhir/R4/Observation?patient=${patientId}&code=${wrong}`],
    [`/api/patients/${wrong}`],
    [`/${wrong}`],
    ["/api/session", { method: "POST", headers: json, body: `{"secret":"${wrong}"}` }],
    ["/api/people", { method: "POST", headers: json, body: `{"${wrong}":"${wrong}"}` }],
    ["/fhir/R4/Patient", { method: "POST", headers: fhir, body: `{"${wrong}` }],
    [
      "/fhir/R4/Patient",
      {
        method: "POST",
        headers: fhir,
        body: JSON.stringify({
          resourceType: "Patient",
          gender: wrong,
          birthDate: wrong,
          [wrong]: 1,
        }),
      },
    ],
  ];
  for (const [path, init] of mistakes) {
    const { status, text } = await ask(path, init);
    assert.ok(status === 200 || (status >= 400 && status < 500), `${path}: ${status}`);
    assert.ok(!text.includes(wrong) || status === 200, `${path} is not told back: ${text}`);
  }
}

/** @throws Error when it does not come true within a minute. */
async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  for (const endMs = performance.now() + 60_000; performance.now() < endMs; await sleep(50)) {
    if (await isTrue()) return;
  }
  throw new Error("it did not come true in time");
}
