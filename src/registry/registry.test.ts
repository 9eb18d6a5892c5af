import assert from "node:assert/strict";
import { createHash, createPrivateKey, randomUUID, X509Certificate } from "node:crypto";
import { request } from "node:https";
import { type TestContext, test } from "node:test";
import { connect } from "node:tls";
import { fastify } from "fastify";
import { newRequest } from "../../test/support/csr.ts";
import { movableClock, testTrust } from "../../test/support/trust.ts";
import type { Clock } from "../clock.ts";
import { installAnswers } from "../http/server.ts";
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import { registerEnrolmentRoutes } from "./enrolment.ts";
import type { Registry } from "./registry.ts";

const code = (expected: string) => (error: unknown) =>
  error instanceof Problem && error.code === expected;

/** The HTTPS device door's part that enrols, with real TLS: client certificates asked for, not demanded. */
async function door(t: TestContext, o: { clock?: Clock } = {}) {
  const trust = await testTrust(t, o);
  const { registry, clock } = trust;
  const { cert, key, ca } = registry.serverTls();
  const app = fastify({
    https: { cert, key, ca, requestCert: true, rejectUnauthorized: false, minVersion: "TLSv1.3" },
  });
  installAnswers(app as never);
  registerEnrolmentRoutes(app as never, {
    registry,
    clock,
    prekeys: async () => new Uint8Array([1, 2, 3]),
    doors: () => ({ mqttUrl: "mqtts://127.0.0.1:1", httpsUrl: "https://127.0.0.1:1" }),
  });
  await app.listen({ port: 0, host: "127.0.0.1" });
  t.after(() => app.close());
  const { port } = app.server.address() as { port: number };
  const post = (path: string, body: unknown, client: { cert?: string; key?: string } = {}) =>
    postJson(port, path, body, { ca: registry.caPem, ...client });
  return { ...trust, port, post };
}

interface Answer {
  status: number;
  json: Record<string, string>;
}
function postJson(
  port: number,
  path: string,
  body: unknown,
  tls: { ca: string; cert?: string; key?: string },
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json" };
    const options = {
      host: "127.0.0.1",
      port,
      path,
      method: "POST",
      headers,
      agent: false,
      ...tls,
    };
    const asked = request(options, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, json: JSON.parse(text) as Answer["json"] }),
      );
    });
    asked.on("error", reject).end(JSON.stringify(body));
  });
}

const monitor = { label: "Bedside monitor 3", kind: "patient-monitor", note: "×60 recording" };

async function enrolled(registry: Registry) {
  const { claimCode, deviceId } = await registry.createClaim(monitor);
  const { csr, keyPem } = await newRequest();
  const answer = await registry.enrol({ claimCode, csr });
  const certificate = new X509Certificate(answer.certificatePem);
  return { ...answer, deviceId, keyPem, certificate };
}

test("a claim code enrols one device over TLS that chains to the organisation's authority", async (t) => {
  const { post, registry, clock } = await door(t);
  const patientId = randomUUID();
  const claim = await registry.createClaim({ ...monitor, patientId });
  assert.equal(registry.device(claim.deviceId)?.state, "claimed");
  const { csr } = await newRequest();
  const { status, json } = await post("/v1/enrol", { claimCode: claim.claimCode, csr });
  assert.equal(status, 201);
  assert.equal(json.deviceId, claim.deviceId);
  assert.equal(Buffer.from(json.platformKey ?? "", "base64url").length, 32);
  assert.equal(json.prekeys, "AQID");
  assert.equal(json.mqttUrl, "mqtts://127.0.0.1:1");
  const certificate = new X509Certificate(json.certificatePem ?? "");
  const root = new X509Certificate(json.caPem ?? "");
  assert.ok(certificate.verify(root.publicKey) && !certificate.ca && root.ca);
  assert.equal(certificate.subject, `CN=${claim.deviceId}`);
  assert.deepEqual(certificate.keyUsage, ["1.3.6.1.5.5.7.3.2"]);
  const hash = createHash("sha256").update(certificate.raw).digest("hex");
  assert.deepEqual(registry.authenticate(certificate), {
    deviceId: claim.deviceId,
    certificateHash: hash,
  });
  const device = registry.deviceByCertificate(hash);
  assert.equal(device?.state, "enrolled");
  assert.equal(device?.label, monitor.label);
  assert.equal(device?.note, monitor.note);
  assert.equal(registry.patientOf(claim.deviceId, clock.nowMs() + 1), patientId);
});

