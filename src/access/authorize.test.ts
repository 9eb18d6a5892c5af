import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { type TestContext, test } from "node:test";
import { movableClock, type Trust, testTrust } from "../../test/support/trust.ts";
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import type { AccessRequest } from "./authorize.ts";
import { Permit, takeMint } from "./permit.ts";
import { type Principal, servicePrincipal } from "./principal.ts";

const code = (expected: string) => (error: unknown) =>
  error instanceof Problem && error.code === expected;

/** A ward with one patient; a signed-in nurse of its team. */
async function ward(t: TestContext, o: { clock?: Trust["clock"] } = {}) {
  const trust = await testTrust(t, o);
  const patientId = randomUUID();
  const person = await trust.access.createPerson({ name: "Nora Example", role: "nurse" });
  await trust.access.addToCareTeam(person.id, patientId);
  const principal = await signedIn(trust, person.id);
  const ask = (more: Partial<AccessRequest> = {}): AccessRequest => ({
    principal,
    patientId,
    purpose: "TREAT",
    categories: ["vital-signs"],
    action: "read",
    ...more,
  });
  return { ...trust, patientId, person, principal, ask };
}

async function signedIn(trust: Trust, personId: string): Promise<Principal> {
  const { token } = await trust.access.createToken(personId);
  return trust.access.authenticate(asking({ authorization: `Bearer ${token}` }));
}

/** The part of a request that `authenticate` looks at. */
function asking(headers: Record<string, string>, cookies: Record<string, string> = {}) {
  return { headers, cookies } as never;
}

test("a nurse of the care team gets a live permit whose audit entry is already durable", async (t) => {
  const { access, audit, ask, patientId, principal, database } = await ward(t);
  const permit = await access.permit(ask());
  assert.ok(Permit.is(permit) && permit.live);
  assert.ok(permit.covers(patientId, "vital-signs"));
  assert.ok(!permit.covers(patientId, "waveform"));
  assert.ok(!permit.covers(randomUUID(), "vital-signs"));
  assert.equal(permit.tenantId, database.tenantId);
  const entries = await audit.entries(patientId);
  assert.equal(entries.length, 1);
  assert.equal(entries[0]?.entryId, permit.id);
  assert.equal(entries[0]?.what, "permitted");
  assert.equal(entries[0]?.reason, "care-team");
  assert.equal(entries[0]?.principalId, principal.id);
});

test("forbidden, unknown and malformed patients get the same answer by the same logged path", async (t) => {
  const { access, audit, ask } = await ward(t);
  const stranger = randomUUID();
  const answers = [
    await access.authorize(ask({ patientId: stranger })),
    await access.authorize(ask({ patientId: randomUUID() })),
    await access.authorize(ask({ patientId: "no-such-form" })),
  ];
  for (const answer of answers) {
    assert.deepEqual({ ...answer }, { denied: true, problem: "not-found" });
  }
  const [entry] = await audit.entries(stranger);
  assert.equal(entry?.what, "denied");
  assert.equal(entry?.reason, "not-on-care-team");
  const unplaced = (await audit.entries(undefined)).filter((one) => one.what === "denied");
  assert.equal(unplaced.length, 1);
  await assert.rejects(access.permit(ask({ patientId: stranger })), code("not-found"));
});

test("no audit entry, no permit: what cannot be written down does not happen", async (t) => {
  const { access, ask, database } = await ward(t);
  await database.pool.query("ALTER TABLE audit_entry RENAME TO audit_entry_away");
  await assert.rejects(access.authorize(ask()), /audit_entry/);
  await database.pool.query("ALTER TABLE audit_entry_away RENAME TO audit_entry");
  assert.ok((await access.permit(ask())).live, "and it recovers without a restart");
});

test("the audit row shows neither the person's role nor what was asked for", async (t) => {
  const { access, ask, database } = await ward(t);
  await access.permit(ask());
  const { rows } = await database.pool.query("SELECT * FROM audit_entry");
  const text = JSON.stringify(rows, (_, value) =>
    value?.type === "Buffer" ? Buffer.from(value.data).toString("latin1") : value,
  );
  for (const word of ["nurse", "vital-signs", "TREAT", "Nora"]) assert.ok(!text.includes(word));
  const people = await database.pool.query("SELECT sealed FROM person");
  assert.ok(!Buffer.from(people.rows[0].sealed).toString("latin1").includes("Nora"));
});

test("a held lease is handed out again, also to those who ask at once; another question gets its own", async (t) => {
  const { access, audit, ask, patientId } = await ward(t);
  const [first, second] = await Promise.all([access.permit(ask()), access.permit(ask())]);
  assert.equal(first, second);
  assert.equal(await access.permit(ask()), first);
  assert.notEqual(await access.permit(ask({ action: "export" })), first);
  assert.notEqual(await access.permit(ask({ categories: ["waveform"] })), first);
  assert.equal((await audit.entries(patientId)).length, 3);
});

