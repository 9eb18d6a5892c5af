/** A conformance listener of a test's own, on a free port and a folder that goes with it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "../../src/clock.ts";
import { createConformanceListener } from "../../src/ingest/mqtt/conformance.ts";
import type { Settings } from "../../src/ingest/mqtt/role.ts";
import { type ConnectFields, RawClient } from "./mqtt-wire.ts";

interface AtEnd {
  after(work: () => void | Promise<void>): void;
}

export async function testConformance(
  t: AtEnd,
  o: { settings?: Partial<Settings>; clock?: Clock } = {},
) {
  const dataDir = join(mkdtempSync(join(tmpdir(), "mqtt-")), "conformance");
  const listener = createConformanceListener({
    dataDir,
    clock: o.clock ?? systemClock,
    settings: o.settings ?? {},
  });
  const port = await listener.listen(0);
  const opened: RawClient[] = [];
  t.after(async () => {
    for (const client of opened) client.socket.destroy();
    await listener.close();
    rmSync(join(dataDir, ".."), { recursive: true });
  });
  /** A raw connection that has not said anything. */
  async function open(): Promise<RawClient> {
    const client = await RawClient.open(port);
    opened.push(client);
    return client;
  }
  return {
    port,
    dataDir,
    open,
    /** A raw connection after CONNECT and a good CONNACK. */
    async client(clientId: string, fields: ConnectFields = {}): Promise<RawClient> {
      const client = await open();
      await client.greet({ clientId, ...fields });
      return client;
    },
  };
}
