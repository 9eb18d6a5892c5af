/** Primitives as the product calls them, against the pure-TypeScript library of the browser. */
import { createSecretKey, generateKeyPairSync, randomBytes, sign, verify } from "node:crypto";
import { ed25519 } from "@noble/curves/ed25519.js";
import { p256 } from "@noble/curves/nist.js";
import { hmac as nobleHmac } from "@noble/hashes/hmac.js";
import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";
import {
  ML_KEM_SEED_BYTES,
  mlKemDecap,
  mlKemEncap,
  mlKemPrivate,
  publicBytes,
} from "../src/envelope/hpke.ts";
import { hmac } from "../src/envelope/kdf.ts";
import { SUITES } from "../src/envelope/suites.ts";
import { sha256 } from "../src/transparency/tree.ts";
import { type BenchCase, faster } from "./measure.ts";

export async function* cases(): AsyncIterable<BenchCase> {
  const kilobyte = new Uint8Array(randomBytes(1_024));
  yield faster("SHA-256, 1 KiB", "hashes/s", () => void sha256(kilobyte), {
    name: "hashes/s @noble/hashes",
    work: () => void nobleSha256(kilobyte),
  });
  const macKey = new Uint8Array(randomBytes(32));
  yield faster("HMAC-SHA-256, 1 KiB", "MACs/s", () => void hmac(macKey, kilobyte), {
    name: "MACs/s @noble/hashes",
    work: () => void nobleHmac(nobleSha256, macKey, kilobyte),
  });
  yield* ciphers(kilobyte);
  yield* signatures(kilobyte);
  yield kem();
}

/** Opening against sealing: both must keep up with a ward. */
function* ciphers(kilobyte: Uint8Array): Iterable<BenchCase> {
  const key = createSecretKey(randomBytes(32));
  const nonce = new Uint8Array(12);
  const aad = new Uint8Array(30);
  const [gcm] = SUITES;
  for (const suite of SUITES) {
    const sealed = suite.seal(key, nonce, aad, kilobyte);
    yield faster(
      `${suite.name} open, 1 KiB`,
      "opens/s",
      () => {
        suite.open(key, nonce, aad, sealed);
      },
      {
        name: "seals/s A256GCM",
        work: () => void gcm!.seal(key, nonce, aad, kilobyte),
      },
    );
  }
}

function* signatures(kilobyte: Uint8Array): Iterable<BenchCase> {
  const ed = generateKeyPairSync("ed25519");
  const edSecret = ed25519.utils.randomSecretKey();
  yield faster("Ed25519 sign", "signatures/s", () => void sign(null, kilobyte, ed.privateKey), {
    name: "signatures/s @noble/curves",
    work: () => void ed25519.sign(kilobyte, edSecret),
  });
  const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const signature = sign("sha256", kilobyte, ec.privateKey);
  const secret = p256.utils.randomSecretKey();
  const publicKey = p256.getPublicKey(secret);
  const nobleSignature = p256.sign(kilobyte, secret);
  yield faster(
    "P-256 verify",
    "verifications/s",
    () => {
      verify("sha256", kilobyte, ec.publicKey, signature);
    },
    {
      name: "verifications/s @noble/curves",
      work: () => void p256.verify(nobleSignature, kilobyte, publicKey),
    },
  );
}

function kem(): BenchCase {
  const secret = mlKemPrivate(new Uint8Array(randomBytes(ML_KEM_SEED_BYTES)));
  const recipient = publicBytes(secret);
  const { enc } = mlKemEncap(recipient);
  return faster("ML-KEM-768 decapsulate", "times/s", () => void mlKemDecap(secret, enc), {
    name: "encapsulations/s",
    work: () => void mlKemEncap(recipient),
  });
}
