import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import {
  exporterSecret,
  exportSecret,
  KEM_X25519,
  publicBytes,
  x25519Decap,
  x25519Encap,
  x25519Private,
} from "../../src/envelope/hpke.ts";

interface Case {
  mode: number;
  kem_id: number;
  aead_id: number;
  info: string;
  skRm: string;
  pkRm: string;
  skEm: string;
  enc: string;
  shared_secret: string;
  exporter_secret: string;
  exports: { exporter_context: string; L: number; exported_value: string }[];
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const bytes = (text: string) => new Uint8Array(Buffer.from(text, "hex"));
const file = readFileSync(new URL("hpke/rfc9180-p256-x25519-hkdfsha256.json.gz", import.meta.url));
const all = JSON.parse(gunzipSync(file).toString("utf8")) as Case[];
// Not covered: PSK mode, DHKEM(P-256) and message encryption, which sessions do not use.
const ours = all.filter(({ mode, kem_id }) => mode === 0 && kem_id === KEM_X25519);

test("there is a case of base mode with X25519 for each AEAD, export-only among them", () => {
  assert.deepEqual(ours.map((one) => one.aead_id).sort(), [1, 2, 3, 0xffff].sort());
});

for (const one of ours) {
  test(`HPKE base mode with X25519 and AEAD ${one.aead_id} exports what RFC 9180 says`, () => {
    const made = x25519Encap(x25519Private(bytes(one.skEm)), bytes(one.pkRm));
    assert.equal(hex(made.enc), one.enc);
    assert.equal(hex(made.sharedSecret), one.shared_secret);
    const recipient = x25519Private(bytes(one.skRm));
    assert.equal(hex(publicBytes(recipient)), one.pkRm);
    const shared = x25519Decap(recipient, bytes(one.enc));
    assert.equal(hex(shared), one.shared_secret);
    const exporter = exporterSecret(KEM_X25519, shared, bytes(one.info), one.aead_id);
    assert.equal(hex(exporter.secret), one.exporter_secret);
    assert.ok(one.exports.length > 0);
    for (const { exporter_context, L, exported_value } of one.exports) {
      assert.equal(hex(exportSecret(exporter, bytes(exporter_context), L)), exported_value);
    }
  });
}
