import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { type TestContext, test } from "node:test";
import { movableClock, testTrust } from "../../test/support/trust.ts";
import { createHttpServer } from "../http/server.ts";
import { limits } from "../limits.ts";
import { Presence } from "../presence.ts";
import { Problem } from "../problems.ts";
import { registerDeviceRoutes } from "./device-routes.ts";
import { registerPeopleRoutes } from "./people-routes.ts";
import type { StaffRole } from "./principal.ts";
import { registerSessionRoutes } from "./session-routes.ts";

/** The real server on a free port, with a browser's manners: same origin, one cookie. */
async function house(t: TestContext, o: { secure?: boolean } = {}) {
  const clock = movableClock();
  const trust = await testTrust(t, { clock, secure: o.secure ?? false });
  const app = await createHttpServer({ bind: "127.0.0.1", ready: {}, version: "0", clock });
  registerSessionRoutes(app, { access: trust.access, clock, secure: o.secure ?? false });
  registerPeopleRoutes(app, { access: trust.access });
  registerDeviceRoutes(app, {
    access: trust.access,
    registry: trust.registry,
    presence: new Presence(),
    doorUrl: () => "https://127.0.0.1:8443",
  });
  const url = await app.listen({ port: 0, host: "127.0.0.1" });
  t.after(() => app.close());
  const call = async (
    method: string,
    path: string,
    more: { cookie?: string; token?: string; body?: unknown; origin?: string | null } = {},
  ) => {
    const origin = more.origin === undefined ? url : more.origin;
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...(more.cookie === undefined ? {} : { cookie: more.cookie }),
        ...(more.token === undefined ? {} : { authorization: `Bearer ${more.token}` }),
        ...(origin === null ? {} : { origin }),
        ...(more.body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(more.body === undefined ? {} : { body: JSON.stringify(more.body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, json: text && JSON.parse(text) };
  };
  const signIn = async (role: StaffRole) => {
    const person = await trust.access.createPerson({ name: `The ${role}`, role });
    const { secret } = await trust.access.createSignInLink(person.id);
    const answer = await call("POST", "/api/session", { body: { secret } });
    const setCookie = answer.headers.get("set-cookie") ?? "";
    return { person, secret, answer, setCookie, cookie: setCookie.split(";")[0] ?? "" };
  };
  return { ...trust, clock, url, call, signIn };
}

test("a sign-in link gives one session, once; a used one says how to get another", async (t) => {
  const { call, signIn } = await house(t);
  const { person, secret, answer, setCookie, cookie } = await signIn("nurse");
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.json.person, { id: person.id, name: "The nurse", role: "nurse" });
  assert.match(setCookie, /^vitalward-session=/);
  assert.match(setCookie, /HttpOnly/);
  assert.match(setCookie, /SameSite=Strict/);
  assert.doesNotMatch(setCookie, /Secure|Domain/);
  const me = await call("GET", "/api/session", { cookie });
  assert.deepEqual(me.json.person, { id: person.id, name: "The nurse", role: "nurse" });
  const again = await call("POST", "/api/session", { body: { secret } });
  assert.equal(again.status, 410);
  assert.equal(again.json.type, "/problems/sign-in-link-used");
  assert.match(again.json.detail, /vitalward token/);
});

test("a link used twice at the same moment lets one in", async (t) => {
  const { access, call } = await house(t);
  const person = await access.createPerson({ name: "P", role: "doctor" });
  const { secret } = await access.createSignInLink(person.id);
  const tries = Array.from({ length: 6 }, () => call("POST", "/api/session", { body: { secret } }));
  const statuses = (await Promise.all(tries)).map((answer) => answer.status).sort();
  assert.deepEqual(statuses, [200, 410, 410, 410, 410, 410]);
});

test("a link ends after 15 minutes, and for a person who left; both look like an unknown one", async (t) => {
  const { access, call, clock } = await house(t);
  const person = await access.createPerson({ name: "P", role: "doctor" });
  const late = await access.createSignInLink(person.id);
  clock.advance(limits.signInLinkLifeMs);
  const gone = await access.createSignInLink(person.id);
  await access.deactivate(person.id);
  const answers = await Promise.all(
    [late.secret, gone.secret, "nobody-knows-it"].map((secret) =>
      call("POST", "/api/session", { body: { secret } }),
    ),
  );
  const seen = answers.map(({ status, json }) => [status, json.type, json.detail]);
  assert.equal(seen[0]?.[0], 410);
  assert.deepEqual(seen[1], seen[0]);
  assert.deepEqual(seen[2], seen[0]);
});

test("where browsers come by https the cookie is __Host- and Secure", async (t) => {
  const { signIn } = await house(t, { secure: true });
  const { setCookie } = await signIn("nurse");
  assert.match(setCookie, /^__Host-vitalward-session=/);
  assert.match(setCookie, /Secure/);
  assert.match(setCookie, /Path=\//);
});

test("a session ends when idle, at its absolute end, and by signing out", async (t) => {
  const { call, clock, signIn } = await house(t);
  const { cookie } = await signIn("nurse");
  clock.advance(limits.sessionIdleMs - 1_000);
  assert.equal((await call("GET", "/api/session", { cookie })).status, 200);
  clock.advance(limits.sessionIdleMs);
  const idle = await call("GET", "/api/session", { cookie });
  assert.equal(idle.status, 401);
  assert.equal(idle.json.type, "/problems/not-signed-in");
  assert.match(idle.headers.get("www-authenticate") ?? "", /^Bearer/);

  const second = await signIn("nurse");
  for (let passedMs = 0; passedMs < limits.sessionLifeMs; passedMs += limits.sessionIdleMs / 2) {
    await call("GET", "/api/session", { cookie: second.cookie });
    clock.advance(limits.sessionIdleMs / 2);
  }
  assert.equal((await call("GET", "/api/session", { cookie: second.cookie })).status, 401);

  const third = await signIn("nurse");
  assert.equal((await call("DELETE", "/api/session", { cookie: third.cookie })).status, 204);
  assert.equal((await call("GET", "/api/session", { cookie: third.cookie })).status, 401);
});

test("a bearer token works for an hour; a cookie's value is no token", async (t) => {
  const { access, call, clock, signIn } = await house(t);
  const { person, cookie } = await signIn("doctor");
  const { token } = await access.createToken(person.id);
  assert.equal((await call("GET", "/api/session", { token })).status, 200);
  const borrowed = cookie.split("=")[1] ?? "";
  assert.equal((await call("GET", "/api/session", { token: borrowed })).status, 401);
  clock.advance(limits.tokenLifeMs);
  assert.equal((await call("GET", "/api/session", { token })).status, 401);
});

test("a write with a cookie from another site, or from nowhere, is refused", async (t) => {
  const { call, signIn } = await house(t);
  const { cookie } = await signIn("nurse");
  for (const origin of ["https://evil.example", "null", null]) {
    const answer = await call("DELETE", "/api/session", { cookie, origin });
    assert.equal(answer.status, 403);
    assert.equal(answer.json.type, "/problems/foreign-origin");
  }
  assert.equal((await call("GET", "/api/session", { cookie })).status, 200, "still signed in");
});

test("signing in by link is limited in rate for an address", async (t) => {
  const { call } = await house(t);
  const tries = Array.from({ length: limits.signInTriesPerMinute + 3 }, () =>
    call("POST", "/api/session", { body: { secret: "guess" } }),
  );
  const statuses = (await Promise.all(tries)).map((answer) => answer.status);
  assert.equal(statuses.filter((status) => status === 429).length, 3);
});

test("sessions, people, care teams and preferences outlive a restart; the secrets are nowhere in the tables", async (t) => {
  const first = await testTrust(t);
  const person = await first.access.createPerson({ name: "Nora Example", role: "nurse" });
  const patientId = randomUUID();
  await first.access.addToCareTeam(person.id, patientId);
  const { token } = await first.access.createToken(person.id);
  const link = await first.access.createSignInLink(person.id);
  const saved = { ...(await first.access.preferences(person.id)), theme: "dark" as const };
  await first.access.savePreferences(person.id, saved);
  await first.close();
  const { database, keystoreDir } = first;
  const dump = JSON.stringify([
    (await database.pool.query("SELECT * FROM session")).rows,
    (await database.pool.query("SELECT * FROM sign_in_link")).rows,
  ]);
  assert.ok(dump.includes(person.id), "the control is found");
  for (const secret of [token, link.secret]) {
    assert.ok(!dump.includes(secret));
    assert.ok(!dump.includes(Buffer.from(secret, "base64url").toString("hex")));
  }
  const second = await testTrust(t, { database, keystoreDir });
  const principal = await second.access.authenticate({
    headers: { authorization: `Bearer ${token}` },
    cookies: {},
  } as never);
  assert.equal(principal.id, person.id);
  assert.deepEqual(await second.access.patientsOf(principal), [patientId]);
  assert.deepEqual(await second.access.person(person.id), person);
  assert.deepEqual(await second.access.preferences(person.id), saved);
});

test("who may write the database but has no keystore signs in as nobody", async (t) => {
  const first = await testTrust(t);
  const person = await first.access.createPerson({ name: "Nora Example", role: "nurse" });
  await first.access.createToken(person.id);
  await first.close();
  const { database, keystoreDir } = first;
  const secret = Buffer.alloc(32, 7).toString("base64url");
  for (const guess of [secret, `vitalward/bearer/1\0${secret}`]) {
    await database.pool.query(
      `INSERT INTO session SELECT tenant_id, $1, gen_random_uuid(), person_id, means, started_ms, seen_ms, expires_ms
       FROM session LIMIT 1`,
      [createHash("sha256").update(guess).digest()],
    );
  }
  const second = await testTrust(t, { database, keystoreDir });
  const request = { headers: { authorization: `Bearer ${secret}` }, cookies: {} } as never;
  await assert.rejects(
    second.access.authenticate(request),
    (error) => error instanceof Problem && error.code === "not-signed-in",
  );
});

test("only an administrator reaches the administrators' routes, and each change is written down", async (t) => {
  const { audit, call, signIn } = await house(t);
  const { cookie: nurse } = await signIn("nurse");
  const { cookie, person: by } = await signIn("administrator");
  const routes = [
    ["GET", "/api/people"],
    ["POST", "/api/people", { name: "X", role: "nurse" }],
    ["PUT", `/api/people/${randomUUID()}/role`, { role: "nurse" }],
    ["DELETE", `/api/people/${randomUUID()}`],
    ["POST", `/api/people/${randomUUID()}/sign-in-link`],
    ["POST", "/api/care-team", { personId: randomUUID(), patientId: randomUUID() }],
    ["DELETE", "/api/care-team", { personId: randomUUID(), patientId: randomUUID() }],
    ["GET", "/api/devices"],
    ["GET", `/api/devices/${randomUUID()}`],
    ["POST", "/api/devices", { label: "Monitor", kind: "patient-monitor" }],
    ["POST", `/api/devices/${randomUUID()}/claim`],
    ["PUT", `/api/devices/${randomUUID()}/assignment`, { patientId: null }],
    ["POST", `/api/devices/${randomUUID()}/suspend`],
    ["POST", `/api/devices/${randomUUID()}/resume`],
    ["POST", `/api/devices/${randomUUID()}/revoke`],
  ] as const;
  for (const [method, path, body] of routes) {
    const stranger = await call(method, path, { body });
    assert.equal(stranger.status, 401, `${method} ${path} without sign-in`);
    const forbidden = await call(method, path, { body, cookie: nurse });
    assert.equal(forbidden.status, 403, `${method} ${path} as a nurse`);
    assert.equal(forbidden.json.type, "/problems/forbidden");
  }
  const made = await call("POST", "/api/people", {
    cookie,
    body: { name: "Dora", role: "doctor" },
  });
  assert.equal(made.status, 201);
  assert.equal(made.json.name, "Dora");
  const patientId = randomUUID();
  const member = { personId: made.json.id, patientId };
  assert.equal((await call("POST", "/api/care-team", { cookie, body: member })).status, 204);
  assert.equal((await call("DELETE", "/api/care-team", { cookie, body: member })).status, 204);
  const changes = (await audit.entries(patientId)).map((one) => [one.action, one.principalId]);
  assert.deepEqual(changes, [
    ["join-care-team", by.id],
    ["leave-care-team", by.id],
  ]);
  const device = await call("POST", "/api/devices", {
    cookie,
    body: { label: "Monitor 3", kind: "patient-monitor", patientId },
  });
  assert.equal(device.status, 201);
  assert.match(device.json.claimCode, /^[0-9A-Z]{5}(-[0-9A-Z]{5}){3}$/);
  const listed = await call("GET", `/api/devices/${device.json.deviceId}`, { cookie });
  assert.equal(listed.json.state, "claimed");
  const bad = await call("POST", "/api/people", { cookie, body: { name: "Dora", role: "king" } });
  assert.equal(bad.status, 400);
  assert.match(bad.json.detail, /^body\.role: /);
  assert.ok(!bad.json.detail.includes("king"));
});