test("a lost answer is no lost device: the same code and key again yield the same certificate", async (t) => {
  const { post, registry } = await door(t);
  const { claimCode } = await registry.createClaim(monitor);
  const { csr } = await newRequest();
  const both = await Promise.all([
    post("/v1/enrol", { claimCode, csr }),
    post("/v1/enrol", { claimCode: claimCode.toLowerCase().replaceAll("-", " "), csr }),
  ]);
  assert.deepEqual(
    both.map((answer) => answer.status),
    [201, 201],
  );
  assert.equal(both[0]?.json.certificatePem, both[1]?.json.certificatePem);
});

test("a new claim code voids the one before and goes to the same patient", async (t) => {
  const { post, registry, clock } = await door(t);
  const patientId = randomUUID();
  const first = await registry.createClaim({ ...monitor, patientId, assignedFromMs: 0 });
  const second = await registry.createClaim({ deviceId: first.deviceId });
  const { csr } = await newRequest();
  const lost = await post("/v1/enrol", { claimCode: first.claimCode, csr });
  assert.equal(lost.status, 403);
  assert.equal((await post("/v1/enrol", { claimCode: second.claimCode, csr })).status, 201);
  assert.equal(registry.patientOf(first.deviceId, clock.nowMs() - 60_000), patientId);
  const third = await registry.createClaim({ deviceId: first.deviceId });
  const again = await newRequest();
  assert.equal(
    (await post("/v1/enrol", { claimCode: third.claimCode, csr: again.csr })).status,
    201,
  );
  assert.equal(registry.patientOf(first.deviceId, clock.nowMs() - 60_000), patientId);
});

test("used, expired and unknown claim codes look alike", async (t) => {
  const clock = movableClock();
  const { post, registry } = await door(t, { clock });
  const used = await registry.createClaim(monitor);
  const expired = await registry.createClaim(monitor);
  const { csr } = await newRequest();
  await post("/v1/enrol", { claimCode: used.claimCode, csr });
  const other = (await newRequest()).csr;
  const answers = [
    await post("/v1/enrol", { claimCode: used.claimCode, csr: other }),
    await post("/v1/enrol", { claimCode: "00000-00000-00000-00000", csr: other }),
  ];
  clock.advance(limits.claimLifeMs);
  answers.push(await post("/v1/enrol", { claimCode: expired.claimCode, csr: other }));
  for (const { status, json } of answers) {
    const { instance: _, ...same } = json;
    assert.equal(status, 403);
    assert.deepEqual(same, {
      type: "/problems/claim-refused",
      title: "the claim code is unknown, used or expired",
      status: 403,
    });
  }
});

