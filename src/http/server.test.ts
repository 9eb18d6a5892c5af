import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { z } from "zod";
import { selfSigned } from "../../test/support/self-signed.ts";
import { systemClock } from "../clock.ts";
import { PROBLEMS, Problem, type ProblemCode } from "../problems.ts";
import { StartRefusal } from "../start-refusal.ts";
import { createHttpServer, type HttpOptions } from "./server.ts";

const ROUTE_SECRET = "a value that must not leave";

async function served(t: TestContext, o: Partial<HttpOptions> = {}) {
  const app = await createHttpServer({
    bind: "127.0.0.1",
    ready: {},
    version: "1.2.3",
    clock: systemClock,
    ...o,
  });
  app.post<{ Body: { name: string } }>(
    "/api/echo",
    {
      schema: {
        summary: "Echo.",
        body: z.strictObject({ name: z.string().max(5), at: z.int().optional() }),
        response: { 200: z.object({ name: z.string() }) },
      },
    },
    async (request) => ({ name: request.body.name }),
  );
  app.get<{ Params: { code: ProblemCode } }>("/api/refuse/:code", async (request) => {
    throw new Problem(request.params.code, { detail: "words for the caller" });
  });
  app.get("/fhir/R4/refuse", async () => {
    throw new Problem("not-found");
  });
  app.get("/api/fault", async () => {
    throw new Error(ROUTE_SECRET);
  });
  app.get("/fhir/R4/fault", async () => {
    throw new TypeError(ROUTE_SECRET);
  });
  app.get("/api/live", { websocket: true }, (socket) => socket.send("hello"));
  const url = await app.listen({ port: 0, host: "127.0.0.1" });
  t.after(() => app.close());
  return { app, url };
}

test("a refusal is problem details whose type leads to a page that explains it", async (t) => {
  const { url } = await served(t);
  const response = await fetch(`${url}/api/refuse/device-suspended`);
  assert.equal(response.status, 403);
  assert.equal(response.headers.get("content-type"), "application/problem+json");
  const body = (await response.json()) as Record<string, string>;
  const { instance, ...rest } = body;
  assert.deepEqual(rest, {
    type: "/problems/device-suspended",
    title: "the device is suspended",
    status: 403,
    detail: "words for the caller",
  });
  assert.equal(instance, `urn:vitalward:request:${response.headers.get("x-request-id")}`);
  const page = await fetch(`${url}${body.type}`);
  assert.equal(page.status, 200);
  assert.match(await page.text(), /the device is suspended/);
  assert.equal((await fetch(`${url}/problems/nothing-such`)).status, 404);
  assert.equal((await fetch(`${url}/problems/constructor`)).status, 404);
});

