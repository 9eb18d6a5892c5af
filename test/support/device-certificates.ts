/** Certificates for tests of the device doors, by the registry's own authority, without a database. */
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { type Clock, systemClock } from "../../src/clock.ts";
import { openAuthority } from "../../src/registry/authority.ts";

export interface ClientIdentity {
  readonly deviceId: string;
  readonly cert: string;
  readonly key: string;
  /** SHA-256 of the certificate's DER, hex. */
  readonly hash: string;
}

export interface TestAuthority {
  readonly ca: string;
  readonly server: { cert: string; key: string };
  device(deviceId: string): Promise<ClientIdentity>;
}

/** @param o.clock sets the validity: an old clock makes expired certificates. */
export async function testAuthority(o: { clock?: Clock } = {}): Promise<TestAuthority> {
  const kept = new Map<string, Uint8Array>();
  const authority = await openAuthority({
    secrets: {
      get: (kind, id) => kept.get(`${kind}/${id}`),
      put: async (kind, id, bytes) => void kept.set(`${kind}/${id}`, bytes),
      delete: async (kind, id) => void kept.delete(`${kind}/${id}`),
    },
    organisation: "Test ward",
    clock: o.clock ?? systemClock,
  });
  return {
    ca: authority.certificatePem,
    server: await authority.serverCertificate(["localhost", "127.0.0.1"]),
    async device(deviceId) {
      const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
      const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
      const request = await x509.Pkcs10CertificateRequestGenerator.create({
        name: `CN=${deviceId}`,
        keys,
        signingAlgorithm: algorithm,
      });
      const parsed = await authority.parseRequest(request.toString("pem"));
      const issued = await authority.issueDevice(deviceId, parsed);
      const pkcs8 = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
      const key = x509.PemConverter.encode(pkcs8, "PRIVATE KEY");
      return { deviceId, cert: issued.pem, key, hash: issued.hash };
    },
  };
}
