/**
 * Every row of src/problems.ts can be provoked. Most are provoked here, at the doors of a running
 * platform; the others name the test that does it. A row that nobody provokes fails.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { askOperator } from "../../src/cli/operator-client.ts";
import { systemClock } from "../../src/clock.ts";
import { signingIdentity } from "../../src/device/identity.ts";
import type { Enrolled } from "../../src/device/index.ts";
import { writeEnvelope } from "../../src/envelope/envelope.ts";
import { splitPayload } from "../../src/envelope/payload.ts";
import { DeviceSession } from "../../src/envelope/session.ts";
import { AES_256_GCM } from "../../src/envelope/suites.ts";
import { limits } from "../../src/limits.ts";
import { withClient } from "../../src/postgres/database.ts";
import { attachServer } from "../../src/postgres/server.ts";
import { PROBLEMS, Problem, type ProblemCode } from "../../src/problems.ts";
import { enrolDevice, fillWard, hire, type Ward } from "../journeys/ward.ts";
import { newRequest } from "../support/csr.ts";
import { RawClient } from "../support/mqtt-wire.ts";
import {
  cleanEnvironment,
  MAIN,
  type RunningPlatform,
  startTestPlatform,
} from "../support/platform.ts";
import { selfSigned } from "../support/self-signed.ts";

const MQTT_DOOR = "src/ingest/mqtt/endpoint.test.ts";
const HTTPS_DOOR = "src/ingest/https.test.ts";
const ADMISSION = "src/ingest/admit.refusals.test.ts";

/** Rows whose cause does not fit beside a healthy platform, and the test that brings each about. */
const provokedElsewhere: Partial<Record<ProblemCode, string>> = {
  "internal-fault": HTTPS_DOOR,
  "permit-ended": "src/access/authorize.test.ts",
  "certificate-unknown": HTTPS_DOOR,
  "certificate-expired": MQTT_DOOR,
  "batch-refused": ADMISSION,
  "mqtt-packet-malformed": MQTT_DOOR,
  "mqtt-protocol-error": MQTT_DOOR,
  "mqtt-packet-too-large": MQTT_DOOR,
  "mqtt-version-unsupported": MQTT_DOOR,
  "mqtt-client-id-refused": MQTT_DOOR,
  "mqtt-topic-refused": MQTT_DOOR,
  "mqtt-topic-invalid": MQTT_DOOR,
  "mqtt-topic-alias-invalid": MQTT_DOOR,
  "mqtt-receive-maximum-exceeded": MQTT_DOOR,
  "mqtt-retain-refused": MQTT_DOOR,
  "mqtt-shared-subscription-refused": MQTT_DOOR,
  "mqtt-authentication-method-refused": MQTT_DOOR,
  "mqtt-will-refused": MQTT_DOOR,
  "mqtt-keep-alive-ended": MQTT_DOOR,
  "mqtt-connect-overdue": MQTT_DOOR,
  "mqtt-packet-overdue": MQTT_DOOR,
  "mqtt-client-slow": MQTT_DOOR,
  "door-full": MQTT_DOOR,
  "door-closing": MQTT_DOOR,
  "storage-unavailable": "src/ingest/admit.failure.test.ts",
  "patient-erased": "src/store/store.test.ts",
  "version-conflict": "src/store/resources.test.ts",
};

/** Needs a two-byte length in CBOR. */
const SEALED_BYTES = 80;

const provoked = new Set<ProblemCode>();

/** What a door said must be that refusal, in that door's own words. */
function isRefusal(code: ProblemCode, answer: Answer): void {
  assert.equal(answer.code, code, answer.text);
  assert.equal(answer.status, PROBLEMS[code].status, code);
  provoked.add(code);
}

interface Answer {
  readonly status: number;
  readonly code: string | undefined;
  readonly text: string;
  readonly body: Buffer;
}

interface Asked {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Uint8Array;
  /** For the HTTPS device door. */
  readonly tls?: { ca: string; cert?: string; key?: string };
}

function ask(url: string, o: Asked = {}): Promise<Answer> {
  const headers = { connection: "close", ...o.headers };
  const options = { method: o.method ?? (o.body === undefined ? "GET" : "POST"), headers };
  return new Promise((resolve, reject) => {
    const sent = o.tls
      ? httpsRequest(url, { ...options, ...o.tls, agent: false })
      : httpRequest(url, options);
    sent.on("error", reject).on("response", (response) => {
      const parts: Buffer[] = [];
      response.on("error", reject).on("data", (part: Buffer) => parts.push(part));
      response.on("end", () => {
        const body = Buffer.concat(parts);
        const text = body.toString();
        resolve({ status: response.statusCode ?? 0, code: codeOf(text), text, body });
      });
    });
    sent.end(o.body);
  });
}

