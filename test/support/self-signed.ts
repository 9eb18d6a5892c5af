/** Makes certificates for tests: a device's alone, or one issued by an authority. */
import "reflect-metadata";
import { createPublicKey, type webcrypto } from "node:crypto";
import { X509CertificateGenerator } from "@peculiar/x509";

export interface MadeCertificate {
  pem: string;
  der: Uint8Array;
  keyPem: string;
  /** SubjectPublicKeyInfo, DER. */
  publicKey: Uint8Array;
}

const P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

function pemOf(label: string, der: Uint8Array): string {
  const lines = Buffer.from(der).toString("base64").replace(/.{64}/g, "$&\n").trimEnd();
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}

async function make(): Promise<{ ca: MadeCertificate; device: MadeCertificate }> {
  const years = { notBefore: new Date("2025-01-01"), notAfter: new Date("2045-01-01") };
  const caKeys = (await crypto.subtle.generateKey(P256, true, [
    "sign",
    "verify",
  ])) as webcrypto.CryptoKeyPair;
  const keys = (await crypto.subtle.generateKey(P256, true, [
    "sign",
    "verify",
  ])) as webcrypto.CryptoKeyPair;
  const ca = await X509CertificateGenerator.createSelfSigned({
    ...years,
    name: "CN=test authority",
    keys: caKeys,
    signingAlgorithm: P256,
  });
  const device = await X509CertificateGenerator.create({
    ...years,
    subject: "CN=0190a000-0000-7000-8000-000000000001",
    issuer: ca.subject,
    publicKey: keys.publicKey,
    signingKey: caKeys.privateKey,
    signingAlgorithm: P256,
  });
  const pack = async (
    raw: ArrayBuffer,
    pair: webcrypto.CryptoKeyPair,
  ): Promise<MadeCertificate> => {
    const pkcs8 = new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey));
    const keyPem = pemOf("PRIVATE KEY", pkcs8);
    const publicKey = createPublicKey(keyPem).export({ format: "der", type: "spki" });
    const der = new Uint8Array(raw);
    return { pem: pemOf("CERTIFICATE", der), der, keyPem, publicKey: new Uint8Array(publicKey) };
  };
  return { ca: await pack(ca.rawData, caKeys), device: await pack(device.rawData, keys) };
}

/** An authority and a device it issued a certificate to, P-256; made once a run. */
export const certificates = await make();

export function selfSigned(): MadeCertificate {
  return certificates.device;
}
