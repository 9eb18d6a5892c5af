/** What every TLS door for devices has in common. */
import { constants } from "node:crypto";
import type { TlsOptions } from "node:tls";
import { limits } from "../limits.ts";

/** TLS 1.3, and a certificate is asked for and judged by the door itself (`peer.ts`).
 * No tickets: each connection shows its certificate anew, so a revoked or expired one cannot resume. */
export const doorTls: TlsOptions = {
  minVersion: "TLSv1.3",
  requestCert: true,
  rejectUnauthorized: false,
  handshakeTimeout: limits.doorHandshakeTimeoutMs,
  secureOptions: constants.SSL_OP_NO_TICKET,
};