/** The code in problem details (RFC 9457) or in an OperationOutcome. */
function codeOf(text: string): string | undefined {
  if (!text.startsWith("{")) return undefined;
  const told = JSON.parse(text) as {
    type?: string;
    issue?: { details?: { coding?: { code?: string }[] } }[];
  };
  return told.type?.replace("/problems/", "") ?? told.issue?.[0]?.details?.coding?.[0]?.code;
}

test("each refusal is provoked at a door", async (t) => {
  const platform = await startTestPlatform(t);
  const ward = await fillWard(platform);
  await t.test("of people and their programs", () => provokeHttp(platform, ward));
  await t.test("of FHIR", () => provokeFhir(platform, ward));
  await t.test("of devices", () => provokeDevices(platform, ward));
  await t.test("of the command line", (t) => provokeCommands(t, platform));
  await t.test("of damaged or absent storage", () => provokeDamage(platform, ward));
});

test("each row of problems.ts was provoked here or is by the test that is named", () => {
  for (const [code, path] of Object.entries(provokedElsewhere)) {
    const file = fileURLToPath(new URL(`../../${path}`, import.meta.url));
    assert.ok(existsSync(file), `${path} is not there`);
    assert.ok(readFileSync(file, "utf8").includes(`"${code}"`), `${path} says nothing of ${code}`);
    assert.ok(!provoked.has(code as ProblemCode), `${code} is provoked here: do not name another`);
  }
  const all = [...provoked, ...Object.keys(provokedElsewhere)].sort();
  assert.deepEqual(all, Object.keys(PROBLEMS).sort());
});

const json = { "content-type": "application/json" };
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

async function provokeHttp(platform: RunningPlatform, ward: Ward): Promise<void> {
  const { url } = platform;
  const session = `${url}/api/session`;
  isRefusal("bad-request", await ask(session, { headers: json, body: "{}" }));
  isRefusal("not-found", await ask(`${url}/api/nothing`));
  isRefusal("method-not-allowed", await ask(session, { method: "PUT", headers: json, body: "{}" }));
  const xml = { "content-type": "application/xml" };
  isRefusal("unsupported-media-type", await ask(session, { headers: xml, body: "x" }));
  const large = JSON.stringify({ secret: "x".repeat(limits.httpBodyBytesMax) });
  isRefusal("body-too-large", await ask(session, { headers: json, body: large }));
  isRefusal("not-signed-in", await ask(`${url}/api/ward`));
  isRefusal("forbidden", await ask(`${url}/api/people`, { headers: bearer(ward.nurse.token) }));
  isRefusal("unknown-host", await ask(url, { headers: { host: "elsewhere.example" } }));
  const foreign = { ...json, origin: "https://elsewhere.example", cookie: "a=b" };
  isRefusal("foreign-origin", await ask(session, { headers: foreign, body: "{}" }));
  const unused = JSON.stringify({ secret: "never-made" });
  isRefusal("sign-in-link-used", await ask(session, { headers: json, body: unused }));
  let last = await ask(session, { headers: json, body: unused });
  for (let tries = 0; tries <= limits.signInTriesPerMinute && last.status !== 429; tries++) {
    last = await ask(session, { headers: json, body: unused });
  }
  isRefusal("rate-limited", last);
}

async function provokeFhir(platform: RunningPlatform, ward: Ward): Promise<void> {
  const fhir = `${platform.url}/fhir/R4`;
  const headers = { ...bearer(ward.doctor.token), "content-type": "application/fhir+json" };
  const body = (resource: unknown) => ({ headers, body: JSON.stringify(resource) });
  const empty = body({ resourceType: "Observation" });
  isRefusal("resource-invalid", await ask(`${fhir}/Observation`, empty));
  const search = `${fhir}/Observation?patient=${ward.patientId}&surprise=1`;
  isRefusal("search-not-understood", await ask(search, { headers }));
  const history = body({ resourceType: "Bundle", type: "history" });
  isRefusal("bundle-not-supported", await ask(fhir, history));
}

