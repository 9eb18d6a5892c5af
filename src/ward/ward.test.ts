/** The ward's API over the real vault, access, registry, store and HTTP door. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { WebSocket } from "ws";
import { testTrust } from "../../test/support/trust.ts";
import { createHttpServer } from "../http/server.ts";
import { Presence } from "../presence.ts";
import { createStore } from "../store/append.ts";
import { createResources } from "../store/resource-store.ts";
import { quality } from "../vitals/quality.ts";
import { BED_EXTENSION, WARD_EXTENSION } from "./demographics.ts";
import { registerWardRoutes } from "./routes.ts";
import type { LiveMessage, SeriesAnswer, Ward, WardPatient } from "./schema.ts";

const HEART_RATE = 147842;
const ECG = 131330;
const SESSION = "00112233445566778899aabbccddeeff";

async function openWard(t: TestContext) {
  const trust = await testTrust(t);
  const { database, vault, access, registry, clock } = trust;
  const store = createStore({ database, vault, clock });
  const resources = createResources({ database, vault, clock });
  const signed = new Set<number>();
  const presence = new Presence();
  const app = await createHttpServer({ bind: "127.0.0.1", ready: {}, version: "0", clock });
  registerWardRoutes(app, {
    access,
    registry,
    store,
    resources,
    clock,
    presence,
    // Signed blocks are admission's; here a number is signed when the test says so.
    proofs: {
      isSigned: async ({ sequence }) => signed.has(sequence),
      proofOf: async () => undefined,
    },
  });
  await app.listen({ port: 0, host: "127.0.0.1" });
  t.after(async () => {
    await app.close();
    await store.close();
  });
  const nurse = await access.createPerson({ name: "Nurse", role: "nurse" });
  const stranger = await access.createPerson({ name: "Stranger", role: "nurse" });
  const patientId = clock.uuid();
  vault.ensurePatient(patientId);
  await resources.put({
    patientId,
    compartment: "demographics",
    id: patientId,
    timeMs: 0,
    resource: {
      resourceType: "Patient",
      id: patientId,
      name: [{ family: "Journey", given: ["Test"] }],
      gender: "female",
      birthDate: "1950-06-01",
      extension: [
        { url: WARD_EXTENSION, valueString: "North" },
        { url: BED_EXTENSION, valueString: "7" },
      ],
    },
  });
  await access.addToCareTeam(nurse.id, patientId);
  const { deviceId } = await registry.createClaim({
    label: "Monitor",
    kind: "patient-monitor",
    note: "×60 recording",
    patientId,
    assignedFromMs: 0,
  });
  await registry.assign({ deviceId, patientId, fromMs: 0 });
  return { ...trust, store, app, nurse, stranger, patientId, deviceId, signed, presence };
}
type World = Awaited<ReturnType<typeof openWard>>;

let sequence = 0;
/** Stores one batch of heart rates, ten seconds apart, the last of them now. */
async function send(world: World, values: readonly number[], bits = 0): Promise<number> {
  sequence += 1;
  const nowMs = world.clock.nowMs();
  await world.store.append({
    patientId: world.patientId,
    deviceId: world.deviceId,
    sessionId: SESSION,
    batch: {
      sequence,
      clockMs: nowMs,
      offsetMs: 0,
      points: [
        {
          mdc: HEART_RATE,
          exponent: 0,
          timesMs: values.map((_, index) => nowMs - (values.length - 1 - index) * 10_000),
          mantissas: [...values],
          quality: values.map((_, index) => (index === values.length - 1 ? bits : 0)),
        },
      ],
      waveforms: [
        {
          mdc: ECG,
          startMs: nowMs - 1_000,
          rate: { numerator: 4, denominator: 1 },
          exponent: -3,
          values: Int32Array.from([1, 2, 3, 4]),
          quality: 0,
        },
      ],
    },
    marks: 0,
    receivedMs: nowMs,
    envelopeHash: new Uint8Array(32).fill(sequence),
  });
  return nowMs;
}

async function asker(world: World, personId: string) {
  const { token } = await world.access.createToken(personId);
  const { port } = world.app.server.address() as AddressInfo;
  const headers = { authorization: `Bearer ${token}` };
  return {
    headers,
    port,
    async get<T>(path: string): Promise<{ status: number; body: T }> {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
      return { status: response.status, body: (await response.json()) as T };
    },
  };
}

test("the board shows a person's own patients, with the newest reading and the last hour", async (t) => {
  const world = await openWard(t);
  const nowMs = await send(world, [60, 90, 72], quality.recordingRestarts);
  world.signed.add(sequence);
  const nurse = await asker(world, world.nurse.id);
  const { status, body } = await nurse.get<Ward>("/api/ward");
  assert.equal(status, 200);
  const [patient] = body.patients;
  assert.ok(patient);
  assert.deepEqual([patient.name, patient.ward, patient.bed], ["Test Journey", "North", "7"]);
  const reading = patient.readings.find(({ mdc }) => mdc === HEART_RATE);
  assert.deepEqual([reading?.mantissa, reading?.timeMs, reading?.signed], [72, nowMs, true]);
  const spark = patient.sparklines.find(({ mdc }) => mdc === HEART_RATE);
  assert.equal(Math.min(...(spark?.lows ?? []).filter((low) => low !== null)), 60);
  assert.equal(Math.max(...(spark?.highs ?? []).filter((high) => high !== null)), 90);
  assert.equal(patient.restartedMs, nowMs);
  assert.deepEqual(patient.waveforms, [ECG]);
  const [device] = patient.devices;
  assert.deepEqual([device?.name, device?.rowMs], ["Monitor", 60_000]);
  assert.equal(device?.lastSeenMs, nowMs);
});

