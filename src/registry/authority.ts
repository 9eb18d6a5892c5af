/**
 * The organisation's certificate authority: one P-256 root that issues device client certificates
 * and the doors' server certificate. Its key is in the keystore (`vault.secrets`, kind "ca").
 *
 * If lost: no device can be enrolled or renewed, and each must be enrolled again under a new root.
 * If altered: what it signs does not verify. Certificates alone admit nobody: the registry knows
 * each one by its hash.
 */
import "reflect-metadata"; // must be first: @peculiar/x509's container needs it
import { createHash, webcrypto, X509Certificate } from "node:crypto";
import * as x509 from "@peculiar/x509";
import type { Clock } from "../clock.ts";
import { limits } from "../limits.ts";
import { Problem } from "../problems.ts";
import type { Secrets } from "../sealed-fields.ts";

const P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";
const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
/** Clocks of small devices run behind. */
const BACKDATED_MS = 5 * 60_000;
const RENEW_SERVER_BEFORE_MS = 30 * 24 * 3_600_000;

export interface IssuedCertificate {
  readonly der: Uint8Array;
  readonly pem: string;
  /** Hex SHA-256 of the DER. */
  readonly hash: string;
}

export interface Authority {
  readonly certificatePem: string;
  /** @throws Problem "csr-refused". */
  parseRequest(csr: string): Promise<CertificateRequest>;
  issueDevice(deviceId: string, request: CertificateRequest): Promise<IssuedCertificate>;
  /** Certificate and key for the doors, PEM; kept, and made anew for other names or near its end. */
  serverCertificate(names: readonly string[]): Promise<{ cert: string; key: string }>;
}

export interface CertificateRequest {
  readonly publicKey: x509.PublicKey;
  /** Hex SHA-256 of the SubjectPublicKeyInfo. */
  readonly keyHash: string;
}

export async function openAuthority(o: {
  secrets: Secrets;
  organisation: string;
  clock: Clock;
}): Promise<Authority> {
  const root = await openRoot(o);
  return {
    certificatePem: root.certificate.toString("pem"),
    parseRequest,
    async issueDevice(deviceId, request) {
      const nowMs = o.clock.nowMs();
      const certificate = await x509.X509CertificateGenerator.create({
        ...commonFields(o.clock, root),
        subject: `CN=${deviceId}`,
        notBefore: new Date(nowMs - BACKDATED_MS),
        notAfter: new Date(nowMs + limits.deviceCertificateLifeMs),
        publicKey: request.publicKey,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension([CLIENT_AUTH]),
          new x509.SubjectAlternativeNameExtension([
            { type: "url", value: `urn:uuid:${deviceId}` },
          ]),
          await x509.AuthorityKeyIdentifierExtension.create(root.certificate),
        ],
      });
      return issued(certificate);
    },
    serverCertificate: (names) => serverCertificate(o, root, names),
  };
}

interface Root {
  readonly certificate: x509.X509Certificate;
  readonly key: webcrypto.CryptoKey;
}

async function openRoot(o: {
  secrets: Secrets;
  organisation: string;
  clock: Clock;
}): Promise<Root> {
  const [keyBytes, certificateBytes] = [
    await o.secrets.get("ca", "root-key"),
    await o.secrets.get("ca", "root-certificate"),
  ];
  if (keyBytes !== undefined && certificateBytes !== undefined) {
    const key = await webcrypto.subtle.importKey("pkcs8", new Uint8Array(keyBytes), P256, false, [
      "sign",
    ]);
    return { certificate: new x509.X509Certificate(new Uint8Array(certificateBytes)), key };
  }
  const keys = await webcrypto.subtle.generateKey(P256, true, ["sign", "verify"]);
  const nowMs = o.clock.nowMs();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(o.clock),
    name: [{ O: [o.organisation] }, { CN: ["Vitalward device authority"] }],
    notBefore: new Date(nowMs - BACKDATED_MS),
    notAfter: new Date(nowMs + limits.authorityLifeMs),
    keys,
    signingAlgorithm: P256,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const pkcs8 = new Uint8Array(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey));
  // A crash between the two leaves a key without certificate, and the next start makes both anew:
  // nothing was issued yet.
  await o.secrets.put("ca", "root-key", pkcs8);
  await o.secrets.put("ca", "root-certificate", new Uint8Array(certificate.rawData));
  return { certificate, key: keys.privateKey };
}