test("a lease ends after a minute, and its closing entry says what was opened", async (t) => {
  const clock = movableClock();
  const { access, audit, ask, patientId, close } = await ward(t, { clock });
  const permit = await access.permit(ask());
  permit.noteOpened("vital-signs", 681);
  permit.noteOpened("vital-signs", 679);
  clock.advance(limits.permitLifeMs - 1_000);
  assert.ok(permit.live);
  const next = await access.permit(ask());
  assert.notEqual(next, permit, "near its end a lease is not handed out again");
  clock.advance(1_001);
  assert.ok(!permit.live);
  assert.throws(() => Permit.check(permit), code("permit-ended"));
  await close();
  const closed = (await audit.entries(patientId)).filter((one) => one.what === "closed");
  const mine = closed.find((one) => one.opened === permit.id);
  assert.deepEqual(mine?.extent, [["vital-signs", 679, 681]]);
  assert.ok(mine?.reason === "expired" || mine?.reason === "closed");
  assert.deepEqual(closed.find((one) => one.opened === next.id)?.extent, []);
});

async function endsAtOnce(
  t: TestContext,
  end: (w: Awaited<ReturnType<typeof ward>>) => Promise<void>,
) {
  const w = await ward(t);
  const permit = await w.access.permit(w.ask());
  const aborted = new Promise((resolve) => permit.signal.addEventListener("abort", resolve));
  await end(w);
  await aborted;
  assert.ok(!permit.live);
  assert.deepEqual(
    { ...(await w.access.authorize(w.ask())) },
    { denied: true, problem: "not-found" },
  );
}

test("leaving the care team ends its permits at once", (t) =>
  endsAtOnce(t, ({ access, person, patientId }) =>
    access.removeFromCareTeam(person.id, patientId),
  ));

test("signing out ends the session's permits at once", (t) =>
  endsAtOnce(t, ({ access, principal }) => access.signOut(principal)));

test("a change of role ends the person's permits at once", (t) =>
  endsAtOnce(t, ({ access, person }) => access.changeRole(person.id, "administrator")));

test("deactivating a person ends sessions and permits at once", async (t) => {
  await endsAtOnce(t, ({ access, person }) => access.deactivate(person.id));
});

test("a lease of another patient or person stays when one ends", async (t) => {
  const { access, ask, person, patientId } = await ward(t);
  const other = randomUUID();
  await access.addToCareTeam(person.id, other);
  const kept = await access.permit(ask({ patientId: other }));
  await access.permit(ask());
  await access.removeFromCareTeam(person.id, patientId);
  assert.ok(kept.live);
});

test("a session that ran out takes its permits with it", async (t) => {
  const clock = movableClock();
  const { access, ask } = await ward(t, { clock });
  clock.advance(limits.tokenLifeMs - 10_000);
  const permit = await access.permit(ask());
  clock.advance(10_000);
  assert.deepEqual(
    { ...(await access.authorize(ask({ action: "search" }))) },
    {
      denied: true,
      problem: "not-found",
    },
  );
  await new Promise((resolve) => permit.signal.addEventListener("abort", resolve));
  assert.ok(!permit.live);
});

test("services get their own permits: alerting stands for a day, maintenance for a minute", async (t) => {
  const clock = movableClock();
  const { access, patientId } = await ward(t, { clock });
  const alerting = await access.permit({
    principal: servicePrincipal("alerting"),
    patientId,
    purpose: "ALERT",
    categories: ["vital-signs", "waveform"],
    action: "subscribe",
  });
  const maintenance = await access.permit({
    principal: servicePrincipal("maintenance"),
    patientId,
    purpose: "MAINT",
    categories: "all",
    action: "maintain",
  });
  clock.advance(limits.permitLifeMs);
  assert.ok(alerting.live);
  assert.ok(!maintenance.live);
  clock.advance(limits.alertingPermitLifeMs);
  assert.ok(!alerting.live);
});

test("asking for what is forbidden is limited in rate", async (t) => {
  const { access, ask } = await ward(t);
  const tries = Array.from({ length: limits.denialsPerMinute + 1 }, () =>
    access.authorize(ask({ patientId: randomUUID() })),
  );
  const verdicts = await Promise.allSettled(tries);
  const refused = verdicts.filter((one) => one.status === "rejected");
  assert.ok(refused.length >= 1);
  assert.ok(code("rate-limited")(refused[0]?.reason));
});

test("a permit cannot be made, copied or minted by others", () => {
  assert.throws(() => takeMint(), /taken/);
  assert.throws(
    () => Reflect.construct(Permit, [Symbol("mint"), {}, () => false]),
    /minted by access\/authorize\.ts/,
  );
  assert.ok(!Permit.is({ live: true, patientId: "p" }));
  assert.ok(!Permit.is(Object.create(Permit.prototype)));
  assert.throws(() => Permit.check(Object.create(Permit.prototype)), code("permit-ended"));
});

test("a lease that two hold is ended by the last of them, so one reader cannot cut off another", async (t) => {
  const { access, ask } = await ward(t);
  const [first, second] = await Promise.all([access.permit(ask()), access.permit(ask())]);
  const third = await access.permit(ask());
  assert.ok(first === second && second === third);
  access.release(first);
  access.release(second);
  assert.ok(third.live);
  access.release(third);
  assert.ok(!third.live);
});

test("a stream that renews at half a life is given a fresh lease, which outlives the old one", async (t) => {
  const clock = movableClock();
  const { access, ask } = await ward(t, { clock });
  const request = ask({ action: "subscribe", leftMs: limits.permitLifeMs * 0.75 });
  const old = await access.permit(request);
  clock.advance(limits.permitLifeMs / 2);
  const fresh = await access.permit(request);
  assert.notEqual(fresh, old);
  assert.ok(old.live);
  access.release(old);
  assert.ok(fresh.live);
});