test("a device is connected or not as the door says, silent when nothing comes, and else last seen", async (t) => {
  const world = await openWard(t);
  const nowMs = await send(world, [72]);
  const nurse = await asker(world, world.nurse.id);
  const line = async () => {
    const { body } = await nurse.get<Ward>("/api/ward");
    const device = body.patients[0]?.devices[0];
    return [device?.connectedSinceMs, device?.noConnectionSinceMs, device?.silentSinceMs];
  };
  assert.deepEqual(await line(), [null, null, null], "no door has seen it since the start");
  world.presence.connected(world.deviceId, nowMs - 5_000);
  assert.deepEqual(await line(), [nowMs - 5_000, null, null]);
  world.presence.disconnected(world.deviceId, nowMs - 1_000);
  assert.deepEqual(await line(), [null, nowMs - 1_000, null]);
  world.presence.requested(world.deviceId, nowMs);
  assert.deepEqual(await line(), [null, null, null], "it comes by requests");
  const idle = await openWard(t);
  const longAgoMs = idle.clock.nowMs() - 3_600_000;
  idle.presence.connected(idle.deviceId, longAgoMs);
  const { body } = await (await asker(idle, idle.nurse.id)).get<Ward>("/api/ward");
  assert.equal(body.patients[0]?.devices[0]?.silentSinceMs, longAgoMs);
});

test("whoever is not on the care team gets nothing, and the unknown looks just the same", async (t) => {
  const world = await openWard(t);
  await send(world, [72]);
  const stranger = await asker(world, world.stranger.id);
  assert.deepEqual((await stranger.get<Ward>("/api/ward")).body.patients, []);
  const now = world.clock.nowMs();
  const tails = [
    "",
    `/series?mdc=${HEART_RATE}&from=0&to=1000`,
    `/waveform?mdc=${ECG}&from=${now - 1000}&to=${now}`,
    `/proof?device=${world.deviceId}&session=${SESSION}&sequence=1`,
  ];
  for (const tail of tails) {
    const theirs = await stranger.get<{ title: string }>(`/api/patients/${world.patientId}${tail}`);
    const nobody = await stranger.get<{ title: string }>(
      `/api/patients/${world.clock.uuid()}${tail}`,
    );
    assert.equal(theirs.status, 404, tail);
    assert.deepEqual([nobody.status, nobody.body.title], [404, theirs.body.title]);
  }
  const response = await fetch(`http://127.0.0.1:${stranger.port}/api/ward`);
  assert.equal(response.status, 401);
});

test("a chart gets stored samples and gaps, and refuses what is not a question", async (t) => {
  const world = await openWard(t);
  const nowMs = await send(world, [60, 61, 62]);
  const nurse = await asker(world, world.nurse.id);
  const path = `/api/patients/${world.patientId}/series`;
  const { body } = await nurse.get<SeriesAnswer>(
    `${path}?mdc=${HEART_RATE},150456&from=${nowMs - 60_000}&to=${nowMs + 1}`,
  );
  assert.deepEqual(
    body.series.map(({ mdc, mantissas, thinnedToMs }) => ({ mdc, mantissas, thinnedToMs })),
    [{ mdc: HEART_RATE, mantissas: [60, 61, 62], thinnedToMs: null }],
  );
  const wrong = [
    `${path}?mdc=${HEART_RATE}&from=10&to=5`,
    `${path}?mdc=${HEART_RATE}&from=0&to=${nowMs}`,
    `${path}?mdc=x&from=0&to=5`,
    `${path}?mdc=${ECG}&from=0&to=5`,
    `${path}?mdc=${HEART_RATE}&from=0&to=5&width=9999999`,
    `/api/patients/nobody/series?mdc=${HEART_RATE}&from=0&to=5`,
  ];
  for (const query of wrong) assert.equal((await nurse.get(query)).status, 400, query);
  const wave = await nurse.get<{ runs: { values: number[] }[] }>(
    `/api/patients/${world.patientId}/waveform?mdc=${ECG}&from=${nowMs - 5_000}&to=${nowMs}`,
  );
  assert.deepEqual(
    wave.body.runs.map(({ values }) => values),
    [[1, 2, 3, 4]],
  );
  const proof = await nurse.get(
    `/api/patients/${world.patientId}/proof?device=${world.deviceId}&session=${SESSION}&sequence=${sequence}`,
  );
  assert.deepEqual(proof.body, { state: "unsigned" });
});

