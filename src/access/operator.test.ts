import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { testTrust } from "../../test/support/trust.ts";
import { askOperator } from "../cli/operator-client.ts";
import { Problem } from "../problems.ts";
import { StartRefusal } from "../start-refusal.ts";
import type { Person } from "./access.ts";
import { openOperatorDoor, operatorPaths } from "./operator.ts";

const MAIN = fileURLToPath(new URL("../cli/main.ts", import.meta.url));

async function office(t: TestContext, folder = "") {
  const root = mkdtempSync(join(tmpdir(), "office-"));
  const dataDir = join(root, folder);
  mkdirSync(dataDir, { recursive: true });
  const trust = await testTrust(t);
  const door = await openOperatorDoor({
    dataDir,
    access: trust.access,
    registry: trust.registry,
    consoleUrl: () => "http://127.0.0.1:8080",
  });
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= door.close();
    return closing;
  };
  t.after(async () => {
    await close();
    rmSync(root, { recursive: true });
  });
  return { ...trust, dataDir, closeDoor: close };
}

const code = (expected: string) => (error: unknown) =>
  error instanceof Problem && error.code === expected;

test("beside the data folder one makes people, care teams, claims, links and tokens; each is written down", async (t) => {
  const { access, audit, dataDir, registry } = await office(t);
  const patientId = randomUUID();
  const nora = await askOperator<Person>(dataDir, {
    ask: "create-person",
    name: "Nora Example",
    role: "nurse",
  });
  await askOperator(dataDir, { ask: "care-team", as: nora.id, patientId });
  const claim = await askOperator<{ deviceId: string; claimCode: string }>(dataDir, {
    ask: "claim",
    label: "Monitor",
    kind: "patient-monitor",
    patientId,
  });
  assert.equal(registry.device(claim.deviceId)?.state, "claimed");
  for (const as of [nora.id, "nora example", "nurse"]) {
    const { token } = await askOperator<{ token: string }>(dataDir, { ask: "token", as });
    const principal = await access.authenticate({
      headers: { authorization: `Bearer ${token}` },
      cookies: {},
    } as never);
    assert.equal(principal.id, nora.id);
    assert.deepEqual(await access.patientsOf(principal), [patientId]);
  }
  const { url } = await askOperator<{ url: string }>(dataDir, { ask: "link", as: "nurse" });
  const secret = /^http:\/\/127\.0\.0\.1:8080\/#\/sign-in\/([\w-]{43})$/.exec(url)?.[1] ?? "";
  assert.equal((await access.signIn(secret)).person.id, nora.id);
  const actions = (await audit.entries(undefined)).map((one) => one.action);
  for (const action of ["create-person", "create-token", "create-sign-in-link"]) {
    assert.ok(actions.includes(action), action);
  }
  const ofPatient = (await audit.entries(patientId)).map((one) => one.action);
  assert.deepEqual(ofPatient, ["join-care-team", "claim-device"]);
});

test("an unknown person and a senseless question are refused in words", async (t) => {
  const { dataDir } = await office(t);
  await assert.rejects(askOperator(dataDir, { ask: "token", as: "nobody" }), code("not-found"));
  await assert.rejects(
    askOperator(dataDir, { ask: "drop-everything" } as never),
    code("bad-request"),
  );
});

test("only the folder's owner may open the socket, and it goes with the platform", async (t) => {
  const { dataDir, closeDoor } = await office(t);
  const { socket } = operatorPaths(dataDir);
  assert.equal(statSync(socket).mode & 0o777, 0o600);
  await closeDoor();
  assert.ok(!existsSync(socket));
  await assert.rejects(
    askOperator(dataDir, { ask: "people" }),
    (error) => error instanceof StartRefusal && error.message.includes(dataDir),
  );
});

test("a data folder whose path is too long for a socket works all the same", async (t) => {
  const { dataDir } = await office(t, `${"long folder name ".repeat(9)}end`);
  assert.deepEqual(await askOperator(dataDir, { ask: "people" }), []);
});

test("a caller that floods or babbles is cut off, and others are served", async (t) => {
  const { dataDir } = await office(t);
  const { socket } = operatorPaths(dataDir);
  await new Promise<void>((resolve) => {
    const flood = connect(socket, () => flood.write("x".repeat(200_000)));
    flood.on("error", () => undefined).on("close", () => resolve());
  });
  assert.deepEqual(await askOperator(dataDir, { ask: "people" }), []);
});

test("`vitalward token` prints one line a script can use, and says what to do without a platform", async (t) => {
  const { access, dataDir, closeDoor } = await office(t);
  const person = await access.createPerson({ name: "Dora Example", role: "doctor" });
  const run = (...args: string[]) =>
    new Promise<{ status: number; stdout: string; stderr: string }>((resolve) => {
      const env = { PATH: process.env.PATH, VITALWARD_DATA: dataDir };
      execFile(process.execPath, [MAIN, ...args], { env }, (error, stdout, stderr) =>
        resolve({ status: Number(error?.code ?? 0), stdout, stderr }),
      );
    });
  const token = await run("token", "--as", "doctor");
  assert.match(token.stdout, /^[\w-]{43}\n$/);
  const link = await run("token", "--as", "doctor", "--link", "--json");
  assert.match(JSON.parse(link.stdout).url, /\/#\/sign-in\/[\w-]{43}$/);
  assert.match((await run("token")).stdout, new RegExp(`^${person.id} +doctor +Dora Example\n$`));
  await closeDoor();
  const refused = await run("token", "--as", "doctor");
  assert.equal(refused.status, 78);
  assert.match(refused.stderr, /no running platform answers beside the data folder/);
});
