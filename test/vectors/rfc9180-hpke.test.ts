import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AEAD_EXPORT_ONLY,
  CipherSuite,
  KDF_HKDF_SHA256,
  KEM_DHKEM_X25519_HKDF_SHA256,
  KEM_ML_KEM_768,
} from "hpke";
import {
  exporterSecret,
  exportSecret,
  KEM_X25519,
  KEM_ML_KEM_768 as ML_KEM_ID,
  mlKemEncap,
  mlKemPrivate,
  publicBytes,
  x25519Decap,
  x25519Encap,
  x25519Private,
} from "../../src/envelope/hpke.ts";
import { readJson, unhex } from "./read.ts";

interface Vector {
  mode: number;
  kem_id: number;
  aead_id: number;
  info: string;
  skRm: string;
  skEm: string;
  pkRm: string;
  pkEm: string;
  enc: string;
  shared_secret: string;
  exporter_secret: string;
  exports: { exporter_context: string; L: number; exported_value: string }[];
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

test("RFC 9180: DHKEM(X25519), base mode: shared, exporter and exported secrets", () => {
  const vectors = readJson<Vector[]>("hpke/rfc9180-p256-x25519-hkdfsha256.json.gz");
  const ours = vectors.filter((v) => v.kem_id === KEM_X25519 && v.mode === 0);
  assert.equal(ours.length, 4);
  for (const v of ours) {
    const { enc, sharedSecret } = x25519Encap(x25519Private(unhex(v.skEm)), unhex(v.pkRm));
    assert.equal(hex(enc), v.enc);
    assert.equal(hex(sharedSecret), v.shared_secret);
    assert.equal(hex(x25519Decap(x25519Private(unhex(v.skRm)), enc)), v.shared_secret);
    const exporter = exporterSecret(KEM_X25519, sharedSecret, unhex(v.info), v.aead_id);
    assert.equal(hex(exporter.secret), v.exporter_secret);
    for (const e of v.exports) {
      const exported = exportSecret(exporter, unhex(e.exporter_context), e.L);
      assert.equal(hex(exported), e.exported_value);
    }
  }
});

const info = new TextEncoder().encode("vitalward/1 session");
const context = new TextEncoder().encode("vitalward/1 session key");
const bufferOf = (bytes: Uint8Array) => Uint8Array.from(bytes);

test("the hpke package, given what we sent, exports the same secret (X25519)", async () => {
  const suite = new CipherSuite(KEM_DHKEM_X25519_HKDF_SHA256, KDF_HKDF_SHA256, AEAD_EXPORT_ONLY);
  const pair = await suite.GenerateKeyPair(true);
  const recipient = await suite.SerializePublicKey(pair.publicKey);
  const { enc, sharedSecret } = x25519Encap(x25519Private(new Uint8Array(32).fill(9)), recipient);
  const mine = exportSecret(exporterSecret(KEM_X25519, sharedSecret, info), context, 32);
  const theirs = await suite.SetupRecipient(pair, bufferOf(enc), { info });
  assert.equal(hex(mine), hex(await theirs.Export(context, 32)));
});

test("the hpke package, given what we sent, exports the same secret (ML-KEM-768)", async () => {
  const suite = new CipherSuite(KEM_ML_KEM_768, KDF_HKDF_SHA256, AEAD_EXPORT_ONLY);
  const seed = new Uint8Array(64).fill(7);
  const recipient = publicBytes(mlKemPrivate(seed));
  const pair = await suite.DeserializePrivateKey(seed, true);
  const { enc, sharedSecret } = mlKemEncap(recipient);
  const mine = exportSecret(exporterSecret(ML_KEM_ID, sharedSecret, info), context, 32);
  const theirs = await suite.SetupRecipient(pair, bufferOf(enc), { info });
  assert.equal(hex(mine), hex(await theirs.Export(context, 32)));
});
