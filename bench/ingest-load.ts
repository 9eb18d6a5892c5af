/**
 * The load of `bench ingest`, in a process of its own: devices that sealed everything beforehand and
 * now only send, over MQTT 3.1.1 QoS 1 and TLS 1.3 with client certificates, by the `mqtt` library.
 */
import { createHash, createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import mqtt, { type MqttClient } from "mqtt";
import { systemClock } from "../src/clock.ts";
import type { Batch } from "../src/envelope/batch.ts";
import { splitPayload } from "../src/envelope/payload.ts";
import { DeviceSession } from "../src/envelope/session.ts";
import { AES_256_GCM } from "../src/envelope/suites.ts";

export interface LoadDevice {
  readonly deviceId: string;
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly platformKey: string;
  /** base64url. */
  readonly prekeys: string;
}

export type Shape = "1-sample" | "60-sample" | "waveform";

export type LoadRequest =
  | { ask: "seal"; devices: readonly LoadDevice[]; shape: Shape; perDevice: number }
  | { ask: "connect"; port: number; caPem: string }
  | { ask: "open" }
  | { ask: "send"; from: number; count: number; window: number }
  | { ask: "close" };

interface Sender {
  readonly device: LoadDevice;
  readonly opening: Uint8Array;
  readonly envelopes: readonly Uint8Array[];
  client: MqttClient | undefined;
}

const HEART_RATE = 147_842;
const SPO2 = 150_456;
const RESPIRATION = 151_562;
const ECG_II = 131_330;
let senders: Sender[] = [];

function batchOf(shape: Shape, sequence: number, startMs: number): Batch {
  const empty = { sequence, offsetMs: 0, points: [], waveforms: [] };
  if (shape === "waveform") {
    const values = Int32Array.from({ length: 360 }, (_, i) => Math.round(400 * Math.sin(i / 9)));
    const rate = { numerator: 360, denominator: 1 };
    const run = { mdc: ECG_II, startMs, rate, exponent: -3, values, quality: 0 };
    return { ...empty, clockMs: startMs + 1_000, waveforms: [run] };
  }
  const column = (mdc: number, count: number, base: number) => ({
    mdc,
    exponent: 0,
    timesMs: Array.from({ length: count }, (_, i) => startMs + i * 1_000),
    mantissas: Array.from({ length: count }, (_, i) => base + ((sequence * 7 + i * 3) % 5)),
    quality: new Array<number>(count).fill(0),
  });
  const points =
    shape === "1-sample"
      ? [column(HEART_RATE, 1, 70)]
      : [column(HEART_RATE, 20, 70), column(SPO2, 20, 95), column(RESPIRATION, 20, 14)];
  return { ...empty, clockMs: startMs + 20_000, points };
}

function seal(device: LoadDevice, shape: Shape, perDevice: number): Sender {
  const der = new X509Certificate(device.certificatePem).raw;
  const identity = {
    certificateHash: createHash("sha256").update(der).digest(),
    privateKey: createPrivateKey(device.keyPem),
    platformKey: createPublicKey({
      key: { kty: "OKP", crv: "Ed25519", x: device.platformKey },
      format: "jwk",
    }),
  };
  const prekey = splitPayload(Buffer.from(device.prekeys, "base64url"))[0]?.bytes as Uint8Array;
  const nowMs = Date.now();
  const { opening, session } = DeviceSession.fromPrekey(identity, prekey, {
    suite: AES_256_GCM,
    firstSequence: 1,
    nowMs,
    chance: systemClock,
  });
  const everyMs = shape === "60-sample" ? 20_000 : 1_000;
  const firstMs = nowMs - perDevice * everyMs;
  const envelopes: Uint8Array[] = [];
  for (let sequence = 1; sequence <= perDevice; sequence++) {
    const batch = batchOf(shape, sequence, firstMs + sequence * everyMs);
    const salt = sequence === 1 ? { saltKey: systemClock.random(32) } : {};
    envelopes.push(session.seal({ sequence, batch, ...salt }));
  }
  return { device, opening, envelopes, client: undefined };
}

async function connect(port: number, caPem: string): Promise<void> {
  await Promise.all(
    senders.map(async (sender) => {
      const { deviceId, certificatePem, keyPem } = sender.device;
      sender.client = await mqtt.connectAsync(`mqtts://127.0.0.1:${port}`, {
        clientId: deviceId,
        cert: certificatePem,
        key: keyPem,
        ca: caPem,
        protocolVersion: 4,
        reconnectPeriod: 0,
      });
    }),
  );
}

function publish(sender: Sender, bytes: Uint8Array): Promise<unknown> {
  const client = sender.client as MqttClient;
  return client.publishAsync(`v1/${sender.device.deviceId}/up`, Buffer.from(bytes), { qos: 1 });
}

/** @returns milliseconds from the first message to the last acknowledgement. */
async function send(from: number, count: number, window: number): Promise<number> {
  const startMs = performance.now();
  await Promise.all(
    senders.map(async (sender) => {
      let next = from;
      const lane = async () => {
        while (next < from + count) await publish(sender, sender.envelopes[next++] as Uint8Array);
      };
      await Promise.all(Array.from({ length: window }, lane));
    }),
  );
  return performance.now() - startMs;
}

async function answer(request: LoadRequest): Promise<unknown> {
  if (request.ask === "seal") {
    senders = request.devices.map((device) => seal(device, request.shape, request.perDevice));
    return senders[0]?.envelopes[1]?.length;
  }
  if (request.ask === "connect") return connect(request.port, request.caPem);
  if (request.ask === "open") return Promise.all(senders.map((s) => publish(s, s.opening)));
  if (request.ask === "send") return send(request.from, request.count, request.window);
  await Promise.all(senders.map((sender) => sender.client?.endAsync(true)));
}

process.on("message", (request: LoadRequest) => {
  answer(request).then(
    (value) => process.send?.({ value: typeof value === "number" ? value : null }),
    (error) => process.send?.({ error: String(error?.stack ?? error) }),
  );
});
