/** Enrolment: a claim code becomes a certificate. The key is made here and never leaves. */
import "reflect-metadata"; // before x509: it needs the decorators' metadata
import { Agent, request } from "node:https";
import { Pkcs10CertificateRequestGenerator } from "@peculiar/x509";
import { readBody } from "./https-transport.ts";
import type { Enrolled } from "./identity.ts";

const TIMEOUT_MS = 30_000;
const ANSWER_BYTES_MAX = 262_144;
const LOOPBACK = new Set(["127.0.0.1", "localhost", "[::1]"]);

export interface EnrolOptions {
  /** The HTTPS device door, "https://host:8443". */
  url: string;
  /** From the administrator; works once. */
  claimCode: string;
  /** The organisation's authority, PEM. May be left out on loopback only: then the first answer is
   * trusted, as there is nobody between. */
  caPem?: string;
  algorithm?: "P-256" | "Ed25519";
}

/** Enrols a device.
 * @returns the identity, and signed one-time prekeys (CBOR sequence).
 * @throws Error with the door's words when it refuses, or when it does not prove who it is. */
export async function enrol(o: EnrolOptions): Promise<{ identity: Enrolled; prekeys: Uint8Array }> {
  const url = new URL("/v1/enrol", o.url);
  if (url.protocol !== "https:") throw new Error("enrolment goes over https only");
  if (o.caPem === undefined && !LOOPBACK.has(url.hostname)) {
    throw new Error("name the organisation's authority (--ca): the claim code is a secret");
  }
  const { keyPem, csr } = await makeRequest(o.algorithm ?? "P-256");
  const answer = await post(url, JSON.stringify({ claimCode: o.claimCode, csr }), o.caPem);
  const texts = ["deviceId", "certificatePem", "caPem", "platformKey", "prekeys"] as const;
  for (const name of [...texts, "mqttUrl", "httpsUrl"] as const) {
    if (typeof answer[name] !== "string") throw new Error(`the door's answer lacks ${name}`);
  }
  const { prekeys, ...about } = answer as Record<string, string>;
  const identity = { ...(about as unknown as Enrolled), keyPem };
  return { identity, prekeys: new Uint8Array(Buffer.from(prekeys ?? "", "base64url")) };
}

async function makeRequest(algorithm: "P-256" | "Ed25519") {
  const signing =
    algorithm === "P-256"
      ? { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" }
      : { name: "Ed25519" };
  const keys = await crypto.subtle.generateKey(signing, true, ["sign", "verify"]);
  if (!("privateKey" in keys)) throw new Error("enrol: no key pair was made");
  const csr = await Pkcs10CertificateRequestGenerator.create({
    name: "CN=device", // the platform gives the name
    keys,
    signingAlgorithm: signing,
  });
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey));
  const lines = pkcs8.toString("base64").replace(/.{64}/g, "$&\n").trimEnd();
  const keyPem = `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`;
  return { keyPem, csr: csr.toString("pem") };
}

function post(url: URL, body: string, caPem: string | undefined): Promise<Record<string, unknown>> {
  const trust = caPem === undefined ? { rejectUnauthorized: false } : { ca: caPem };
  const agent = new Agent({ ...trust, minVersion: "TLSv1.3" });
  return new Promise<Record<string, unknown>>((resolve, reject) => {
    const headers = {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
    };
    const sent = request(url, { agent, method: "POST", headers }, (answer) => {
      readBody(answer, ANSWER_BYTES_MAX)
        .then((body) => parseAnswer(answer.statusCode ?? 0, body.toString("utf8")))
        .then(resolve, reject);
    });
    sent.setTimeout(TIMEOUT_MS, () => sent.destroy(new Error("the door does not answer")));
    sent.on("error", reject);
    sent.end(body);
  }).finally(() => agent.destroy());
}

function parseAnswer(status: number, text: string): Record<string, unknown> {
  const answer = JSON.parse(text) as Record<string, unknown>;
  if (status === 201) return answer;
  const title = typeof answer.title === "string" ? answer.title : `status ${status}`;
  throw new Error(`the platform refused: ${title}`);
}
