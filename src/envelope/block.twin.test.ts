import assert from "node:assert/strict";
import { createHash, createHmac, randomBytes } from "node:crypto";
import { test } from "node:test";
import { batchLeaf, leafSalt } from "./block.ts";

test("salts and leaves equal the ones written plainly from the specification", () => {
  for (const sequence of [1, 255, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 5, 2 ** 52]) {
    const saltKey = randomBytes(32);
    const number = Buffer.alloc(8);
    number.writeBigUInt64BE(BigInt(sequence));
    const salt = createHmac("sha256", saltKey).update("vitalward/1 salt").update(number).digest();
    assert.deepEqual(Buffer.from(leafSalt(saltKey, sequence)), salt);
    const batch = randomBytes(40);
    const leaf = createHash("sha256").update("\0vitalward/1 leaf").update(salt).update(batch);
    assert.deepEqual(Buffer.from(batchLeaf(salt, batch)), leaf.digest());
  }
});
