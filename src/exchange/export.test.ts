import assert from "node:assert/strict";
import { test } from "node:test";
import { testPermit } from "../../test/support/permits.ts";
import type { SeriesChunk } from "../store/chunk.ts";
import type { Store } from "../store/store.ts";
import { lines } from "./export.ts";

/** A store whose one answer is a stretch that does not read. */
const damaged = {
  async *read(): AsyncGenerator<SeriesChunk> {
    const unreadable = { fromMs: 0, toMs: 1_000, problem: "series-damaged" };
    yield { mdc: 147842, timesMs: new Float64Array(), unreadable } as unknown as SeriesChunk;
  },
} as unknown as Store;

const permit = () => testPermit({ tenantId: crypto.randomUUID(), patientId: crypto.randomUUID() });

async function textOf(format: "csv" | "ndjson"): Promise<string> {
  let text = "";
  const range = { fromMs: 0, toMs: 2_000 };
  for await (const piece of lines(damaged, permit(), range, format)) text += piece;
  return text;
}

test("a CSV that lacks what could not be read ends in a failure, never as a whole one", async () => {
  await assert.rejects(textOf("csv"), { code: "series-damaged" });
});

test("an ndjson export names what could not be read, and ends whole", async () => {
  const line = JSON.parse(await textOf("ndjson")) as { unreadable: string };
  assert.equal(line.unreadable, "series-damaged");
});
