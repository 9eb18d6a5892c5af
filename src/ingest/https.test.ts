import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, type RequestOptions, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connect } from "node:tls";
import { promisify } from "node:util";
import { type ClientIdentity, testAuthority } from "../../test/support/device-certificates.ts";
import { without } from "../../test/support/tools.ts";
import { systemClock } from "../clock.ts";
import { limits } from "../limits.ts";
import type { ProblemCode } from "../problems.ts";
import { createDeviceDoor } from "./https.ts";
import type { Arrival, Verdict } from "./verdict.ts";

const run = promisify(execFile);
const authority = await testAuthority();
const device = await authority.device("0190bbbb-0000-7000-8000-000000000001");
const other = await authority.device("0190bbbb-0000-7000-8000-000000000002");

interface Answer {
  status: number;
  type: string | undefined;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
}

async function openDoor(
  t: TestContext,
  o: { verdict?: () => Promise<Verdict>; barred?: Map<string, ProblemCode> } = {},
) {
  const known = new Map([device, other].map((one) => [one.hash, one]));
  const arrivals: Arrival[] = [];
  const refusals: ProblemCode[] = [];
  const door = await createDeviceDoor({
    tls: { ...authority.server, ca: authority.ca },
    clock: systemClock,
    authenticate(peer) {
      const certificateHash = peer.fingerprint256.replaceAll(":", "").toLowerCase();
      const found = known.get(certificateHash);
      if (!found) return "certificate-unknown";
      return o.barred?.get(found.deviceId) ?? { deviceId: found.deviceId, certificateHash };
    },
    admit: async (arrival) => {
      arrivals.push(arrival);
      return o.verdict ? o.verdict() : { outcome: "admitted", downlink: [] };
    },
    onRefusal: (problem) => refusals.push(problem),
    routes: (app) => {
      app.post("/v1/enrol", async (_request, reply) => reply.code(201).send({ enrolled: true }));
    },
  });
  const port = await door.listen(0, "127.0.0.1");
  t.after(() => door.close());
  const agent = new Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const ask = (
    path: string,
    as: ClientIdentity | undefined,
    more: RequestOptions & { body?: string | Buffer } = {},
  ): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const identity = as ? { cert: as.cert, key: as.key } : {};
      const options: RequestOptions = {
        ...{ host: "127.0.0.1", port, servername: "localhost", ca: authority.ca, agent },
        ...{ path, method: more.body === undefined ? "GET" : "POST" },
        headers: more.body === undefined ? {} : { "content-type": "application/cbor-seq" },
        ...identity,
        ...more,
      };
      const asking = request(options, (response) => {
        const parts: Buffer[] = [];
        response.on("data", (part: Buffer) => parts.push(part));
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            type: response.headers["content-type"],
            headers: response.headers,
            body: Buffer.concat(parts),
          }),
        );
      });
      asking.on("error", reject);
      asking.end(more.body);
    });
  return { door, port, arrivals, refusals, ask };
}

function codeOf(answer: Answer): string {
  assert.equal(answer.type, "application/problem+json");
  return String(JSON.parse(answer.body.toString()).type).replace("/problems/", "");
}

