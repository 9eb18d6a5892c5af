/**
 * Fuzzes the one function behind all device doors, over real database, keystore, registry and store:
 * any bytes give a typed verdict, never a fault, and only what the device sealed is ever admitted.
 */
import assert from "node:assert/strict";
import { systemClock } from "../../src/clock.ts";
import { splitPayload } from "../../src/envelope/payload.ts";
import { PROBLEMS } from "../../src/problems.ts";
import { admissionWorld, joinPayload } from "../support/admission.ts";

const endings: (() => Promise<void> | void)[] = [];
/** Closes what this target opened; a test calls it, else it is done when the program runs dry. */
export async function close(): Promise<void> {
  for (const work of endings.splice(0).reverse()) await work();
}
process.once("beforeExit", () => void close());

// A second passes at each look at the clock, so that the rate limits do not end the run.
let ticksMs = 0;
const clock = {
  ...systemClock,
  monotonicMs: () => {
    ticksMs += 1_000;
    return ticksMs;
  },
};
const world = await admissionWorld({ after: (work) => void endings.unshift(work) }, { clock });
const device = await world.device();
const opening = await device.open();
const envelopes = [
  device.seal([72]),
  device.seal([73, 74, 75]),
  device.sealBlock(),
  device.sealContent({ gaps: [{ from: 1, to: 2, reason: "spool-full" }] }),
];

export const seeds: readonly Uint8Array[] = [
  ...envelopes,
  opening,
  device.begin().opening,
  joinPayload(envelopes),
  joinPayload([opening, envelopes[0] as Uint8Array]),
];

const trueItems = new Set(
  seeds
    .flatMap((seed) => splitPayload(seed))
    .map((item) => Buffer.from(item.bytes).toString("hex")),
);

/** How many cases ended in which way. */
export const outcomes = { admitted: 0, duplicate: 0, refused: 0 };

/** Something that admission takes and that is no seed: `run` must cry out. */
export const unforeseen = (): Uint8Array => device.seal([99]);

/** One case: a typed verdict; and whatever was admitted is one of the items the device made. */
export async function run(bytes: Uint8Array): Promise<void> {
  const verdict = await world.admission.admit(device.arrival(bytes));
  outcomes[verdict.outcome]++;
  if (verdict.outcome === "refused") {
    assert.ok(verdict.problem && verdict.problem in PROBLEMS);
    assert.notEqual(verdict.problem, "internal-fault");
    assert.notEqual(verdict.problem, "rate-limited");
    return;
  }
  assert.equal(verdict.problem, undefined);
  const items = splitPayload(bytes).map((item) => Buffer.from(item.bytes).toString("hex"));
  for (const item of items) assert.ok(trueItems.has(item), "something else was taken");
}

/** What must hold after the seeds and any number of cases. */
export async function verify(): Promise<void> {
  const next = await world.admission.admit(device.arrival(device.seal([76])));
  assert.equal(next.outcome, "admitted", "after all that, the next true envelope is taken");
  const stored = await world.stored(device.patientId);
  assert.equal(stored.at(-1)?.mantissa, 76);
  const values = stored.slice(0, -1).map((sample) => sample.mantissa);
  assert.deepEqual(values, [72, 73, 74, 75], "each sealed value once, and nothing else");
}
