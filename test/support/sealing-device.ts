/** A device for tests of admission: it seals like a real one, and can also misbehave. */
import { createHash, createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { decode } from "cborg";
import type { Batch } from "../../src/envelope/batch.ts";
import { encodeBatch } from "../../src/envelope/batch.ts";
import { batchLeaf, blockRoot, leafSalt, signBlock } from "../../src/envelope/block.ts";
import type { Content } from "../../src/envelope/content.ts";
import { fromHex, sessionAad, writeEnvelope } from "../../src/envelope/envelope.ts";
import type { DeviceIdentity } from "../../src/envelope/opening.ts";
import { splitPayload } from "../../src/envelope/payload.ts";
import { epochKeys, epochKid, nonceOf } from "../../src/envelope/ratchet.ts";
import type { Receipt } from "../../src/envelope/receipt.ts";
import { DeviceSession, envelopeHash } from "../../src/envelope/session.ts";
import type { KemMode } from "../../src/envelope/shares.ts";
import { AES_256_GCM, type Suite } from "../../src/envelope/suites.ts";
import type { Arrival, Verdict } from "../../src/ingest/verdict.ts";
import type { World } from "./admission.ts";
import { newRequest } from "./csr.ts";

const HEART_RATE = 147842;

type Registry = World["registry"];

/** What a device remembers through a power cut, and what an old copy of it brings back. */
interface DeviceMemory {
  lastSequence: number;
  previous: { sessionId: string; lastSequence: number; head: Uint8Array } | undefined;
}

export class TestDevice {
  readonly world: World;
  readonly deviceId: string;
  readonly patientId: string;
  readonly certificateHash: string;
  readonly identity: DeviceIdentity;
  readonly suite: Suite;
  readonly kem: KemMode;
  memory: DeviceMemory = { lastSequence: 0, previous: undefined };
  session!: DeviceSession;
  /** A second holder of the same session keys: the running device's memory was copied. */
  twin!: DeviceSession;
  #prekey: Uint8Array | undefined;
  /** Envelopes without a receipt, by number. */
  readonly spool = new Map<number, Uint8Array>();
  /** Numbers that carried a signed block and no batch. */
  readonly blocks = new Set<number>();
  readonly saltKey = new Uint8Array(32).fill(7);
  #isFirst = true;
  #leaves: { number: number; leaf: Uint8Array }[] = [];
  #blockFrom = 1;
  #clockMs: number;

  private constructor(
    world: World,
    o: {
      deviceId: string;
      patientId: string;
      certificateHash: string;
      identity: DeviceIdentity;
      suite: Suite;
      kem: KemMode;
    },
  ) {
    this.world = world;
    this.deviceId = o.deviceId;
    this.patientId = o.patientId;
    this.certificateHash = o.certificateHash;
    this.identity = o.identity;
    this.suite = o.suite;
    this.kem = o.kem;
    this.#clockMs = Math.floor(world.clock.nowMs());
  }

  static async enrol(
    world: World,
    o: { assigned?: boolean; suite?: Suite; kem?: KemMode },
  ): Promise<TestDevice> {
    const { registry, clock } = world;
    const patientId = clock.uuid();
    const { claimCode } = await registry.createClaim({
      label: "Monitor",
      kind: "patient-monitor",
      ...(o.assigned === false ? {} : { patientId, assignedFromMs: 0 }),
    });
    const { csr, keyPem } = await newRequest();
    const enrolled = await registry.enrol({ claimCode, csr });
    const certificate = new X509Certificate(enrolled.certificatePem);
    const hash = createHash("sha256").update(certificate.raw).digest();
    return new TestDevice(world, {
      deviceId: enrolled.deviceId,
      patientId,
      certificateHash: hash.toString("hex"),
      identity: {
        certificateHash: hash,
        privateKey: createPrivateKey(keyPem),
        platformKey: createPublicKey({
          key: { kty: "OKP", crv: "Ed25519", x: platformKeyOf(registry) },
          format: "jwk",
        }),
      },
      suite: o.suite ?? AES_256_GCM,
      kem: o.kem ?? "classical",
    });
  }

  arrival(bytes: Uint8Array, door: Arrival["door"] = "https"): Arrival {
    const { deviceId, certificateHash } = this;
    return {
      door,
      deviceId,
      certificateHash,
      bytes,
      receivedMs: Math.floor(this.world.clock.nowMs()),
    };
  }

  send(bytes: Uint8Array, door?: Arrival["door"]): Promise<Verdict> {
    return this.world.admission.admit(this.arrival(bytes, door));
  }

  /** Opens a session through the door. @returns the opening's bytes. */
  async open(): Promise<Uint8Array> {
    const begun = this.begin();
    const verdict = await this.send(begun.opening);
    const reply = verdict.downlink
      .flatMap((bytes) => splitPayload(bytes))
      .find((item) => item.kind === "reply");
    if (reply === undefined) throw new Error(`no session: ${verdict.problem}`);
    begun.finish(reply.bytes);
    return begun.opening;
  }

  begin(): { opening: Uint8Array; sessionId: string; finish(reply: Uint8Array): void } {
    const begun = DeviceSession.begin(this.identity, {
      suite: this.suite,
      kem: this.kem,
      firstSequence: this.memory.lastSequence + 1,
      nowMs: this.#clockMs,
      chance: this.world.clock,
    });
    return {
      opening: begun.opening,
      sessionId: begun.sessionId,
      finish: (reply) => {
        this.use(begun.finish(reply));
        this.twin = begun.finish(reply);
      },
    };
  }

  /** Another device with the same key and the same memory. */
  copy(): TestDevice {
    const copy = new TestDevice(this.world, this);
    copy.memory = { ...this.memory };
    return copy;
  }

  /** Starts on a prekey that the platform handed out. @param o.again on the one used before. */
  async fromPrekey(o: { again?: boolean } = {}): Promise<{ opening: Uint8Array }> {
    if (!o.again || this.#prekey === undefined) {
      const bundle = await this.world.admission.prekeysFor(this.deviceId);
      const prekeys = splitPayload(bundle);
      this.#prekey = prekeys[this.kem === "hybrid" ? 0 : 1]?.bytes;
    }
    if (this.#prekey === undefined) throw new Error("no prekey was handed out");
    const { opening, session } = DeviceSession.fromPrekey(this.identity, this.#prekey, {
      suite: this.suite,
      firstSequence: this.memory.lastSequence + 1,
      nowMs: this.#clockMs,
      chance: this.world.clock,
    });
    this.use(session);
    return { opening };
  }

  use(session: DeviceSession): void {
    this.session = session;
    this.#isFirst = true;
    this.#leaves = [];
    this.#blockFrom = session.nextSequence;
  }

  batch(values: readonly number[]): Batch {
    const sequence = this.session.nextSequence;
    const timesMs = values.map(() => ++this.#clockMs);
    return {
      sequence,
      clockMs: this.#clockMs,
      offsetMs: 0,
      points: [
        {
          mdc: HEART_RATE,
          exponent: 0,
          timesMs,
          mantissas: [...values],
          quality: values.map(() => 0),
        },
      ],
      waveforms: [],
    };
  }

  /** Seals values in the next envelope and keeps it in the spool. */
  seal(values: readonly number[], extra: Partial<Content> = {}): Uint8Array {
    return this.sealContent({ batch: this.batch(values), ...extra });
  }

  sealContent(content: Omit<Content, "sequence">): Uint8Array {
    const sequence = this.session.nextSequence;
    const first = this.#isFirst
      ? {
          saltKey: this.saltKey,
          ...(this.memory.previous ? { previous: this.memory.previous } : {}),
        }
      : {};
    this.#isFirst = false;
    const bytes = this.session.seal({ sequence, ...first, ...content });
    if (content.batch) {
      const leaf = batchLeaf(leafSalt(this.saltKey, sequence), encodeBatch(content.batch));
      this.#leaves.push({ number: sequence, leaf });
    }
    this.spool.set(sequence, bytes);
    this.memory = {
      lastSequence: sequence,
      previous: {
        sessionId: this.session.sessionId,
        lastSequence: sequence,
        head: envelopeHash(bytes),
      },
    };
    return bytes;
  }

  /** Seals any bytes as if they were the content of that number: what a faulty device would send. */
  sealRaw(plaintext: Uint8Array, sequence: number): Uint8Array {
    const secret = this.world.vault.secrets.get("session", this.session.sessionId);
    if (secret === undefined) throw new Error("the session has no keys any more");
    const state = decode(secret.subarray(2 + 64 + (secret[65] as number))) as unknown[];
    const keys = epochKeys(state[5] as Uint8Array, this.suite);
    const kid = epochKid(state[5] as Uint8Array);
    const index = sequence - (state[7] as number);
    const nonce = nonceOf(keys.contextIv, index);
    const aad = sessionAad(this.suite, fromHex(this.session.sessionId));
    const sealed = this.suite.seal(keys.key, nonce, aad, plaintext);
    return writeEnvelope(this.suite, kid, index, sealed);
  }

  /** Seals a signed block over everything since the last one. */
  sealBlock(o: { close?: boolean; spoil?: boolean } = {}): Uint8Array {
    const carrier = this.session.nextSequence;
    const root = blockRoot(this.#leaves.map(({ leaf }) => leaf)).slice();
    if (o.spoil) root[0] = (root[0] as number) ^ 1;
    const block = signBlock(this.identity, {
      sessionId: this.session.sessionId,
      from: this.#blockFrom,
      to: carrier - 1,
      count: this.#leaves.length,
      root,
      signedMs: this.#clockMs,
      lastSequence: o.close ? carrier : 0,
    });
    this.#leaves = [];
    this.#blockFrom = carrier + 1;
    this.blocks.add(carrier);
    return this.sealContent({ block, ...(o.close ? { close: true } : {}) });
  }

  /** The receipts among what came down. */
  receipts(verdict: Verdict): Receipt[] {
    const found: Receipt[] = [];
    for (const item of verdict.downlink.flatMap((bytes) => splitPayload(bytes))) {
      if (item.kind !== "envelope") continue;
      const { receipt } = this.session.openDownlink(item.bytes);
      if (receipt) found.push(receipt);
    }
    return found;
  }
}

function platformKeyOf(registry: Registry): string {
  return Buffer.from(registry.platformIdentity.publicKey).toString("base64url");
}