function commonFields(clock: Clock, root: Root) {
  return {
    serialNumber: serialNumber(clock),
    issuer: root.certificate.subjectName,
    signingKey: root.key,
    signingAlgorithm: P256,
  };
}

/** 127 random bits, positive and not zero (RFC 5280 §4.1.2.2). */
function serialNumber(clock: Clock): string {
  const bytes = Buffer.from(clock.random(16));
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString("hex");
}

function issued(certificate: x509.X509Certificate): IssuedCertificate {
  const der = new Uint8Array(certificate.rawData);
  return {
    der,
    pem: certificate.toString("pem"),
    hash: createHash("sha256").update(der).digest("hex"),
  };
}

/** Takes P-256 and Ed25519 keys whose holder signed the request; everything else it asks for
 * (names, extensions) is ignored: we say who it is. */
async function parseRequest(csr: string): Promise<CertificateRequest> {
  if (csr.length > limits.csrBytesMax) throw new Problem("csr-refused", { detail: "too long" });
  let request: x509.Pkcs10CertificateRequest;
  let isSigned: boolean;
  try {
    request = new x509.Pkcs10CertificateRequest(csr);
    isSigned = await request.verify();
  } catch (cause) {
    throw new Problem("csr-refused", { detail: "not a PKCS #10 request we can read", cause });
  }
  const { algorithm } = request.publicKey as { algorithm: { name: string; namedCurve?: string } };
  const isTaken =
    algorithm.name === "Ed25519" ||
    (algorithm.name === "ECDSA" && algorithm.namedCurve === "P-256");
  if (!isTaken) throw new Problem("csr-refused", { detail: "the key must be P-256 or Ed25519" });
  if (!isSigned) throw new Problem("csr-refused", { detail: "its signature does not verify" });
  const keyHash = createHash("sha256")
    .update(new Uint8Array(request.publicKey.rawData))
    .digest("hex");
  return { publicKey: request.publicKey, keyHash };
}

async function serverCertificate(
  o: { secrets: Secrets; clock: Clock },
  root: Root,
  names: readonly string[],
): Promise<{ cert: string; key: string }> {
  const kept = await keptServerCertificate(o, root, names);
  if (kept !== undefined) return kept;
  const keys = await webcrypto.subtle.generateKey(P256, true, ["sign", "verify"]);
  const nowMs = o.clock.nowMs();
  const certificate = await x509.X509CertificateGenerator.create({
    ...commonFields(o.clock, root),
    subject: [{ CN: [names[0] ?? "localhost"] }],
    notBefore: new Date(nowMs - BACKDATED_MS),
    notAfter: new Date(nowMs + limits.serverCertificateLifeMs),
    publicKey: keys.publicKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([SERVER_AUTH]),
      new x509.SubjectAlternativeNameExtension(
        names.map((name) => ({ type: isAddress(name) ? "ip" : "dns", value: name })),
      ),
      await x509.AuthorityKeyIdentifierExtension.create(root.certificate),
    ],
  });
  const pkcs8 = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
  const key = x509.PemConverter.encode(pkcs8, "PRIVATE KEY");
  const cert = certificate.toString("pem");
  await o.secrets.put("ca", "server", Buffer.from(JSON.stringify({ cert, key, names })));
  return { cert, key };
}

async function keptServerCertificate(
  o: { secrets: Secrets; clock: Clock },
  root: Root,
  names: readonly string[],
): Promise<{ cert: string; key: string } | undefined> {
  const bytes = await o.secrets.get("ca", "server");
  if (bytes === undefined) return undefined;
  const kept = JSON.parse(Buffer.from(bytes).toString()) as {
    cert: string;
    key: string;
    names: string[];
  };
  const certificate = new X509Certificate(kept.cert);
  const isOurs = certificate.verify(
    new X509Certificate(root.certificate.toString("pem")).publicKey,
  );
  const lastsMs = certificate.validToDate.getTime() - o.clock.nowMs();
  const hasNames = kept.names.join() === names.join();
  return isOurs && hasNames && lastsMs > RENEW_SERVER_BEFORE_MS
    ? { cert: kept.cert, key: kept.key }
    : undefined;
}

function isAddress(name: string): boolean {
  return /^[\d.]+$/.test(name) || name.includes(":");
}
