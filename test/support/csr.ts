/** Certificate requests as a device makes them. */
import "reflect-metadata"; // must be first: @peculiar/x509's container needs it
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";

const P256 = { name: "ECDSA", namedCurve: "P-256" };

/** @returns request and private key, PEM. */
export async function newRequest(
  algorithm: { name: string; namedCurve?: string } = P256,
): Promise<{ csr: string; keyPem: string }> {
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, [
    "sign",
    "verify",
  ])) as webcrypto.CryptoKeyPair;
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: "CN=whatever the device says",
    keys,
    signingAlgorithm: { ...algorithm, hash: "SHA-256" },
  });
  const pkcs8 = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
  return { csr: request.toString("pem"), keyPem: x509.PemConverter.encode(pkcs8, "PRIVATE KEY") };
}
