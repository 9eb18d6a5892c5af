import assert from "node:assert/strict";
import { createPublicKey, createSecretKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
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

type Headers = Record<string, unknown>;
interface Example {
  file: string;
  title: string;
  fail?: boolean;
  input: {
    plaintext: string;
    failures?: Headers;
    sign0?: { key: Record<string, string>; protected?: Headers; external?: string };
    encrypted?: {
      protected?: Headers;
      external?: string;
      unsent?: { IV_hex?: string };
      recipients: { key: Record<string, string> }[];
    };
  };
  intermediates?: { ToBeSign_hex?: string; AAD_hex?: string };
  output: { cbor: string };
}

const FILES = [
  ...["sign1-tests", "encrypted-tests", "ecdsa-examples", "eddsa-examples"],
  ...["aes-gcm-examples", "RFC8152"],
];
const examples = FILES.flatMap((name) => {
  const text = readFileSync(new URL(`cose/${name}.ndjson`, import.meta.url), "utf8");
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Example);
});

const suites: Record<string, Suite> = {
  A128GCM: nodeSuite(1, "A128GCM", "aes-128-gcm", 16),
  A192GCM: nodeSuite(2, "A192GCM", "aes-192-gcm", 24),
  A256GCM: AES_256_GCM,
};

const bytes = (text: string | undefined) => new Uint8Array(Buffer.from(text ?? "", "hex"));

/** Why an example is outside what `cose.ts` speaks; undefined for those that are run. */
function notCovered({ input }: Example): string | undefined {
  if (input.failures && "RemoveCBORTag" in input.failures) return "untagged messages are refused";
  if (input.failures?.ChangeProtected === "a0")
    return "the algorithm must be in the protected header";
  if (input.sign0) {
    const { crv } = input.sign0.key;
    if (crv !== "P-256" && crv !== "Ed25519") return "another curve";
    const alg = input.sign0.protected?.alg;
    return alg === "ES256" || alg === "EdDSA" ? undefined : "another hash";
  }
  if (input.encrypted) {
    const alg = input.encrypted.protected?.alg;
    return typeof alg === "string" && alg in suites
      ? undefined
      : "AES-CCM is not one of our suites";
  }
  return "COSE_Sign, COSE_Encrypt and COSE_Mac are not used";
}

function keyOf(key: Record<string, string>): KeyObject {
  const text = (name: string) =>
    key[name] ?? Buffer.from(key[`${name}_hex`] ?? "", "hex").toString("base64url");
  const jwk = { kty: text("kty"), crv: text("crv"), x: text("x") };
  return createPublicKey({
    key: jwk.kty === "EC" ? { ...jwk, y: text("y") } : jwk,
    format: "jwk",
  });
}

/** What the message says, or undefined if it is refused. */
function judged(work: () => string | undefined): string | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof Problem && error.code === "envelope-malformed") return undefined;
    throw error;
  }
}

function verified({ input, output, intermediates }: Example): string | undefined {
  const { key, external } = input.sign0 as NonNullable<Example["input"]["sign0"]>;
  const message = parseSign1(bytes(output.cbor), "envelope-malformed");
  const isChanged = input.failures !== undefined;
  if (!isChanged && intermediates?.ToBeSign_hex !== undefined) {
    const signed = toBeSigned(message.protectedBytes, bytes(external), message.content);
    assert.deepEqual(signed, bytes(intermediates.ToBeSign_hex));
  }
  const isGood = verifySign1(message, keyOf(key), bytes(external));
  return isGood ? Buffer.from(message.content).toString() : undefined;
}

function opened({ input, output, intermediates }: Example): string | undefined {
  const { external, recipients, unsent, ...encrypted } = input.encrypted as NonNullable<
    Example["input"]["encrypted"]
  >;
  const suite = suites[encrypted.protected?.alg as string] as Suite;
  const message = parseEncrypt0(bytes(output.cbor), "envelope-malformed");
  const iv = message.unprotectedHeader.get(HEADER.iv);
  const nonce = iv instanceof Uint8Array ? iv : bytes(unsent?.IV_hex);
  if (input.failures === undefined && intermediates?.AAD_hex !== undefined) {
    const aad = encStructure(message.protectedBytes, bytes(external));
    assert.deepEqual(aad, bytes(intermediates.AAD_hex));
  }
  const key = createSecretKey(Buffer.from(recipients[0]?.key.k ?? "", "base64url"));
  const plaintext = openEncrypt0(message, suite, key, nonce, bytes(external));
  return plaintext && Buffer.from(plaintext).toString();
}

for (const example of examples.filter((one) => notCovered(one) === undefined)) {
  const { file, title, fail, input } = example;
  test(`${file} (${title.trim()}) ${fail ? "is refused" : "gives its content"}`, () => {
    const content = judged(() => (input.sign0 ? verified(example) : opened(example)));
    assert.equal(content, fail ? undefined : input.plaintext);
  });
}

test("the examples that are not run are outside what envelopes use, for these reasons", (t) => {
  const left = new Map<string, string[]>();
  for (const example of examples) {
    const why = notCovered(example);
    if (why !== undefined) left.set(why, [...(left.get(why) ?? []), example.file]);
  }
  for (const [why, files] of left) t.diagnostic(`${why}: ${files.join(", ")}`);
  const counts = Object.fromEntries([...left].map(([why, files]) => [why, files.length]));
  assert.deepEqual(counts, {
    "AES-CCM is not one of our suites": 2,
    "COSE_Sign, COSE_Encrypt and COSE_Mac are not used": 25,
    "another curve": 3,
    "another hash": 1,
    "the algorithm must be in the protected header": 2,
    "untagged messages are refused": 2,
  });
});

test("untagged messages, and those whose algorithm is not protected, are refused", () => {
  const odd = examples.filter(({ input }) => {
    const { failures = {} } = input;
    return "RemoveCBORTag" in failures || failures.ChangeProtected === "a0";
  });
  assert.equal(odd.length, 4);
  for (const { file, input, output } of odd) {
    const content = judged(() => {
      if (input.sign0) {
        const message = parseSign1(bytes(output.cbor), "envelope-malformed");
        return verifySign1(message, keyOf(input.sign0.key)) ? "verified" : undefined;
      }
      const message = parseEncrypt0(bytes(output.cbor), "envelope-malformed");
      const key = createSecretKey(
        Buffer.from(input.encrypted?.recipients[0]?.key.k ?? "", "base64url"),
      );
      const nonce = message.unprotectedHeader.get(HEADER.iv) as Uint8Array;
      return openEncrypt0(message, suites.A128GCM as Suite, key, nonce) && "opened";
    });
    assert.equal(content, undefined, file);
  }
});
