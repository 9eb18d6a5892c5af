/** The reference of `bench ingest`: Aedes over TLS 1.3 with client certificates, storing nothing. */
import { createServer } from "node:tls";
import { Aedes } from "aedes";

interface Tls {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

process.on("message", async (tls: Tls) => {
  const broker = await Aedes.createBroker();
  const server = createServer(
    { ...tls, requestCert: true, rejectUnauthorized: true, minVersion: "TLSv1.3" },
    broker.handle,
  );
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    process.send?.({ port: typeof address === "object" ? address?.port : undefined });
  });
});