test("a bad certificate request is refused before the code is looked at, and spends nothing", async (t) => {
  const { post, registry } = await door(t);
  const { claimCode } = await registry.createClaim(monitor);
  const good = await newRequest();
  const p384 = await newRequest({ name: "ECDSA", namedCurve: "P-384" });
  const body = good.csr.split("\n").slice(1, -1).join("");
  const flipped = Buffer.from(body, "base64");
  flipped[flipped.length - 1] = flipped[flipped.length - 1]! ^ 1;
  const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${flipped.toString("base64")}\n-----END CERTIFICATE REQUEST-----`;
  for (const csr of ["rubbish", p384.csr, forged]) {
    for (const claim of [claimCode, "nobody-has-this"]) {
      const { status, json } = await post("/v1/enrol", { claimCode: claim, csr });
      assert.equal(status, 422);
      assert.equal(json.type, "/problems/csr-refused");
    }
  }
  const ed25519 = await newRequest({ name: "Ed25519" });
  assert.equal((await post("/v1/enrol", { claimCode, csr: ed25519.csr })).status, 201);
});

test("guessing claim codes is limited in rate for an address", async (t) => {
  const { post } = await door(t);
  const tries = Array.from({ length: limits.enrolmentTriesPerMinute + 10 }, () =>
    post("/v1/enrol", { claimCode: "guess", csr: "none" }),
  );
  const statuses = (await Promise.all(tries)).map((answer) => answer.status);
  assert.ok(statuses.filter((status) => status === 429).length >= 1);
});

test("a device renews with its old certificate over mutual TLS; strangers and none are refused", async (t) => {
  const { post, registry } = await door(t);
  const device = await enrolled(registry);
  const { csr } = await newRequest();
  const client = { cert: device.certificatePem, key: device.keyPem };
  const renewed = await post("/v1/renew", { csr }, client);
  assert.equal(renewed.status, 200);
  const certificate = new X509Certificate(renewed.json.certificatePem ?? "");
  const verdict = registry.authenticate(certificate);
  assert.ok(typeof verdict === "object" && verdict.deviceId === device.deviceId);
  assert.equal(registry.device(device.deviceId)?.certificateHashes.length, 2);

  const none = await post("/v1/renew", { csr });
  assert.equal(none.status, 401);
  assert.equal(none.json.type, "/problems/client-certificate-required");
  const elsewhere = await enrolled((await testTrust(t)).registry);
  const foreign = { cert: elsewhere.certificatePem, key: elsewhere.keyPem };
  const stranger = await post("/v1/renew", { csr }, foreign);
  assert.equal(stranger.status, 403);
  assert.equal(stranger.json.type, "/problems/certificate-unknown");
  await registry.suspend(device.deviceId);
  assert.equal((await post("/v1/renew", { csr }, client)).json.type, "/problems/device-suspended");
});

test("a certificate past its end is refused, whatever its device", async (t) => {
  const clock = movableClock();
  const { registry } = await testTrust(t, { clock });
  const { certificate } = await enrolled(registry);
  clock.advance(limits.deviceCertificateLifeMs + 1);
  assert.equal(registry.authenticate(certificate), "certificate-expired");
});

test("suspending and revoking take effect at once and tell the doors; quarantine lets it speak on", async (t) => {
  const { registry } = await testTrust(t);
  const { deviceId, certificate } = await enrolled(registry);
  const barred: unknown[] = [];
  const stop = registry.on("barred", (event) => barred.push(event));
  await registry.quarantine(deviceId);
  assert.equal(typeof registry.authenticate(certificate), "object");
  assert.deepEqual(barred, []);
  await registry.suspend(deviceId);
  assert.equal(registry.authenticate(certificate), "device-suspended");
  await registry.resume(deviceId);
  assert.equal(typeof registry.authenticate(certificate), "object");
  await registry.revoke(deviceId);
  assert.equal(registry.authenticate(certificate), "device-revoked");
  assert.deepEqual(barred, [
    { deviceId, problem: "device-suspended" },
    { deviceId, problem: "device-revoked" },
  ]);
  stop();
  await assert.rejects(registry.resume(deviceId), code("device-state-conflict"));
  await assert.rejects(registry.createClaim({ deviceId }), code("device-state-conflict"));
  await assert.rejects(registry.revoke(randomUUID()), code("not-found"));
});

test("a known device enrolled again has a new certificate and keeps its history", async (t) => {
  const { registry } = await testTrust(t);
  const { deviceId, certificate } = await enrolled(registry);
  const { claimCode } = await registry.createClaim({ deviceId });
  const { csr } = await newRequest();
  const again = await registry.enrol({ claimCode, csr });
  assert.equal(again.deviceId, deviceId);
  const hashes = registry.device(deviceId)?.certificateHashes ?? [];
  assert.equal(hashes.length, 2);
  assert.equal(hashes[0], createHash("sha256").update(certificate.raw).digest("hex"));
  assert.ok(registry.certificate(hashes[0] ?? ""), "blocks signed before still name it");
});

test("whom a device measured, its state and its certificates outlive a restart; labels are not readable", async (t) => {
  const first = await testTrust(t);
  const { deviceId, certificate } = await enrolled(first.registry);
  const [a, b] = [randomUUID(), randomUUID()];
  const events: unknown[] = [];
  first.registry.on("assigned", (event) => events.push(event));
  const startMs = Date.now() - 3_600_000;
  await first.registry.assign({ deviceId, patientId: a, fromMs: startMs });
  await first.registry.assign({ deviceId, patientId: b, fromMs: startMs + 1_000 });
  assert.equal(events.length, 3);
  await first.close();
  const { rows } = await first.database.pool.query("SELECT * FROM device");
  assert.equal(rows.length, 1);
  assert.ok(!Buffer.from(rows[0].sealed).toString("latin1").includes("Bedside"));

  const { registry } = await testTrust(t, first);
  assert.equal(registry.caPem, first.registry.caPem);
  assert.equal(registry.serverTls().cert, first.registry.serverTls().cert);
  assert.deepEqual(registry.platformIdentity.publicKey, first.registry.platformIdentity.publicKey);
  assert.deepEqual(registry.device(deviceId), first.registry.device(deviceId));
  assert.equal(typeof registry.authenticate(certificate), "object");
  const at = [-1, 0, 999, 1_000, 9e6].map((ms) => registry.patientOf(deviceId, startMs + ms));
  assert.deepEqual(at, [undefined, a, a, b, b]);
  assert.deepEqual(registry.assignmentsOf({ patientId: a }), [
    { deviceId, patientId: a, fromMs: startMs, toMs: startMs + 1_000 },
  ]);
});

test("the doors' certificate is good for localhost, 127.0.0.1 and ::1 and nothing else", async (t) => {
  const { port, registry } = await door(t);
  const names = new X509Certificate(registry.serverTls().cert).subjectAltName ?? "";
  for (const name of ["DNS:localhost", "IP Address:127.0.0.1", "IP Address:0:0:0:0:0:0:0:1"]) {
    assert.ok(names.includes(name), name);
  }
  const handshake = (servername: string) =>
    new Promise<string>((resolve, reject) => {
      const socket = connect({ host: "127.0.0.1", port, ca: registry.caPem, servername }, () => {
        resolve(socket.getProtocol() ?? "");
        socket.destroy();
      });
      socket.on("error", reject);
    });
  assert.equal(await handshake("localhost"), "TLSv1.3");
  await assert.rejects(handshake("elsewhere.example"), /ERR_TLS_CERT_ALTNAME_INVALID|altnames/);
});

test("two enrolments with one code at once: one device gets in, the other is refused", async (t) => {
  const { registry } = await testTrust(t);
  const { claimCode } = await registry.createClaim(monitor);
  const requests = await Promise.all([newRequest(), newRequest()]);
  const verdicts = await Promise.allSettled(
    requests.map(({ csr }) => registry.enrol({ claimCode, csr })),
  );
  const refused = verdicts.filter((one) => one.status === "rejected");
  assert.equal(refused.length, 1);
  assert.ok(code("claim-refused")(refused[0]?.reason));
});

test("the authority's and the platform's private keys are nowhere in the database", async (t) => {
  const { database, vault, registry } = await testTrust(t);
  await enrolled(registry);
  const tables = await database.pool.query<{ name: string }>(
    "SELECT quote_ident(table_name) AS name FROM information_schema.tables WHERE table_schema = 'public'",
  );
  let dump = "";
  for (const { name } of tables.rows) {
    const { rows } = await database.pool.query(`SELECT t::text AS row FROM ${name} t`);
    dump += rows.map((one) => one.row).join("\n");
  }
  const certificate = registry.certificate(registry.devices()[0]?.certificateHashes[0] ?? "");
  assert.ok(certificate && dump.includes(Buffer.from(certificate.der).toString("hex")), "control");
  const scalars = [
    createPrivateKey({ key: secret(vault, "ca", "root-key"), format: "der", type: "pkcs8" }),
    registry.platformIdentity.privateKey,
  ].map((key) => Buffer.from(key.export({ format: "jwk" }).d ?? "", "base64url").toString("hex"));
  for (const scalar of scalars) {
    assert.equal(scalar.length, 64);
    assert.ok(!dump.includes(scalar));
  }
});

function secret(
  vault: { secrets: { get(kind: string, id: string): unknown } },
  kind: string,
  id: string,
) {
  const bytes = vault.secrets.get(kind, id);
  assert.ok(bytes instanceof Uint8Array);
  return Buffer.from(bytes);
}