async function provokeDevices(platform: RunningPlatform, ward: Ward): Promise<void> {
  const { dataDir, ports } = platform;
  const door = `https://127.0.0.1:${ports.device}`;
  const ca = readFileSync(join(dataDir, "ca.pem"), "utf8");
  const enrolment = (asked: unknown) =>
    ask(`${door}/v1/enrol`, { headers: json, body: JSON.stringify(asked), tls: { ca } });
  const { csr } = await newRequest();
  isRefusal("claim-refused", await enrolment({ claimCode: "AAAAA-AAAAA", csr }));
  const claim = await askOperator<{ claimCode: string }>(dataDir, {
    ask: "claim",
    label: "Monitor",
    kind: "patient-monitor",
  });
  isRefusal("csr-refused", await enrolment({ claimCode: claim.claimCode, csr: "no request" }));

  const { identity, deviceId } = await enrolDevice(platform);
  const tls = { ca, cert: identity.certificatePem, key: identity.keyPem };
  const sealed = { "content-type": "application/cbor-seq" };
  const send = (bytes: Uint8Array, by: Asked["tls"] = tls) =>
    ask(`${door}/v1/envelopes`, { headers: sealed, body: bytes, ...(by ? { tls: by } : {}) });
  isRefusal("client-certificate-required", await send(Buffer.from("x"), { ca }));
  const own = selfSigned();
  const untrusted = { ca, cert: own.pem, key: own.keyPem };
  isRefusal("client-certificate-untrusted", await send(Buffer.from("x"), untrusted));
  isRefusal("envelope-malformed", await send(Buffer.from("not an envelope")));
  const noise = (count: number) => systemClock.random(count);
  const strange = writeEnvelope(AES_256_GCM, noise(8), 0, noise(SEALED_BYTES));
  isRefusal("envelope-refused", await send(strange));
  const huge = growEnvelope(strange, limits.envelopeBytesMax);
  isRefusal("envelope-too-large", await send(huge));
  const begun = begin(identity);
  const spoilt = Buffer.from(begun.opening);
  spoilt[spoilt.length - 1] = (spoilt[spoilt.length - 1] as number) ^ 1;
  isRefusal("opening-refused", await send(spoilt));
  assert.equal((await send(begin(identity, { repeating: true }).opening)).status, 202);
  const twin = begin(identity, { repeating: true, firstSequence: 2 });
  isRefusal("opening-replayed", await send(twin.opening));
  const opened = await send(begun.opening);
  const reply = splitPayload(opened.body).find((item) => item.kind === "reply");
  assert.ok(reply);
  isRefusal("device-unassigned", await send(sealOne(begun.finish(reply.bytes))));
  await provokeStates(platform, deviceId, () => send(strange));
  await provokeTakeover(platform, ward);
}

/** The same COSE_Encrypt0 with so many bytes of ciphertext: its last element, a byte string (RFC 8949 §3). */
function growEnvelope(envelope: Uint8Array, count: number): Uint8Array {
  const head = envelope.subarray(0, envelope.length - SEALED_BYTES - 2);
  const length = Buffer.alloc(5);
  length[0] = 0x5a;
  length.writeUInt32BE(count, 1);
  return Buffer.concat([head, length, Buffer.alloc(count)]);
}

/** @param o.repeating chance gives the same session identifier each time. */
function begin(identity: Enrolled, o: { firstSequence?: number; repeating?: boolean } = {}) {
  return DeviceSession.begin(signingIdentity(identity), {
    suite: AES_256_GCM,
    kem: "classical",
    firstSequence: o.firstSequence ?? 1,
    nowMs: Date.now(),
    chance: o.repeating
      ? { random: (count: number) => new Uint8Array(count).fill(0x42) }
      : systemClock,
  });
}

function sealOne(session: DeviceSession): Uint8Array {
  const nowMs = Date.now();
  const sequence = session.nextSequence;
  const column = { mdc: 147842, exponent: 0, timesMs: [nowMs], mantissas: [72], quality: [0] };
  const batch = { sequence, clockMs: nowMs, offsetMs: 0, points: [column], waveforms: [] };
  return session.seal({ sequence, batch });
}

/** An administrator suspends, revokes, and finds that revoked is for good. */
async function provokeStates(
  platform: RunningPlatform,
  deviceId: string,
  send: () => Promise<Answer>,
): Promise<void> {
  const administrator = await hire(platform, "Ida Test", "administrator");
  const change = (what: string) =>
    ask(`${platform.url}/api/devices/${deviceId}/${what}`, {
      method: "POST",
      headers: bearer(administrator.token),
    });
  assert.equal((await change("suspend")).status, 204);
  isRefusal("device-suspended", await send());
  assert.equal((await change("revoke")).status, 204);
  isRefusal("device-revoked", await send());
  isRefusal("device-state-conflict", await change("resume"));
}

async function provokeTakeover(platform: RunningPlatform, ward: Ward): Promise<void> {
  const { identity } = await enrolDevice(platform, { patientId: ward.patientId });
  const tls = {
    ca: identity.caPem,
    cert: identity.certificatePem,
    key: identity.keyPem,
  };
  const first = await RawClient.open(platform.ports.mqtt, tls);
  await first.greet({ clientId: "first" });
  const second = await RawClient.open(platform.ports.mqtt, tls);
  await second.greet({ clientId: "second" });
  // MQTT 5 §3.14.2.1: 0x8E is "session taken over".
  assert.equal((await first.nextOf(14)).body[0], 0x8e);
  provoked.add("session-taken-over");
  await second.leave();
}