/** A live line and what it said so far. */
async function listen(world: World, o: { readonly headers: Record<string, string>; port: number }) {
  const socket = new WebSocket(`ws://127.0.0.1:${o.port}/api/live`, { headers: o.headers });
  const heard: LiveMessage[] = [];
  socket.on("message", (text) => heard.push(JSON.parse(String(text)) as LiveMessage));
  await once(socket, "open");
  const until = async <T extends LiveMessage["type"]>(type: T, isIt = (_: LiveMessage) => true) => {
    for (let waited = 0; waited < 10_000; waited += 50) {
      const found = heard.find((message) => message.type === type && isIt(message));
      if (found) return found as Extract<LiveMessage, { type: T }>;
      await sleep(50);
    }
    throw new Error(`never heard "${type}"`);
  };
  // Devices are told once the patient is watched.
  await until("devices");
  return { socket, heard, until, world };
}

test("the live line beats, brings readings as they are stored, and waveforms of the opened patient only", async (t) => {
  const world = await openWard(t);
  const line = await listen(world, await asker(world, world.nurse.id));
  t.after(() => line.socket.terminate());
  await line.until("beat");
  await send(world, [73]);
  const readings = await line.until("readings");
  assert.equal(readings.readings.at(-1)?.mantissa, 73);
  assert.ok(!line.heard.some(({ type }) => type === "wave"));
  line.socket.send(JSON.stringify({ type: "open", patientId: world.patientId }));
  // Nothing says when the page counts as opened: the first reading after that brings its waveform.
  for (let i = 0; i < 100 && !line.heard.some(({ type }) => type === "wave"); i++) {
    await send(world, [74]);
    await sleep(100);
  }
  const wave = await line.until("wave");
  assert.deepEqual(wave.run.values, [1, 2, 3, 4]);
  world.signed.add(sequence);
  const signed = await line.until("signed");
  assert.deepEqual([signed.sessionId, signed.through], [SESSION, sequence]);
});

test("who leaves the care team is told so at once, and hears nothing more", async (t) => {
  const world = await openWard(t);
  const line = await listen(world, await asker(world, world.nurse.id));
  t.after(() => line.socket.terminate());
  const doctor = await world.access.createPerson({ name: "Doctor", role: "doctor" });
  await world.access.addToCareTeam(doctor.id, world.patientId);
  const colleague = await listen(world, await asker(world, doctor.id));
  t.after(() => colleague.socket.terminate());
  await world.access.removeFromCareTeam(world.nurse.id, world.patientId);
  const withdrawn = await line.until("withdrawn");
  assert.equal(withdrawn.patientId, world.patientId);
  line.heard.length = 0;
  await send(world, [75]);
  // A colleague has heard it by now; so would who left.
  await colleague.until("readings", (message) => {
    return message.type === "readings" && message.readings.at(-1)?.mantissa === 75;
  });
  await line.until("beat");
  assert.ok(!line.heard.some(({ type }) => type === "readings" || type === "wave"));
});

test("a live line of somebody who is signed out closes with its reason", async (t) => {
  const world = await openWard(t);
  const line = await listen(world, await asker(world, world.nurse.id));
  const closed = once(line.socket, "close");
  await world.access.deactivate(world.nurse.id);
  const [code] = (await closed) as [number];
  assert.equal(code, 4401);
});

test("a live line without a sign-in does not open, and one that speaks nonsense is closed", async (t) => {
  const world = await openWard(t);
  const { port, headers } = await asker(world, world.nurse.id);
  const refused = new WebSocket(`ws://127.0.0.1:${port}/api/live`);
  const [, response] = (await once(refused, "unexpected-response")) as [
    unknown,
    { statusCode: number },
  ];
  assert.equal(response.statusCode, 401);
  const line = await listen(world, { port, headers });
  const closed = once(line.socket, "close");
  line.socket.send("{");
  const [code] = (await closed) as [number];
  assert.equal(code, 1008);
});

test("preferences are each person's own", async (t) => {
  const world = await openWard(t);
  const nurse = await asker(world, world.nurse.id);
  const put = (body: unknown) =>
    fetch(`http://127.0.0.1:${nurse.port}/api/preferences`, {
      method: "PUT",
      headers: { ...nurse.headers, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const { body } = await nurse.get<Record<string, unknown>>("/api/preferences");
  assert.equal((await put({ ...body, glucoseUnit: "mmol/L" })).status, 204);
  assert.equal((await put({ ...body, glucoseUnit: "stone" })).status, 400);
  const again = await nurse.get<Record<string, unknown>>("/api/preferences");
  assert.equal(again.body.glucoseUnit, "mmol/L");
  const stranger = await asker(world, world.stranger.id);
  const theirs = await stranger.get<Record<string, unknown>>("/api/preferences");
  assert.equal(theirs.body.glucoseUnit, body.glucoseUnit);
});

test("one patient's answer says of the opened patient what the board says", async (t) => {
  const world = await openWard(t);
  await send(world, [72]);
  const nurse = await asker(world, world.nurse.id);
  const board = await nurse.get<Ward>("/api/ward");
  const alone = await nurse.get<WardPatient>(`/api/patients/${world.patientId}`);
  assert.deepEqual(alone.body.readings, board.body.patients[0]?.readings);
});