test("an envelope is answered with 202 after the commit, and with what goes down", async (t) => {
  let commit: () => void = () => assert.fail("not asked yet");
  const bed = await openDoor(t, {
    verdict: () =>
      new Promise((resolve) => {
        commit = () =>
          resolve({ outcome: "admitted", downlink: [Buffer.from("re"), Buffer.from("ceipt")] });
      }),
  });
  const asking = bed.ask("/v1/envelopes", device, { body: "sealed" });
  let answered = false;
  void asking.then(() => {
    answered = true;
  });
  while (bed.arrivals.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(answered, false, "answered before the commit");
  commit();
  const answer = await asking;
  assert.deepEqual([answer.status, answer.type], [202, "application/cbor-seq"]);
  assert.equal(answer.body.toString(), "receipt");
  const [arrival] = bed.arrivals;
  assert.deepEqual(
    [
      arrival?.door,
      arrival?.deviceId,
      arrival?.certificateHash,
      Buffer.from(arrival?.bytes ?? []).toString(),
    ],
    ["https", device.deviceId, device.hash, "sealed"],
  );
});

test("what waits for a device is given once, to that device, the newest few", async (t) => {
  const bed = await openDoor(t);
  for (let i = 0; i < limits.downlinkWaitingMax + 2; i++) {
    bed.door.send(device.deviceId, Buffer.from([i]));
  }
  assert.equal((await bed.ask("/v1/downlink", other)).status, 204);
  const answer = await bed.ask("/v1/downlink", device);
  assert.equal(answer.status, 200);
  assert.deepEqual(
    [...answer.body],
    Array.from({ length: limits.downlinkWaitingMax }, (_, i) => i + 2),
  );
  assert.equal((await bed.ask("/v1/downlink", device)).status, 204);
});

test("each refusal has its problem details", async (t) => {
  let problem: ProblemCode = "envelope-refused";
  const downlink = [Buffer.from("names the refusal")];
  const bed = await openDoor(t, {
    verdict: async () => ({ outcome: "refused", problem, downlink }),
  });
  const refused = await bed.ask("/v1/envelopes", device, { body: "x" });
  assert.equal(codeOf(refused), "envelope-refused");
  assert.equal((await bed.ask("/v1/downlink", device)).body.toString(), "names the refusal");
  problem = "storage-unavailable";
  const later = await bed.ask("/v1/envelopes", device, { body: "x" });
  assert.deepEqual(
    [later.status, codeOf(later), later.headers["retry-after"]],
    [503, problem, "1"],
  );
  const large = Buffer.alloc(limits.arrivalBytesMax + 1);
  const cases: [Promise<Answer>, number, string][] = [
    [bed.ask("/v1/envelopes", device, { body: large }), 413, "body-too-large"],
    [bed.ask("/v1/envelopes", device, { body: "" }), 400, "bad-request"],
    [
      bed.ask("/v1/envelopes", device, {
        body: "{}",
        headers: { "content-type": "application/json" },
      }),
      415,
      "unsupported-media-type",
    ],
    [
      bed.ask("/v1/envelopes", device, { body: "x", headers: { "content-type": "text/html" } }),
      415,
      "unsupported-media-type",
    ],
    [bed.ask("/v1/envelopes", device), 405, "method-not-allowed"],
    [bed.ask("/v1/nothing", device), 404, "not-found"],
  ];
  for (const [asking, status, code] of cases) {
    const answer = await asking;
    assert.deepEqual([answer.status, codeOf(answer)], [status, code]);
  }
  assert.equal(bed.arrivals.length, 2);
});

test("only enrolment is open to those without a certificate; foreign and barred ones are told so", async (t) => {
  const barred = new Map<string, ProblemCode>();
  const bed = await openDoor(t, { barred });
  const foreign = await (await testAuthority()).device("0190bbbb-0000-7000-8000-000000000009");
  const unknown = await authority.device("0190bbbb-0000-7000-8000-000000000008");
  const json = { headers: { "content-type": "application/json" } };
  assert.equal((await bed.ask("/v1/enrol", undefined, { body: "{}", ...json })).status, 201);
  barred.set(other.deviceId, "device-suspended");
  const cases: [ClientIdentity | undefined, number, ProblemCode][] = [
    [undefined, 401, "client-certificate-required"],
    [foreign, 403, "client-certificate-untrusted"],
    [unknown, 403, "certificate-unknown"],
    [other, 403, "device-suspended"],
  ];
  for (const [as, status, code] of cases) {
    const answer = await bed.ask("/v1/envelopes", as, { body: "x" });
    assert.deepEqual([answer.status, codeOf(answer)], [status, code]);
    assert.equal(bed.refusals.at(-1), code);
  }
  assert.equal(bed.arrivals.length, 0);
});

test("a revoked device's open connection ends at once", async (t) => {
  const bed = await openDoor(t);
  const socket = connect({
    ...{ port: bed.port, host: "127.0.0.1", servername: "localhost", ca: authority.ca },
    ...{ cert: device.cert, key: device.key },
  });
  t.after(() => socket.destroy());
  socket.write("GET /v1/downlink HTTP/1.1\r\nhost: localhost\r\n\r\n");
  await new Promise((resolve) => socket.once("data", resolve));
  const closed = new Promise((resolve) => socket.once("close", resolve));
  bed.door.disconnect(device.deviceId);
  await closed;
});

test("a device in debt to its rate waits before its body is read", async (t) => {
  const bed = await openDoor(t);
  const big = Buffer.alloc(limits.arrivalBytesMax);
  let answer: Answer | undefined;
  const enough = Math.ceil(limits.deviceBytesBurst / big.length) * 3;
  for (let i = 0; i < enough && answer?.status !== 429; i++) {
    answer = await bed.ask("/v1/envelopes", device, { body: big });
  }
  assert.equal(answer && codeOf(answer), "rate-limited");
  assert.match(String(answer?.headers["retry-after"]), /^\d+$/);
  assert.equal((await bed.ask("/v1/envelopes", other, { body: "x" })).status, 202);
});

test("curl with a client certificate is a device", { skip: without("curl") }, async (t) => {
  const bed = await openDoor(t);
  const dir = mkdtempSync(join(tmpdir(), "curl-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const envelope = Buffer.from("d08343a1010a", "hex");
  const files = {
    "ca.pem": authority.ca,
    "device.pem": device.cert,
    "device.key": device.key,
    envelope,
  };
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(dir, name), content, { mode: 0o600 });
  for (const header of [["-H", "content-type: application/cbor-seq"], []]) {
    const { stdout } = await run("curl", [
      ...["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", join(dir, "ca.pem")],
      ...["--cert", join(dir, "device.pem"), "--key", join(dir, "device.key"), ...header],
      ...[
        "--data-binary",
        `@${join(dir, "envelope")}`,
        `https://127.0.0.1:${bed.port}/v1/envelopes`,
      ],
    ]);
    assert.equal(stdout, "202");
  }
  for (const arrival of bed.arrivals) assert.deepEqual(Buffer.from(arrival.bytes), envelope);
  assert.equal(bed.arrivals.length, 2);
});

test("a fault while admitting is told without its words", async (t) => {
  const bed = await openDoor(t, { verdict: () => Promise.reject(new Error("secret words")) });
  const answer = await bed.ask("/v1/envelopes", device, { body: "x" });
  assert.deepEqual([answer.status, codeOf(answer)], [500, "internal-fault"]);
  assert.ok(!answer.body.toString().includes("secret"));
});
