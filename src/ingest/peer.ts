/** Who is at the other end of a TLS connection: the device of its client certificate, or a refusal. */
import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import type { ProblemCode } from "../problems.ts";

export interface Peer {
  readonly deviceId: string;
  /** SHA-256 of the certificate's DER, lower-case hex. */
  readonly certificateHash: string;
}

/** Answers from the registry: known, neither suspended nor revoked. */
export type Authenticate = (
  peer: X509Certificate,
) => Promise<Peer | ProblemCode> | Peer | ProblemCode;

/** TLS has proven possession of the key; this checks the chain, then asks the registry.
 * The doors do not let the handshake fail on a bad certificate, because a device that is told why
 * can renew, and the platform can record who tried. Nothing is read from a refused peer. */
export async function authenticatePeer(
  socket: TLSSocket,
  authenticate: Authenticate,
): Promise<Peer | ProblemCode> {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return "client-certificate-required";
  if (!socket.authorized) {
    const error: unknown = socket.authorizationError;
    const expired = String(error).includes("CERT_HAS_EXPIRED");
    return expired ? "certificate-expired" : "client-certificate-untrusted";
  }
  return authenticate(certificate);
}
