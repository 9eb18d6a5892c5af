import assert from "node:assert/strict";
import { createHash, createHmac, generateKeyPairSync, randomBytes } from "node:crypto";
import { test } from "node:test";
import { limits } from "../limits.ts";
import { batchLeaf, leafSalt, signBlock, verifyBlock } from "./block.ts";

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

test("a block spans a bounded stretch of numbers: whoever checks it walks over each of them", () => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const certificateHash = randomBytes(32);
  const signer = {
    certificateHash: certificateHash.toString("hex"),
    publicKey: publicKey.export({ type: "spki", format: "der" }),
  };
  const spans = (to: number) =>
    verifyBlock(
      signBlock(
        { certificateHash, privateKey },
        {
          sessionId: "00".repeat(16),
          from: 1,
          to,
          count: 1,
          root: randomBytes(32),
          signedMs: 1,
          lastSequence: 0,
        },
      ),
      signer,
    )?.to;
  const longest = 2 * limits.blockBatchesMax;
  assert.equal(spans(longest), longest);
  assert.equal(spans(longest + 1), undefined);
  assert.equal(spans(2 ** 50), undefined);
});
