import assert from "node:assert/strict";
import { test } from "node:test";
import { zstdCompressSync } from "node:zlib";
import { ByteWriter } from "../../src/store/bytes.ts";
import { unpack } from "../../src/store/content.ts";
import { writeOrigins } from "../../src/store/origins.ts";
import { fuzz } from "./main.ts";
import * as target from "./store.ts";

test("each seed of the store fuzzer opens or decodes", () => {
  for (const seed of target.seeds) target.run(seed);
  assert.ok(target.isTaken(() => unpack(target.seeds[0] as Uint8Array)));
  assert.ok(target.isTaken(() => unpack(target.seeds[1] as Uint8Array)));
});

test("a run that claims more values than any segment holds is refused before room is made for it", () => {
  for (const length of [2 ** 31, 2 ** 40]) {
    const writer = new ByteWriter();
    for (const number of [360, 1, 1]) writer.uint(number);
    writer.int(0);
    for (const number of [length, 0, 0, 0]) writer.uint(number);
    writeOrigins(writer, target.origins(), new Float64Array(2));
    const packed = Buffer.concat([Uint8Array.of(2, 1), zstdCompressSync(writer.view())]);
    assert.equal(
      target.isTaken(() => unpack(packed)),
      false,
    );
  }
});

test("ten thousand altered seals stay shut, and altered columns are typed or refused", async () => {
  const seed = Date.now() % 1_000_000_000;
  console.log(`seed ${seed}`);
  await fuzz(target, 10_000, seed);
});