test("every problem has a page, and none of them holds markup of its own", async (t) => {
  const { url } = await served(t);
  for (const [code, row] of Object.entries(PROBLEMS)) {
    assert.doesNotMatch(code + row.title, /[<>&"]/);
    const response = await fetch(`${url}/problems/${code}`, {
      headers: { accept: "application/json" },
    });
    assert.deepEqual(await response.json(), { code, ...row });
  }
});

test("under /fhir a refusal is an OperationOutcome", async (t) => {
  const { url } = await served(t);
  for (const path of ["/fhir/R4/refuse", "/fhir/R4/Nothing/1"]) {
    const response = await fetch(`${url}${path}`);
    assert.equal(response.status, 404);
    assert.match(response.headers.get("content-type") ?? "", /^application\/fhir\+json/);
    const outcome = (await response.json()) as { resourceType: string; issue: { code: string }[] };
    assert.equal(outcome.resourceType, "OperationOutcome");
    assert.equal(outcome.issue[0]?.code, "not-found");
  }
});

test("an unknown error says nothing about itself", async (t) => {
  const { url } = await served(t);
  for (const path of ["/api/fault", "/fhir/R4/fault"]) {
    const response = await fetch(`${url}${path}`);
    const text = await response.text();
    assert.equal(response.status, 500);
    assert.ok(!text.includes(ROUTE_SECRET));
    assert.match(text, /internal-fault/);
  }
});

test("a bad field is named, its value is not repeated", async (t) => {
  const { url } = await served(t);
  const post = (body: string, type = "application/json") =>
    fetch(`${url}/api/echo`, { method: "POST", headers: { "content-type": type }, body });
  const cases: [string, RegExp][] = [
    ['{"name":"far too long a name"}', /^body\.name: /],
    ['{"name":"ok","at":"noon"}', /^body\.at: /],
    ['{"name":"ok","surname":"Example"}', /^body: has a field we do not know$/],
    ["{}", /^body\.name: /],
    ["[]", /^body: /],
  ];
  for (const [body, expected] of cases) {
    const response = await post(body);
    const told = (await response.json()) as { type: string; detail: string };
    assert.equal(response.status, 400);
    assert.equal(told.type, "/problems/bad-request");
    assert.match(told.detail, expected);
    assert.doesNotMatch(told.detail, /far too|noon|surname|Example/);
  }
  assert.equal((await post("{broken")).status, 400);
  assert.equal((await post("<x/>", "text/xml")).status, 415);
  assert.equal((await post(`{"name":"${"x".repeat(300_000)}"}`)).status, 413);
  assert.deepEqual(await (await post('{"name":"ok"}')).json(), { name: "ok" });
});

test("a known address with a wrong method is told which ones there are", async (t) => {
  const { url } = await served(t);
  const response = await fetch(`${url}/api/echo`, { method: "DELETE" });
  assert.equal(response.status, 405);
  assert.equal(response.headers.get("allow"), "POST");
  assert.equal((await fetch(`${url}/api/nothing`, { method: "DELETE" })).status, 404);
  assert.equal((await fetch(`${url}/%ZZ`)).status, 400, "a bad address takes the same way out");
});

test("pages may run this server's scripts only, and nobody may frame them", async (t) => {
  const { url } = await served(t);
  const { headers } = await fetch(`${url}/health/live`);
  const policy = headers.get("content-security-policy") ?? "";
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /script-src 'self'(;|$)/);
  assert.match(policy, /frame-ancestors 'none'/);
  assert.doesNotMatch(policy, /unsafe-eval|script-src[^;]*unsafe-inline|https?:|\*/);
  assert.equal(headers.get("x-content-type-options"), "nosniff");
  assert.equal(headers.get("referrer-policy"), "no-referrer");
  assert.equal(headers.get("strict-transport-security"), null, "plain HTTP on loopback");
});

test("another host name is refused on loopback: a foreign page cannot rebind its name to us", async (t) => {
  const { url } = await served(t);
  const { port } = new URL(url);
  const statusFor = (host: string) =>
    new Promise<number>((resolve, reject) => {
      const options = { host: "127.0.0.1", port, path: "/health/live", headers: { host } };
      request(options, (response) => resolve(response.resume().statusCode ?? 0))
        .on("error", reject)
        .end();
    });
  for (const host of ["localhost", "127.0.0.1", "[::1]"]) {
    assert.equal(await statusFor(`${host}:${port}`), 200, host);
  }
  assert.equal(await statusFor("evil.example"), 421);
  assert.equal(await statusFor(`localhost.evil.example:${port}`), 421);
});

test("a configured name is answered, and its pages may write", async (t) => {
  const { app } = await served(t, { publicOrigins: ["https://ward.example"] });
  const inject = (origin: string) =>
    app.inject({
      method: "POST",
      url: "/api/echo",
      headers: { host: "ward.example", origin, cookie: "a=b" },
      payload: { name: "ok" },
    });
  assert.equal((await inject("https://ward.example")).statusCode, 200);
  assert.equal((await inject("https://evil.example")).statusCode, 403);
});

test("a WebSocket opens for our own pages and for no other site", async (t) => {
  const { app, url } = await served(t);
  const { port } = new URL(url);
  const upgrade = (origin: string) =>
    new Promise<string>((resolve) => {
      const headers = {
        connection: "Upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": Buffer.alloc(16, 1).toString("base64"),
        origin,
      };
      request({ host: "127.0.0.1", port, path: "/api/live", headers })
        .on("upgrade", (response, socket) => {
          socket.destroy();
          resolve(`opened ${response.statusCode}`);
        })
        .on("response", (response) => resolve(`refused ${response.resume().statusCode}`))
        // The socket closes with the refusal, which may overtake its words.
        .on("error", () => resolve("refused 403"))
        .end();
    });
  assert.equal(await upgrade(url), "opened 101");
  assert.equal(await upgrade("https://evil.example"), "refused 403");
  assert.equal(await upgrade("null"), "refused 403");
  assert.equal(await upgrade(url), "opened 101", "and the door still opens to its own");
  await app.close(); // no socket of a refused caller holds it up
});

test("ready says which part cannot work, and gives a slow part a bounded time", async (t) => {
  let isUp = true;
  const { url } = await served(t, {
    ready: {
      database: async () => {
        if (!isUp) throw new Error("gone");
      },
      keystore: async () => {},
    },
  });
  const ask = async () => {
    const response = await fetch(`${url}/health/ready`);
    return [response.status, await response.json()];
  };
  const up = { database: "ok", keystore: "ok" };
  assert.deepEqual(await ask(), [200, { status: "ready", checks: up }]);
  isUp = false;
  const down = { ...up, database: "failed" };
  assert.deepEqual(await ask(), [503, { status: "not-ready", checks: down }]);
  assert.deepEqual(await (await fetch(`${url}/health/live`)).json(), { status: "live" });
});

test("OpenAPI 3.1 describes the routes from the schemas that check them", async (t) => {
  const { url } = await served(t);
  const api = (await (await fetch(`${url}/api/openapi.json`)).json()) as {
    openapi: string;
    info: { version: string };
    paths: Record<string, Record<string, { requestBody?: unknown; responses: object }>>;
  };
  assert.equal(api.openapi, "3.1.0");
  assert.equal(api.info.version, "1.2.3");
  const echo = api.paths["/api/echo"]?.post;
  assert.match(JSON.stringify(echo?.requestBody), /"maxLength":5/);
  assert.match(JSON.stringify(echo?.requestBody), /"additionalProperties":false/);
  assert.deepEqual(Object.keys(echo?.responses ?? {}).sort(), ["200", "default"]);
  assert.ok(!Object.keys(api.paths).some((path) => path.startsWith("/fhir")));
});

test("metrics count requests by route, never by address", async (t) => {
  const { url } = await served(t);
  await fetch(`${url}/api/refuse/not-found`);
  const text = await (await fetch(`${url}/metrics`)).text();
  assert.match(text, /vitalward_http_request_seconds_count\{[^}]*route="\/api\/refuse\/:code"/);
  assert.ok(!text.includes("/api/refuse/not-found"));
});

test("metrics are open to this machine only; elsewhere and behind a proxy they take the token", async (t) => {
  const ask = async (url: string, authorization?: string) => {
    const headers = authorization === undefined ? {} : { authorization };
    const response = await fetch(`${url}/metrics`, { headers });
    await response.text();
    return response.status;
  };
  const open = await served(t);
  assert.equal(await ask(open.url), 200);
  for (const name of ["x-forwarded-for", "forwarded", "via"]) {
    const response = await fetch(`${open.url}/metrics`, { headers: { [name]: "192.0.2.7" } });
    assert.equal(response.status, 401, name);
  }
  const publicOrigins = ["https://ward.example"];
  const { url } = await served(t, { publicOrigins, metricsToken: "the-token" });
  assert.equal(await ask(url), 401);
  assert.equal(await ask(url, "Bearer another-token"), 401);
  assert.equal(await ask(url, "Basic the-token"), 401);
  assert.equal(await ask(url, "Bearer the-token"), 200);
  const shut = await served(t, { publicOrigins });
  assert.equal(await ask(shut.url), 401);
  assert.equal(await ask(shut.url, "Bearer undefined"), 401);
});

test("a server that others reach gives its metrics to nobody without the token", async (t) => {
  const { pem, keyPem } = selfSigned();
  const app = await createHttpServer({
    bind: "192.0.2.1",
    tls: { cert: pem, key: keyPem },
    metricsToken: "the-token",
    ready: {},
    version: "0",
    clock: systemClock,
  });
  t.after(() => app.close());
  const ask = async (headers: Record<string, string>) =>
    (await app.inject({ url: "/metrics", headers: { host: "192.0.2.1", ...headers } })).statusCode;
  assert.equal(await ask({}), 401);
  assert.equal(await ask({ authorization: "Bearer the-token" }), 200);
});

test("the console is served with its own routes, and its named files are kept for ever", async (t) => {
  const consoleDir = mkdtempSync(join(tmpdir(), "console-"));
  t.after(() => rmSync(consoleDir, { recursive: true }));
  mkdirSync(join(consoleDir, "assets"));
  writeFileSync(join(consoleDir, "index.html"), "<!doctype html><title>ward</title>");
  writeFileSync(join(consoleDir, "assets", "main-abc123.js"), "export {};");
  const { url } = await served(t, { consoleDir });
  const page = { headers: { accept: "text/html" } };
  for (const path of ["/", "/patients/1"]) {
    const response = await fetch(`${url}${path}`, page);
    assert.equal(response.status, 200, path);
    assert.match(await response.text(), /ward/);
    assert.equal(response.headers.get("cache-control"), "no-cache");
  }
  const script = await fetch(`${url}/assets/main-abc123.js`);
  assert.match(script.headers.get("cache-control") ?? "", /immutable/);
  for (const path of ["/api/nothing", "/assets/gone.js", "/fhir/R4/Nothing", "/health/nothing"]) {
    assert.equal((await fetch(`${url}${path}`, page)).status, 404, path);
  }
  assert.equal((await fetch(`${url}/..%2f..%2fetc%2fpasswd`, page)).status, 404);
});

test("beyond loopback nothing opens without TLS", async () => {
  for (const bind of ["0.0.0.0", "::", "192.0.2.1"]) {
    await assert.rejects(
      createHttpServer({ bind, ready: {}, version: "0", clock: systemClock }),
      (error) => error instanceof StartRefusal && /VITALWARD_TLS_CERT/.test(error.message),
    );
  }
});