/** A command that must end with that refusal's own words on standard error. */
function commandRefuses(
  code: ProblemCode,
  args: readonly string[],
  env: Record<string, string> = {},
): void {
  const ended = spawnSync(process.execPath, [MAIN, ...args], {
    env: { ...cleanEnvironment(), ...env },
    encoding: "utf8",
    timeout: 60_000,
  });
  assert.ok(ended.stderr.includes(PROBLEMS[code].title), `${code}: ${ended.stderr}`);
  assert.ok(ended.status !== 0 && ended.status !== null, "it says so by its exit code");
  provoked.add(code);
}

/** A folder with its own keystore, stopped: what a start on it makes of faults. */
async function provokeCommands(t: TestContext, platform: RunningPlatform): Promise<void> {
  const beside = ["conformance", "--data", platform.dataDir, "--port", "0"];
  commandRefuses("conformance-beside-patients", beside);
  await assert.rejects(
    askOperator(platform.dataDir, { ask: "token", as: "nobody of that name" }),
    (error) => error instanceof Problem && error.code === "not-found",
  );
  const folder = mkdtempSync(join(tmpdir(), "vitalward-problems-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o711);
  const dataDir = join(folder, "data");
  const other = await startTestPlatform(t, { dataDir });
  await other.stop();
  const passphraseFile = join(folder, "passphrase");
  const start = {
    VITALWARD_DATA: dataDir,
    VITALWARD_PASSPHRASE_FILE: passphraseFile,
    VITALWARD_HTTP_PORT: "0",
    VITALWARD_MQTT_PORT: "0",
    VITALWARD_DEVICE_PORT: "0",
  };
  writeFileSync(passphraseFile, "another passphrase, not this one\n", { mode: 0o600 });
  commandRefuses("passphrase-wrong", ["serve"], start);
  const keystore = new DatabaseSync(join(dataDir, "keystore", "keystore.sqlite"));
  keystore.exec("UPDATE keystore SET sealed_root = X'00'");
  keystore.close();
  commandRefuses("keystore-damaged", ["serve"], start);
}

async function provokeDamage(platform: RunningPlatform, ward: Ward): Promise<void> {
  const patient = `${platform.url}/fhir/R4/Patient`;
  const headers = { ...bearer(ward.doctor.token), "content-type": "application/fhir+json" };
  const keystore = join(platform.dataDir, "keystore", "keystore.sqlite");
  renameSync(keystore, `${keystore}.away`);
  const body = JSON.stringify({ resourceType: "Patient", name: [{ family: "Away" }] });
  isRefusal("keystore-unavailable", await ask(patient, { headers, body }));
  renameSync(`${keystore}.away`, keystore);
  assert.equal((await ask(patient, { headers, body })).status, 201, "it is back");

  const url = await attachServer(platform.dataDir, "vitalward");
  await loseReadings(platform, ward, url);
  await withClient(url, (client) =>
    client.query(
      "UPDATE resource SET sealed = overlay(sealed PLACING '\\x00'::bytea FROM 40) WHERE patient_id = $1",
      [ward.patientId],
    ),
  );
  isRefusal("sealed-data-damaged", await ask(`${patient}/${ward.patientId}`, { headers }));
}

/** A reading whose row is taken away: the export names the stretch that cannot be read, and why. */
async function loseReadings(platform: RunningPlatform, ward: Ward, url: string): Promise<void> {
  const { patientId } = ward;
  const { identity } = await enrolDevice(platform, { patientId, assignedFromMs: 0 });
  const tls = { ca: identity.caPem, cert: identity.certificatePem, key: identity.keyPem };
  const headers = { "content-type": "application/cbor-seq" };
  const door = `https://127.0.0.1:${platform.ports.device}/v1/envelopes`;
  const begun = begin(identity);
  const opened = await ask(door, { headers, tls, body: begun.opening });
  const reply = splitPayload(opened.body).find((item) => item.kind === "reply");
  assert.ok(reply);
  const sent = await ask(door, { headers, tls, body: sealOne(begun.finish(reply.bytes)) });
  assert.equal(sent.status, 202, sent.text);
  const path = `${platform.url}/api/patients/${patientId}/export`;
  const exported = () => ask(path, { headers: bearer(ward.doctor.token) });
  assert.match((await exported()).text, /"value":72/);
  await withClient(url, (client) =>
    client.query("DELETE FROM arrival WHERE patient_id = $1", [patientId]),
  );
  const lost = await exported();
  assert.match(lost.text, /"unreadable":"series-damaged"/);
  assert.doesNotMatch(lost.text, /"value":72/);
  provoked.add("series-damaged");
}
