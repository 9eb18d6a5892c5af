import assert from "node:assert/strict";
import { createPublicKey, createSecretKey, type webcrypto } from "node:crypto";
import { test } from "node:test";
import {
  algOf,
  encStructure,
  HEADER,
  openEncrypt0,
  parseEncrypt0,
  parseSign1,
  toBeSigned,
  verifySign1,
} from "../../src/envelope/cose.ts";
import { AES_256_GCM, nodeSuite, type Suite } from "../../src/envelope/suites.ts";
import { Problem } from "../../src/problems.ts";
import { readLines, unhex } from "./read.ts";

interface Example {
  title: string;
  fail?: boolean;
  input: {
    plaintext: string;
    sign0?: { key: Record<string, string>; external?: string };
    encrypted?: { external?: string; recipients: { key: { k: string } }[] };
  };
  intermediates: { ToBeSign_hex?: string; AAD_hex?: string };
  output: { cbor: string };
}

/** The examples give keys as JSON Web Keys, some coordinates in hex. */
function keyOf(key: Record<string, string>) {
  const jwk: Record<string, string> = { kty: key.kty!, crv: key.crv! };
  for (const name of ["x", "y"]) {
    const coordinate = key[`${name}_hex`];
    if (coordinate !== undefined) {
      jwk[name] = Buffer.from(coordinate, "hex").toString("base64url");
    } else if (key[name] !== undefined) jwk[name] = key[name];
  }
  return createPublicKey({ key: jwk as webcrypto.JsonWebKey, format: "jwk" });
}

/** Allowed by the standard, refused at our doors: no tag, the algorithm outside the protected header
 * ("pass-01", which also need the empty header rewritten), and SHA-512 with P-256. */
function isTaken(example: Example, tag: RegExp): boolean {
  return tag.test(example.output.cbor) && !/pass-01|SHA-512/.test(example.title);
}

/** The verdict of our reader: undefined when it refuses the form. */
function verdict<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof Problem) return undefined;
    throw error;
  }
}

test("COSE examples, Sign1: what should verify does, what should fail does", () => {
  let passed = 0;
  let failed = 0;
  for (const file of ["sign1-tests", "ecdsa-examples", "eddsa-examples"]) {
    for (const example of readLines<Example>(`cose/${file}.ndjson.gz`)) {
      const { title, fail, input, intermediates, output } = example;
      if (input.sign0 === undefined) continue;
      const key = keyOf(input.sign0.key);
      if (algOf(key) === undefined) continue; // P-384, P-521, Ed448: not ours
      const external = unhex(input.sign0.external ?? "");
      const message = verdict(() => parseSign1(unhex(output.cbor), "bad-request"));
      const isOurs = isTaken(example, /^D2/i);
      const holds = message !== undefined && verifySign1(message, key, external);
      assert.equal(holds, isOurs && fail !== true, title);
      if (!holds) failed++;
      else {
        passed++;
        const signed = toBeSigned(message.protectedBytes, external, message.content);
        const wanted = intermediates.ToBeSign_hex?.toLowerCase();
        assert.equal(Buffer.from(signed).toString("hex"), wanted, title);
      }
    }
  }
  assert.ok(passed >= 3 && failed >= 6, `${passed} hold, ${failed} do not`);
});

const suites = new Map<unknown, Suite>(
  [
    nodeSuite(1, "A128GCM", "aes-128-gcm", 16),
    nodeSuite(2, "A192GCM", "aes-192-gcm", 24),
    AES_256_GCM,
  ].map((suite) => [suite.alg, suite]),
);

test("COSE examples, Encrypt0: what should open does, what should fail does", () => {
  let opened = 0;
  let refused = 0;
  for (const file of ["encrypted-tests", "aes-gcm-examples"]) {
    for (const example of readLines<Example>(`cose/${file}.ndjson.gz`)) {
      const { title, fail, input, intermediates, output } = example;
      if (input.encrypted === undefined) continue;
      const message = verdict(() => parseEncrypt0(unhex(output.cbor), "bad-request"));
      const suite = suites.get(message?.protectedHeader.get(HEADER.alg));
      const secret = Buffer.from(input.encrypted.recipients[0]!.key.k, "base64url");
      const external = unhex(input.encrypted.external ?? "");
      const nonce = message?.unprotectedHeader.get(HEADER.iv);
      const plaintext =
        message && suite && nonce instanceof Uint8Array
          ? openEncrypt0(message, suite, createSecretKey(secret), nonce, external)
          : undefined;
      if (fail === true || !isTaken(example, /^D0/i)) {
        assert.equal(plaintext, undefined, title);
        refused++;
        continue;
      }
      assert.equal(Buffer.from(plaintext!).toString(), input.plaintext, title);
      const aad = Buffer.from(encStructure(message!.protectedBytes, external)).toString("hex");
      assert.equal(aad, intermediates.AAD_hex?.toLowerCase(), title);
      opened++;
    }
  }
  assert.ok(opened >= 5 && refused >= 7, `${opened} open, ${refused} do not`);
});
